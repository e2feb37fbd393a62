"""``base`` of a recipe: which keys it brings, and what is refused."""

import json

import pytest
import yaml
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st
from snakes import TINY

from mtpd.experiment import specs
from mtpd.experiment.bases import with_bases
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment, load_with_includes

KEYS = st.sampled_from(["loss", "batch_size", "schedule", "clip_grad"])
VALUES = st.sampled_from([None, 3, {"name": "pkd"}, {"name": "cwd", "options": {"tau": 1}}])


@st.composite
def recipes(draw):
    """The number of the base of each recipe, an earlier one or none, and the keys that it gives itself."""
    count = draw(st.integers(1, 6))
    bases = [draw(st.none() | st.integers(0, number - 1)) if number else None for number in range(count)]
    return [(base, draw(st.dictionaries(KEYS, VALUES))) for base in bases]


def with_anchors(drawn):
    """The recipes as YAML writes them with anchors and ``<<``."""
    lines = ["recipes:"]
    for number, (base, own) in enumerate(drawn):
        lines.append(f"  r{number}: &r{number}" + " {}" * (base is None and not own))
        lines += [f"    <<: *r{base}"] * (base is not None)
        lines += [f"    {key}: {json.dumps(value)}" for key, value in own.items()]
    return yaml.safe_load("\n".join(lines))


@given(recipes(), st.randoms(use_true_random=False))
def test_a_base_brings_what_a_merge_key_of_yaml_brings_in_any_order_of_the_recipes(drawn, random):
    written = {f"r{number}": {"base": f"r{base}", **own} for number, (base, own) in enumerate(drawn)}
    for number, (base, _) in enumerate(drawn):
        if base is None:
            del written[f"r{number}"]["base"]
    shuffled = dict(random.sample(list(written.items()), len(written)))
    found = with_bases({"recipes": shuffled, "seeds": [1]}, "my.yaml")
    assert found == {**with_anchors(drawn), "seeds": [1]}
    assert list(found["recipes"]) == list(shuffled)


def tiny(recipes=(), **more):
    """The tiny experiment with more recipes."""
    content = yaml.safe_load(TINY.read_text())
    return {**content, "recipes": {**content["recipes"], **dict(recipes), **more}}


def test_a_key_that_is_given_replaces_that_of_the_base_as_a_whole():
    config = tiny(
        one={"loss": {"name": "mgd", "options": {"alpha_mean": 1.0}}, "clip_grad": 7},
        two={"base": "one", "loss": {"name": "mgd"}},
    )
    two = load_experiment(config).recipes["two"]
    assert (two.loss.name, two.loss.options, two.clip_grad) == ("mgd", {}, 7)


def test_nothing_that_is_read_tells_a_base_from_keys_that_are_written_out():
    """Neither the experiment nor the specs of its jobs, on which fingerprints are made."""
    content = tiny()
    pkd = content["recipes"]["pkd"]
    own = {key: value for key, value in pkd.items() if value != content["recipes"]["alone"].get(key)}
    assert own.keys() < pkd.keys()
    plain, based = load_experiment(content), load_experiment(tiny(pkd={"base": "alone", **own}))
    assert based == plain
    assert "base" not in based.recipes["pkd"].model_dump()
    layout = Layout("tiny", "tiny")
    assert specs.checks(based, layout) == specs.checks(plain, layout)


def including(folder, others, **own):
    """The tiny experiment, which includes some recipes and has others."""
    (folder / "shared.yaml").write_text(yaml.safe_dump({"recipes": others}))
    config = {**tiny(**own), "include": ["shared.yaml"]}
    return load_with_includes(config, "my.yaml", PROJECT, [folder])


def test_a_base_may_come_from_an_included_file_and_is_left_out_if_nothing_else_uses_it(tmp_path):
    others = {"deep": {"clip_grad": 7, "batch_size": 4}, "shared": {"base": "deep", "clip_grad": 8}}
    found = including(tmp_path, others, mine={"base": "shared", "batch_size": 2}).recipes
    assert (found["mine"].clip_grad, found["mine"].batch_size) == (8, 2)
    assert not {"deep", "shared"} & found.keys()


def test_a_changed_key_of_an_included_base_changes_the_recipes_built_on_it(tmp_path):
    """Included files are merged first, and bases are looked up in the result."""
    others = {"deep": {"clip_grad": 7}, "shared": {"base": "deep", "batch_size": 4}}
    found = including(tmp_path, others, deep={"clip_grad": 9}, shared={"loss": {"name": "mgd"}}).recipes
    assert (found["shared"].clip_grad, found["shared"].batch_size) == (9, 4)
    assert found["shared"].loss.name == "mgd"


def test_null_takes_the_place_of_an_included_base(tmp_path):
    others = {"deep": {"clip_grad": 7}, "shared": {"base": "deep", "batch_size": 4}}
    found = including(tmp_path, others, shared={"base": None}).recipes["shared"]
    assert (found.clip_grad, found.batch_size) == (35, 4)


WRONG = {
    "misspelt": (
        {"my": {"base": "alon"}},
        r"^my\.yaml: recipes\.my\.base: found 'alon', did you mean 'alone'\?$",
    ),
    "unknown": (
        {"my": {"base": "x"}},
        r"^my\.yaml: recipes\.my\.base: found 'x', expected one of alone, pkd$",
    ),
    "unknown below": (
        {"my": {"base": "low"}, "low": {"base": "x"}},
        r"recipes\.low\.base: found 'x', expected one of",
    ),
    "itself": (
        {"my": {"base": "my"}},
        r"recipes\.my\.base: found a circle: my -> my; expected one of them to have no",
    ),
    "circle": (
        {"a": {"base": "b"}, "b": {"base": "a"}},
        r"recipes\.b\.base: found a circle: a -> b -> a; expected",
    ),
    "into a circle": (
        {"a": {"base": "b"}, "b": {"base": "b"}},
        r"recipes\.b\.base: found a circle: b -> b; expected",
    ),
    "no name": (
        {"my": {"base": 3}},
        r"^my\.yaml: recipes\.my\.base: found 3; Input should be a valid string",
    ),
    "a list": (
        {"my": {"base": ["alone"]}},
        r"recipes\.my\.base: found \['alone'\]; Input should be a valid string",
    ),
    "no mapping": ({"my": {"base": "low"}, "low": 3}, r"recipes\.low: found 3; "),
    "no mapping itself": ({"my": 3}, r"recipes\.my: found 3; "),
    "number as name": (
        {1: {}, "my": {"base": "x"}},
        r"recipes\.my\.base: found 'x', expected one of 1, alone, pkd",
    ),
    "wrong key of the base": ({"my": {"base": "low"}, "low": {"clip": 3}}, r"recipes\.my\.clip: unknown key"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_base_is_named(case):
    recipes, words = WRONG[case]
    with pytest.raises(ConfigError, match=words):
        load_experiment(tiny(recipes), "my.yaml")


def test_recipes_that_are_no_mapping_are_reported_as_such():
    with pytest.raises(ConfigError, match=r"^my\.yaml: recipes: found \[1\]; "):
        load_experiment({**tiny(), "recipes": [1]}, "my.yaml")
