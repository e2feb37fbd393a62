"""Experiment files that include others: what is merged, what is left out, what is refused."""

import pytest
import yaml
from conftest import PROJECT
from snakes import TINY, planned, snakemake

from mtpd.experiment.errors import ConfigError
from mtpd.experiment.includes import with_includes
from mtpd.experiment.reading import load_with_files


def tiny():
    return yaml.safe_load(TINY.read_text())


def write(folder, **contents):
    """YAML files, by name."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, content in contents.items():
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text)


def test_a_file_without_includes_stays_as_it_is():
    assert with_includes(tiny(), "my.yaml", []) == tiny()


def test_mappings_are_merged_deeply_and_the_including_file_wins(tmp_path):
    write(tmp_path, one={"a": {"x": 1, "y": {"p": 1}}, "list": [1, 2]}, two={"a": {"x": 2}, "b": 2})
    config = {"include": ["one.yaml", "two.yaml"], "a": {"y": {"q": 3}}, "list": [3]}
    merged = with_includes(config, "my.yaml", [tmp_path])
    assert merged == {"a": {"x": 2, "y": {"p": 1, "q": 3}}, "b": 2, "list": [3]}


def test_null_takes_the_place_of_an_included_value(tmp_path):
    write(tmp_path, one={"a": {"url": "u", "config": "c"}})
    merged = with_includes({"include": ["one.yaml"], "a": {"url": None}}, "my.yaml", [tmp_path])
    assert merged == {"a": {"url": None, "config": "c"}}


def test_included_files_include_others_relative_to_themselves(tmp_path):
    write(tmp_path / "deep", outer={"include": ["inner.yaml"], "a": 1}, inner={"b": 2, "a": 0})
    assert with_includes({"include": ["deep/outer.yaml"]}, "my.yaml", [tmp_path]) == {"a": 1, "b": 2}


def test_two_files_may_include_the_same_third(tmp_path):
    write(tmp_path, one={"include": ["base.yaml"]}, two={"include": ["base.yaml"]}, base={"a": 1})
    assert with_includes({"include": ["one.yaml", "two.yaml"]}, "my.yaml", [tmp_path]) == {"a": 1}


WRONG = {
    "missing": ({"include": ["none.yaml"]}, r"my\.yaml: include\.0: no such file: none\.yaml; looked for it in /"),
    "missing in an included file": ({"include": ["one.yaml"]}, r"/one\.yaml: include\.1: no such file: none\.yaml"),
    "circle": ({"include": ["a.yaml"]}, r"/b\.yaml: include\.0: found a circle: /.*/a\.yaml -> .*/b\.yaml -> .*/a\.yaml"),
    "itself": ({"include": ["self.yaml"]}, r"/self\.yaml: include\.0: found a circle: /.*self\.yaml -> /.*self\.yaml"),
    "list": ({"include": ["list.yaml"]}, r"my\.yaml: include\.0: /.*/list\.yaml holds list; expected a mapping"),
    "empty": ({"include": ["empty.yaml"]}, r"include\.0: /.*/empty\.yaml holds NoneType; expected a mapping"),
    "no YAML": ({"include": ["broken.yaml"]}, r"/broken\.yaml: cannot be read as YAML"),
    "not a list": ({"include": "one.yaml"}, r"my\.yaml: include: found 'one\.yaml'; expected a list of YAML files"),
    "not names": ({"include": [3]}, r"my\.yaml: include: found \[3\]; expected a list of YAML files"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_included_is_named(case, tmp_path):
    write(tmp_path, one={"include": ["base.yaml", "none.yaml"]}, base={}, list=[1], empty="", broken="a: [")
    write(tmp_path, a={"include": ["b.yaml"]}, b={"include": ["a.yaml"]}, self={"include": ["self.yaml"]})
    config, words = WRONG[case]
    with pytest.raises(ConfigError, match=words):
        with_includes(config, "my.yaml", [tmp_path])


@pytest.fixture
def zoo(tmp_path):
    """The folder of a file with the detectors and recipes of the tiny experiment, and more of them."""
    own = tiny()
    spare = {"config": "config/detectors/r18_w4.py", "train": {"recipe": "spare", "epochs": 1}}
    detectors = {**own["detectors"], "spare": spare, "other": spare}
    recipes = {**own["recipes"], "spare": {**own["recipes"]["alone"]}}
    write(tmp_path, zoo={"detectors": detectors, "recipes": recipes, "pools": {"spare": ["spare", "other"]}})
    return tmp_path


def including(**changes):
    """The tiny experiment, with detectors and recipes from the zoo."""
    rest = {key: value for key, value in tiny().items() if key not in ("detectors", "recipes")}
    return {"include": ["zoo.yaml"], **rest, **changes}


def test_what_an_experiment_does_not_use_of_an_included_file_is_left_out(zoo):
    found = load_with_files(including(), "my.yaml", PROJECT, [zoo])
    assert found == load_with_files(tiny(), "my.yaml", PROJECT)
    assert "spare" not in {*found.detectors, *found.recipes, *found.pools}


def test_what_is_not_used_of_an_included_file_may_be_wrong_for_this_experiment(zoo):
    content = yaml.safe_load((zoo / "zoo.yaml").read_text())
    content["recipes"]["spare"] = {**content["recipes"]["alone"], "precision": "float16"}
    write(zoo, zoo=content)
    assert load_with_files(including(), "my.yaml", PROJECT, [zoo]).arms
    with pytest.raises(ConfigError, match=r"recipes\.spare\.precision: float16 needs compute.gpus"):
        load_with_files(including(**USES["detector"]), "my.yaml", PROJECT, [zoo])


USES = {
    "detector": {"detectors": {"spare": {"image_scale": 0.5}}},
    "pool": {"pools": {**tiny()["pools"], "spare": ["spare"]}},
    "chain": {"arms": {"direct": {"recipe": "pkd", "chain": "wide~spare@1"}}},
    "recipe": {"recipes": {"pkd": {"inherit": "spare"}}},
}


@pytest.mark.parametrize("use", USES)
def test_what_an_experiment_uses_stays_with_the_recipe_that_trains_it(use, zoo):
    found = load_with_files(including(**USES[use]), "my.yaml", PROJECT, [zoo])
    assert "spare" in found.detectors
    assert "spare" in found.recipes
    assert ("other" in found.detectors) == (use == "pool" and "other" in found.pools["spare"])


def test_snakemake_plans_the_same_with_and_without_includes(zoo, tmp_path):
    """From another folder; a change of an included file plans what depends on it."""
    write(zoo, my=including())
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    jobs = planned(folder, zoo / "my.yaml")
    assert jobs == planned(folder, TINY)
    assert jobs["take_trained"] == 3


def test_a_changed_included_file_reruns_what_a_changed_key_does(finished, zoo):
    write(zoo, my=including())
    assert planned(finished, zoo / "my.yaml") == {}
    content = yaml.safe_load((zoo / "zoo.yaml").read_text())
    content["recipes"]["spare"]["batch_size"] = 2
    write(zoo, zoo=content)
    assert planned(finished, zoo / "my.yaml") == {}
    content["recipes"]["pkd"]["validate_every"] = 2
    write(zoo, zoo=content)
    assert planned(finished, zoo / "my.yaml")["train_stage"] == 3


def test_a_file_of_the_project_is_found_from_any_folder(tmp_path):
    config = {**tiny(), "include": ["config/paper/zoo.yaml"]}
    assert load_with_files(config, "my.yaml", PROJECT, [tmp_path]).experiment == "tiny"


def test_a_missing_include_stops_snakemake(tmp_path):
    write(tmp_path, my={**tiny(), "include": ["none.yaml"]})
    code, said = snakemake(tmp_path, "-n", config=tmp_path / "my.yaml")
    assert code != 0
    assert f"{tmp_path / 'my.yaml'}: include.0: no such file: none.yaml" in said
