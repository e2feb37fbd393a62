"""The checks of annotation files, beyond the table of bad files."""

import json
from pathlib import Path

from mtpd import files
from mtpd.checks import annotations
from mtpd.data import coco, shapes


def test_pycocotools_scores_objects_that_say_ignore(dataset, tmp_path):
    """It takes only crowds out; so a split of nothing else is no empty one."""
    content = json.loads(Path(dataset["val"]["annotations"]).read_text(encoding="utf-8"))
    content["annotations"] = [{**item, "ignore": 1} for item in content["annotations"]]
    split = {**dataset["val"], "annotations": str(tmp_path / "val.json")}
    Path(split["annotations"]).write_text(json.dumps(content), encoding="utf-8")
    assert annotations.problems(**split, least_side=None, skip_bad_boxes=False, say=print) == []
    content["annotations"] = [{**item, "iscrowd": 1} for item in content["annotations"]]
    Path(split["annotations"]).write_text(json.dumps(content), encoding="utf-8")
    (line,) = annotations.problems(**split, least_side=None, skip_bad_boxes=False, say=print)
    assert "nothing to score with" in line


def test_objects_that_training_leaves_out_are_told(dataset, tmp_path):
    """Some converters write area 0 for every object; mmdet then trains without them, and says nothing."""
    content = json.loads(Path(dataset["val"]["annotations"]).read_text(encoding="utf-8"))
    path = tmp_path / "val.json"
    path.write_text(json.dumps(content))
    assert annotations.accepted_boxes(str(path)) == annotations.too_small(str(path)) == []
    first, second, third, thin, *_ = content["annotations"]
    first["area"] = 0
    second["bbox"] = [3, 3, 0.5, 4]
    third["bbox"] = [3, 3, 0, 4]
    thin["bbox"] = [3, 3, 1, 4]  # a pixel is enough
    path.write_text(json.dumps(content))
    (bad,), (small,) = annotations.accepted_boxes(str(path)), annotations.too_small(str(path))
    assert "1 boxes that are empty or outside their image" in bad
    assert f": annotation {third['id']} ([3, 3, 0, 4])" in bad
    assert "2 objects of area 0 or with a side below one pixel, which training leaves out: " in small


def test_categories_of_a_large_file_are_parsed_once(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "large.json"
    path.write_text(Path(dataset["train"]["annotations"]).read_text(encoding="utf-8"))
    known = coco.categories_of(path)
    assert [category["name"] for category in known] == list(shapes.CLASSES)
    assert not (tmp_path / "work").exists()
    monkeypatch.setattr(files, "LARGE", 1)
    assert coco.categories_of(path) == known
    with monkeypatch.context() as patch:
        patch.setattr(coco, "_parsed_categories", None)
        assert coco.categories_of(path) == known
    path.write_text(path.read_text().replace(f'"{shapes.CLASSES[0]}"', '"another"'))
    assert coco.classes_of(path)[0] == "another"
    assert len(list((tmp_path / "work/categories").iterdir())) == 2


def test_the_progress_of_a_large_data_set_is_told(dataset, monkeypatch):
    monkeypatch.setattr(annotations, "STEP", 5)
    said = []
    annotations.problems(**dataset["train"], least_side=32, skip_bad_boxes=False, say=said.append)
    assert [line.removeprefix(dataset["train"]["images"]) for line in said] == [
        ": 5 of 12 images looked at",
        ": 10 of 12 images looked at",
    ]
