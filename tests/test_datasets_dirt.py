"""What has one meaning is put right, what cannot be used is left out, what could mean two things stops."""

import copy
import math

import pytest
from data_folders import TRAIN, VAL, Folder, Pair


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


def test_sound_files_come_through_equal(pair):
    pair.train |= {"info": {"year": 2024}, "licenses": [{"id": 1}]}
    pair.train["images"][0] |= {"license": 1, "path": "x", "date_captured": "2020"}
    pair.train["annotations"][0] |= {
        "attributes": {"occluded": True},
        "bbox": [1.25, 2.0, 3.5, 4.125],
        "area": 14.4,
    }
    train, val = copy.deepcopy(pair.train), copy.deepcopy(pair.val)
    pair.imported(strict=True)
    assert pair.content() == train and pair.content("val") == val
    assert pair.report["changes"]["train"]["put_right"] == {}


IDS = {
    "from 0": lambda number: number - 1,
    "negative": lambda number: -number,
    "text": lambda number: f"a{number}",
    "numbers as text": str,
    "floats": float,
    "64 bits and more": lambda number: number + 2**64,
}


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
@pytest.mark.parametrize("kind", IDS)
def test_ids_of_any_kind(pair, part, kind):
    new = IDS[kind]
    for item in pair.train[part]:
        item["id"] = new(item["id"])
    reference = {"images": "image_id", "categories": "category_id"}.get(part)
    for item in pair.train["annotations"] if reference else ():
        item[reference] = new(item[reference])
    pair.imported()
    pair.check_splits({"train": TRAIN, "val": VAL})
    least = 1 if part == "annotations" else 0
    found = [item["id"] for item in pair.content()[part]]
    assert all(type(one) is int and least <= one < 2**53 for one in found) and len(set(found)) == len(found)


def test_doubled_ids_of_objects(pair):
    for item in pair.train["annotations"]:
        item["id"] = 7
    pair.imported()
    pair.check_splits({"train": TRAIN})


def test_doubled_ids_of_images_with_objects_stop(pair):
    pair.train["images"][1]["id"] = 1
    assert (
        "1 ids of images that objects refer to stand for two: 1 ('train-00.png', 'train-01.png')"
        in pair.stopped()
    )


def test_missing_area_iscrowd_and_info(pair):
    for item in pair.train["annotations"]:
        del item["area"], item["iscrowd"]
    pair.imported()
    assert pair.content()["annotations"] == pair.sound["annotations"]


@pytest.mark.parametrize(("given", "kept"), [(True, 1), (False, 0), ("1", 1), (None, 0), (1.0, 1)])
def test_iscrowd_of_other_types(pair, given, kept):
    pair.train["annotations"][0]["iscrowd"] = given
    pair.imported()
    first = pair.content()["annotations"][0]["iscrowd"]
    assert first == kept and type(first) is int


def test_a_byte_order_mark(pair):
    pair.imported()
    path = pair.data / "train.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    Folder.imported(pair)
    pair.check_splits({"train": TRAIN})
    assert "byte order marks: 1" in pair.text


@pytest.mark.parametrize(
    ("box", "kept", "said"),
    [
        ([60, 40, 4.3, 8], [60, 40, 4.3, 8], None),
        ([60, 40, 5.5, 9], [60, 40, 4, 8], "by up to 2 pixels"),
        ([-1.5, 4, 10, 8], [0, 4, 8.5, 8], "by up to 2 pixels"),
        ([50, 4, 40, 8], [50, 4, 14, 8], "by more than 2 pixels"),
        (["50", "4", "10", "8"], [50, 4, 10, 8], "boxes written as text"),
        ("[50, 4, 10, 8]", [50, 4, 10, 8], "boxes written as text"),
    ],
)
def test_boxes_that_are_put_right(pair, box, kept, said):
    pair.train["annotations"][0]["bbox"] = box
    pair.imported()
    assert pair.content()["annotations"][0]["bbox"] == kept
    assert (said or "") in pair.text


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([5, 5, 0, 8], "boxes without area"),
        ([5, 5, -3, 8], "boxes without area"),
        ([64, 5, 8, 8], "boxes outside their image"),
        ([5, math.nan, 8, 8], "not four finite numbers"),
        ([5, 5, math.inf, 8], "not four finite numbers"),
        ([5, 5, 8], "not four finite numbers"),
        (None, "not four finite numbers"),
    ],
)
def test_boxes_that_are_left_out(pair, box, said):
    pair.train["annotations"][0]["bbox"] = box
    pair.imported()
    assert pair.content()["annotations"] == pair.sound["annotations"][1:]
    assert said in pair.text


