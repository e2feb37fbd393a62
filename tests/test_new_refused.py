"""``make new``: what it refuses, and what it says."""

import json

import pytest
from test_new import draw, found_in, laid_out, new

from mtpd import discover
from mtpd.checks import annotations


def broken(folder, how):
    laid_out(folder, "annotations beside the splits")
    val = folder / "annotations/val.json"
    if how == "one file":
        val.unlink()
    elif how == "two files":
        (folder / "val-old.json").write_text(val.read_text())
    elif how == "no images":
        for path in (folder / "val").iterdir():
            path.unlink()
    elif how == "byte order mark":
        val.write_text(val.read_text(), encoding="utf-8-sig")
    elif how == "no images at all":
        for path in folder.rglob("*.png"):
            path.unlink()
    elif how in ("VOC", "YOLO"):
        for path in folder.rglob("*.json"):
            path.unlink()
        (folder / {"VOC": "train/0.xml", "YOLO": "data.yaml"}[how]).write_text("x")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("one file", r"found only .*train\.json; expected a COCO annotation file for val"),
        ("two files", r"several annotation files for val: .*val\.json, .*val-old\.json; expected one"),
        ("no images", r"train and val share images, or those of one are missing: .*train/0\.png"),
        ("no images at all", r"\.json: no folder below .* has its images \(0\.png, \.\.\.\)"),
        ("byte order mark", r"val\.json: begins with a byte order mark; save it as UTF-8 without one"),
        ("VOC", "what looks like Pascal VOC: see docs/own-experiment.md"),
        ("YOLO", "what looks like YOLO: see docs/own-experiment.md"),
    ],
)
def test_what_is_missing_is_said(how, said, tmp_path):
    broken(tmp_path, how)
    with pytest.raises(discover.NoDataset, match=said):
        found_in(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(images={"0": c["images"][0]}), "expected lists, missing: images"),
        (lambda c: c.update(images=None), "expected lists, missing: images"),
        (lambda c: c.update(images=[]), "expected images, found: an empty split"),
        (lambda c: c["images"][2].pop("file_name"), "images without file_name: number 2"),
        (
            lambda c: c["images"][0].update(file_name=7),
            "values of file_name have the wrong type: number 0 (7)",
        ),
        (lambda c: c.update(annotations=None), "expected lists, missing: annotations"),
    ],
)
def test_a_malformed_file_is_told_in_the_words_of_the_checks(change, said, tmp_path):
    val = laid_out(tmp_path, "annotations beside the splits") / "annotations/val.json"
    content = json.loads(val.read_text())
    change(content)
    val.write_text(json.dumps(content))
    code, text = new(tmp_path, "cells", tmp_path)
    assert code == 1 and f"{val}: " in text and said in text and "Traceback" not in text
    assert text.splitlines()[-1] in annotations.malformed(str(val))


def test_a_class_that_only_validation_has_is_refused(tmp_path):
    laid_out(tmp_path, "COCO 2017")
    train = tmp_path / "annotations/instances_train2017.json"
    train.write_text(train.read_text().replace("platelet", "other"))
    code, said = new(tmp_path, "cells", tmp_path)
    assert code == 1 and "val2017.json: categories that the training split does not have: platelet" in said
    assert not (tmp_path / "cells.yaml").exists()


def test_too_few_images_are_refused(tmp_path):
    for split in ("train", "val"):
        draw(tmp_path, f"{split}.json", split, ["0.png", "1.png", "2.png"])
    code, said = new(tmp_path, "cells", tmp_path)
    assert code == 1 and "train.json: found 3 images, expected at least 4" in said


@pytest.mark.parametrize(
    ("name", "said"), [("a+b", "experiment: "), ("two words", "experiment: ")], ids=["plus", "space"]
)
def test_a_name_that_cannot_be_is_refused(name, said, tmp_path):
    code, text = new(tmp_path, name, laid_out(tmp_path / "data", "COCO 2017"), "--gpus", 0)
    assert code == 1 and said in text and "nothing was written" in text
    assert not list(tmp_path.glob("*.yaml"))
