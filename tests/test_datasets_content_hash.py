"""What identifies a split: all that changes weights or scores, and nothing else."""

import copy
import json

import pytest

from mtpd.datasets import content_hash

OUTLINE = [[1, 1, 9, 1, 9, 9]]
CONTENT = {
    "images": [
        {"id": 7, "file_name": "a.png", "width": 64, "height": 48},
        {"id": 9, "file_name": "b.png", "width": 64, "height": 48},
    ],
    "annotations": [
        {"id": 3, "image_id": 9, "category_id": 5, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
        {
            "id": 4,
            "image_id": 7,
            "category_id": 6,
            "bbox": [1, 2, 3, 4],
            "area": 9,
            "iscrowd": 0,
            "segmentation": OUTLINE,
        },
    ],
    "categories": [{"id": 5, "name": "cell"}, {"id": 6, "name": "plate"}],
}


def changed(part, number, **values):
    content = copy.deepcopy(CONTENT)
    content[part][number] |= values
    return content


def renumbered():
    content = copy.deepcopy(CONTENT)
    for image in content["images"]:
        image["id"] += 100
    for item in content["annotations"]:
        item |= {
            "id": item["id"] + 1,
            "image_id": item["image_id"] + 100,
            "category_id": item["category_id"] - 4,
        }
    for category in content["categories"]:
        category["id"] -= 4
    return content


def hashed(name, content, folder, digests=("x", "y")):
    path = folder / "split.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return content_hash.of_split(name, copy.deepcopy(content), path, digests and list(digests))


COUNT = {
    "box": changed("annotations", 0, bbox=[1, 2, 3, 5]),
    "class of an object": changed("annotations", 0, category_id=6),
    "image of an object": changed("annotations", 0, image_id=7),
    "crowd": changed("annotations", 0, iscrowd=1),
    "ignore": changed("annotations", 0, ignore=1),
    "mask": changed("annotations", 1, segmentation=[[1, 1, 9, 1, 9, 8]]),
    "name of a class": changed("categories", 0, name="nucleus"),
    "size": changed("images", 0, width=65),
    "converted": changed("images", 0, converted="images/12.png"),
    "order of images": {**CONTENT, "images": CONTENT["images"][::-1]},
    "fewer objects": {**CONTENT, "annotations": CONTENT["annotations"][:1]},
}
DO_NOT_COUNT = {
    "ids": renumbered(),
    "name of a file": changed("images", 0, file_name="c.png"),
    "a note": changed("annotations", 0, attributes={"by": "someone"}),
    "supercategory": changed("categories", 0, supercategory="thing"),
    "info": {**CONTENT, "info": {"date": "today"}},
}


@pytest.mark.parametrize("what", COUNT)
def test_what_changes_weights_counts(what, tmp_path):
    assert hashed("train", COUNT[what], tmp_path) != hashed("train", CONTENT, tmp_path)


@pytest.mark.parametrize("what", DO_NOT_COUNT)
def test_what_changes_no_weight_does_not_count(what, tmp_path):
    assert hashed("train", DO_NOT_COUNT[what], tmp_path) == hashed("train", CONTENT, tmp_path)


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_what_images_show_counts(name, tmp_path):
    assert hashed(name, CONTENT, tmp_path, ("x", "z")) != hashed(name, CONTENT, tmp_path)


@pytest.mark.parametrize("what", [*COUNT, "ids", "name of a file"])
def test_all_of_the_file_counts_where_predictions_are_scored(what, tmp_path):
    assert hashed("val", (COUNT | DO_NOT_COUNT)[what], tmp_path) != hashed("val", CONTENT, tmp_path)


@pytest.mark.parametrize("what", COUNT)
def test_images_that_were_not_opened_are_known_by_their_names(what, tmp_path):
    assert hashed("train", COUNT[what], tmp_path, None) != hashed("train", CONTENT, tmp_path, None)
