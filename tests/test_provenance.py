"""What made a result stands in it, and results that do not belong together stand in no table together."""

import pytest
from conftest import PROJECT

from mtpd import files
from mtpd.experiment import identity, input_files, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import read_file
from mtpd.report import provenance

LAYOUT = Layout("tiny", "few-shapes")


@pytest.fixture
def spec():
    """Of the second stage of the tiny experiment."""
    experiment = read_file(PROJECT / "tests/data/tiny.yaml", PROJECT)
    return specs.stage(experiment, LAYOUT, "student", "pkd", "swin@1+wide@1", 0)


def test_where_files_lie_is_not_part_of_what_made_a_result(spec):
    text = str(identity.made_with(spec))
    assert str(PROJECT) not in text and "results/" not in text and "config/" not in text
    moved = {**spec, "student": {**spec["student"], "config": "/elsewhere/r18_w8.py"}}
    moved["dataset"] = {**spec["dataset"], "val": {**spec["dataset"]["val"], "images": "/elsewhere"}}
    assert identity.digest(moved) == identity.digest(spec)


@pytest.mark.parametrize("place", ["train", "val"])
def test_what_is_in_the_annotations_is_part_of_it(spec, place):
    split = {**spec["dataset"][place], "content": "another"}
    other = {**spec, "dataset": {**spec["dataset"], place: split}}
    assert identity.digest(other) != identity.digest(spec)
    same = identity.trained_with(other) == identity.trained_with(spec)
    assert same == (place == "val")  # which is only scored on


def test_evaluator_and_validated_epochs_train_nothing(spec):
    other = {**spec, "dataset": {**spec["dataset"], "evaluator": "faster-coco-eval"}}
    other["recipe"] = {**spec["recipe"], "validate_every": 7}
    assert identity.digest(other) != identity.digest(spec)
    assert identity.trained_with(other) == identity.trained_with(spec)


def test_a_config_counts_with_what_it_builds_on(tmp_path):
    (tmp_path / "base.py").write_text("model = dict(type='RetinaNet')\n", encoding="utf-8")
    (tmp_path / "config.py").write_text("_base_ = ['base.py']\n", encoding="utf-8")
    before = input_files.content(str(tmp_path / "config.py"))
    input_files.content.cache_clear()
    (tmp_path / "base.py").write_text("model = dict(type='ATSS')\n", encoding="utf-8")
    assert input_files.content(str(tmp_path / "config.py")) != before


def test_a_hash_is_of_the_content_and_is_kept_for_large_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "LARGE", 3)
    for name, text in (("small", "ab"), ("large", "abcd")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert files.known_sha256(name) == files.sha256(name)
    assert len(list(files.HASHES.iterdir())) == 1
    assert files.known_sha256("absent") is None


def test_differences_are_named_by_their_keys(spec):
    other = {**spec, "recipe": {**spec["recipe"], "clip_grad": 5}, "seed": 1}
    found = identity.differences(identity.made_with(other), identity.made_with(spec))
    assert found == ["recipe.clip_grad: found 5, expected 35", "seed: found 1, expected 0"]
    assert identity.differences(None, {}) == ["does not say which settings it was made with"]
    one, two = {"loss": None, "scales": [1, 2]}, {"loss": None, "scales": [1, 3], "tf32": False}
    assert identity.differences(one, two) == [
        "scales.1: found 2, expected 3",
        "tf32: found nothing, expected false",
    ]


def test_what_does_not_fit_is_told(spec, tmp_path):
    result, product = tmp_path / "metrics.json", tmp_path / "student.pth"
    assert identity.misfit(result, lambda: spec, product) is None  # nothing is there yet
    product.touch()
    assert identity.misfit(result, lambda: spec, product) == "missing beside student.pth"
    result.write_text("{", encoding="utf-8")
    assert identity.misfit(result, lambda: spec, product) == "cannot be read"
    files.write_json(result, {"made_with": identity.made_with(spec)})
    assert identity.misfit(result, lambda: spec, product) is None
    assert identity.misfit(result, lambda: {**spec, "seed": 4}) == "seed: found 0, expected 4"


@pytest.fixture
def rows(tmp_path):
    """Three rows with a stage each, whose results fit."""
    found = []
    for seed in range(3):
        folder = tmp_path / f"seed{seed}"
        made_with = {"seed": seed}
        content = {"dataset": "cells", "annotations_sha256": "a" * 64, "made_with": made_with}
        files.write_json(folder / "metrics.json", content)
        found.append({"stages": [{"folder": str(folder), "made_with": files.fingerprint(made_with)}]})
    return found


def change(row, **content):
    path = f"{row['stages'][0]['folder']}/metrics.json"
    files.write_json(path, {**files.read_json(path), **content})


def test_results_that_fit_pass(rows):
    provenance.require_rows(rows)


def test_a_result_of_other_settings_is_refused_and_named(rows):
    change(rows[1], made_with={"seed": 7})
    with pytest.raises(provenance.MixedResultsError, match=r"other settings.*seed1"):
        provenance.require_rows(rows)


def test_a_result_that_does_not_say_what_made_it_is_refused(rows):
    path = f"{rows[2]['stages'][0]['folder']}/metrics.json"
    files.write_json(path, {"dataset": "cells", "annotations_sha256": "a" * 64})
    with pytest.raises(provenance.MixedResultsError, match="seed2"):
        provenance.require_rows(rows)


def test_results_of_other_annotations_are_refused_and_named(rows):
    change(rows[0], annotations_sha256="b" * 64)
    with pytest.raises(provenance.MixedResultsError, match=r"cells.*\(aaaa.*seed0 \(bbbb"):
        provenance.require_rows(rows)


def test_data_sets_may_differ_from_each_other(rows):
    change(rows[0], annotations_sha256="b" * 64, dataset="signs")
    provenance.require_rows(rows)