def test_too_many_boxes_that_cannot_be_used_stop(pair):
    for item in pair.train["annotations"][:6]:
        item["bbox"] = [5, 5, 0, 0]
    text = pair.stopped()
    assert (
        f"6 of {len(pair.train['annotations'])} objects cannot be used" in text
        and "dataset.allowed_share" in text
    )


MEANINGS = {
    "x1 y1 x2 y2 (corners) in pixels": lambda x, y, w, h: [x, y, x + w, y + h],
    "cx cy width height (centres) in pixels": lambda x, y, w, h: [x + w / 2, y + h / 2, w, h],
    "x y width height as fractions": lambda x, y, w, h: [x / 64, y / 48, w / 64, h / 48],
    "cx cy width height (centres) as fractions": lambda x, y, w, h: [
        (x + w / 2) / 64,
        (y + h / 2) / 48,
        w / 64,
        h / 48,
    ],
}


@pytest.mark.parametrize("meaning", MEANINGS)
def test_boxes_of_another_meaning_stop(pair, meaning):
    for item in pair.train["annotations"]:
        item["bbox"] = MEANINGS[meaning](*item["bbox"])
    text = pair.stopped()
    assert meaning in text and "expected x y width height in pixels" in text


def test_classes_in_another_order_and_with_blanks(pair):
    pair.val["categories"] = [{"id": 1, "name": " plate"}, {"id": 2, "name": "cell "}]
    for item in pair.val["annotations"]:
        item["category_id"] = 3 - item["category_id"]
    pair.imported()
    pair.check_splits({"train": TRAIN, "val": VAL})
    assert pair.content("val")["categories"] == pair.content()["categories"]


def test_two_classes_of_one_name_stop(pair):
    pair.train["categories"][1]["name"] = "cell"
    assert "two classes are called 'cell' and both have objects (ids 1, 2)" in pair.stopped()


def test_a_class_that_training_has_not_stops(pair):
    pair.val["categories"][0]["name"] = "ghost"
    text = pair.stopped()
    assert "'ghost'" in text and "dataset.classes" in text


def test_a_class_without_objects_in_training_is_told(pair):
    for item in pair.train["annotations"]:
        item["iscrowd"] = int(item["category_id"] == 2)  # nothing is learnt of crowds
    pair.val["annotations"][0] |= {"category_id": 2, "iscrowd": 1}  # and they are not scored
    count = sum(item["category_id"] == 2 for item in pair.val["annotations"][1:])
    assert f"val: training has no object of 'plate' ({count} objects)" in pair.imported().text


def test_equal_objects_are_one(pair):
    pair.train["annotations"] += [{**item, "id": item["id"] + 1000} for item in pair.train["annotations"]]
    pair.imported()
    assert pair.content() == pair.sound


def test_objects_without_image_or_class_are_left_out(pair):
    pair.train["annotations"][0]["image_id"] = 4711
    pair.train["annotations"][1]["category_id"] = 4711
    pair.imported(allowed_share=0.2)
    assert pair.content()["annotations"] == pair.sound["annotations"][2:]
    assert "of images that are not listed: 1" in pair.text and "of unknown categories: 1" in pair.text


def test_json_that_is_cut_off_stops(pair):
    pair.imported()
    path = pair.data / "train.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="is not a JSON file"):
        Folder.imported(pair)


def test_strict_refuses_every_change(pair):
    pair.train["annotations"][0]["iscrowd"] = False
    assert "dataset.strict accepts no change" in pair.stopped(strict=True)


def test_classes_are_chosen_renamed_and_merged(pair):
    pair.imported(classes=["plate"])
    plates = {name: [one for one in own if one[0] == "plate"] for name, own in TRAIN.items()}
    pair.check_splits({"train": plates})
    pair.imported(classes={"thing": ["cell", "plate"]})
    pair.check_splits({"train": {name: [("thing", box) for _, box in own] for name, own in TRAIN.items()}})


def test_unknown_chosen_classes_stop(pair):
    assert "dataset.classes names ghost; the classes are cell, plate" in pair.stopped(classes=["ghost"])


def test_a_second_import_leaves_no_split_of_the_first(pair):
    pair.imported()
    (pair.out / "test.json").write_text("old", encoding="utf-8")
    pair.imported()
    assert sorted(path.name for path in pair.out.iterdir()) == ["import.json", "train.json", "val.json"]


def test_a_chosen_class_that_only_training_has(pair):
    pair.train["categories"].append({"id": 3, "name": "rare"})
    pair.train["annotations"][0]["category_id"] = 3
    pair.imported(classes=["rare", "cell", "plate"])
    names = [category["name"] for category in pair.content("val")["categories"]]
    assert names == ["rare", "cell", "plate"]
    pair.check_splits({"val": VAL})
