"""COCO files as exporters and people lay them out: each kind gives the objects that its generator knows."""

import json
import shutil
from pathlib import Path

import data_folders as make
import pytest
from data_folders import (
    ROBOFLOW,
    Folder,
    known_objects,
    names,
    roboflow_names,
    same_objects,
    write_images,
    write_json,
)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_1_roboflow_with_three_splits(folder):
    known = folder.splits()
    folder.roboflow(known, parent="cells")
    folder.imported()
    folder.check_splits(known)
    assert folder.classes() == folder.classes("test") == ["cell", "plate"]
    assert "parent classes without objects, dropped: 1 ('cells')" in folder.text
    assert "ids of annotations" in folder.text


def test_2_roboflow_with_one_split_and_a_parent_of_the_same_name(folder):
    known = known_objects(roboflow_names("a", 20), classes=("cell",))
    write_images(folder.data / "train", known)
    content = make.coco(known, classes=("cell",), first=1)
    content["categories"].insert(0, {"id": 0, "name": "cell", "supercategory": "none"})
    write_json(folder.data / "train" / ROBOFLOW, content)
    folder.imported()
    assert same_objects(folder.whole(), known)
    assert folder.classes() == ["cell"]
    assert "one set: divided by image" in folder.text


def test_3_coco_with_yolo_labels_beside(folder):
    known = folder.splits()
    for split, own in known.items():
        write_images(folder.data / split / "images", own)
        make.write_yolo(folder.data / split / "labels", own)
        write_json(folder.data / split / ROBOFLOW, make.coco(own, first=0))
    folder.imported()
    folder.check_splits(known)
    assert "took the COCO annotations; there are YOLO annotations too" in folder.text


def test_4_missing_images_and_a_second_document(folder):
    known = folder.splits((("train", 40), ("valid", 4), ("test", 3)))
    folder.roboflow(known, json_name=".annotations.coco.json")
    gone = list(known["train"])[7]
    (folder.data / "train" / gone).unlink()
    with open(folder.data / "test" / ".annotations.coco.json", "a", encoding="utf-8") as file:
        file.write('{"images": []}')
    folder.imported()
    del known["train"][gone], known["test"]
    folder.check_splits(known)
    assert "left out: images: missing: 1" in folder.text
    assert "the test split is left out: test:" in folder.text and "second document" in folder.text
    assert "test" not in folder.report["splits"]


def test_5_the_same_objects_in_two_files(folder):
    known = folder.splits((("train", 6), ("val", 4)))
    folder.roboflow(known)
    for split, own in known.items():
        backwards = dict(reversed(own.items()))
        write_json(folder.data / "annotations" / f"{split}.json", make.coco(backwards, first=5))
    folder.imported()
    folder.check_splits(known)
    assert (
        "train/_annotations.coco.json holds the same objects as annotations/train.json: not read"
        in folder.text
    )


def test_6_two_files_with_different_objects_stop(folder):
    known = known_objects(names("a", 4))
    folder.roboflow({"train": known})
    write_json(folder.data / "train/_train_anno.json", make.coco(known_objects(names("a", 4), seed=9)))
    text = folder.stopped()
    assert (
        "_annotations.coco.json" in text
        and "_train_anno.json" in text
        and "dataset.train.annotations" in text
    )


def test_7_the_word_train_above_the_data(folder):
    known = folder.splits()
    folder.data = folder.data / "training"
    folder.roboflow(known)
    folder.imported()
    folder.check_splits(known)
    shutil.rmtree(folder.out)
    folder.data = folder.data.parent  # the folder above
    folder.imported()
    folder.check_splits(known)


def test_8_frames_of_one_video(folder):
    known = known_objects([f"{number:06}.jpg" for number in range(200)], most=1)
    write_images(folder.data / "frames", known)
    classes = ("cell", "plate", "never")
    write_json(folder.data / "annotations/instances_default.json", make.coco(known, classes))
    folder.imported()
    assert same_objects(folder.whole(), known)
    blocks = {split: {int(name[:6]) // 20 for name in folder.objects(split)} for split in ("train", "val")}
    assert not blocks["train"] & blocks["val"]
    assert "numbered names stay together in blocks of 20" in folder.text
    assert folder.classes() == list(classes)


def test_9_one_file_names_no_split(folder):
    known = {
        split: known_objects(names("", 4 + n, "{} images ({}).jpg"), n)
        for n, split in enumerate(("train", "val"))
    }
    for split, own in known.items():
        write_images(folder.data / "images" / split, own)
    write_json(folder.data / "annotations/instances_default.json", make.coco(known["train"]))
    write_json(folder.data / "annotations/val_instances_default.json", make.coco(known["val"]))
    folder.imported()
    folder.check_splits(known)
    for split in known:
        content = json.loads((folder.out / f"{split}.json").read_text(encoding="utf-8"))
        assert {Path(image["file_name"]).parent for image in content["images"]} == {Path("images", split)}
    assert "annotations/instances_default.json names no split: taken for train" in folder.text


def test_10_custom_names_with_the_years_of_coco(folder):
    known = folder.splits((("train", 5), ("val", 3)))
    for split, own in known.items():
        write_images(folder.data / f"{split}2017", own)
        content = make.coco(own, first=0) | {"info": {"date_created": "2024-01-01 00:00:00"}}
        for category in content["categories"]:
            category["supercategory"] = "N/A"
        write_json(folder.data / "annotations" / f"custom_{split}.json", content)
    folder.imported()
    folder.check_splits(known)
    assert folder.classes() == ["cell", "plate"]


def test_11_one_file_of_polygons(folder):
    known = known_objects([f"p{chr(97 + number)}.png" for number in range(20)])
    write_images(folder.data / "data/images", known)
    content = make.coco(known, first=0)
    for item in content["annotations"]:
        x, y, width, height = item["bbox"]
        item["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    write_json(folder.data / "data/trainval.json", content)
    folder.imported()
    assert same_objects(folder.whole(), known)
    masks = [
        item["segmentation"]
        for split in ("train", "val")
        for item in json.loads((folder.out / f"{split}.json").read_text(encoding="utf-8"))["annotations"]
    ]
    assert sorted(masks) == sorted(item["segmentation"] for item in content["annotations"])


def test_12_many_missing_images_stop_unless_they_are_allowed(folder):
    known = folder.splits((("train", 6), ("valid", 10)))
    folder.roboflow(known)
    for split in known:
        path = folder.data / split / ROBOFLOW
        content = json.loads(path.read_text(encoding="utf-8"))
        content["categories"].append({"id": 2, "name": "plate", "supercategory": "none"})
        write_json(path, content)
    for name in list(known["valid"])[:2]:
        (folder.data / "valid" / name).unlink()
        del known["valid"][name]
    text = folder.stopped()
    assert "2 of 10 images cannot be used" in text and "dataset.allowed_share" in text
    folder.imported(allowed_share=0.25)
    folder.check_splits(known)
    assert "classes of one name, dropped the one without objects: 1 ('plate')" in folder.text


def test_annotations_without_images_stop(folder):
    write_json(folder.data / "train.json", make.coco(known_objects(names("a", 4))))
    text = folder.stopped()
    assert "4 of 4 images are missing" in text and str(folder.data) in text and "no image is there" in text


def test_a_folder_without_annotations_stops(folder):
    write_images(folder.data, names("a", 2))
    assert (
        "has no annotations in the form of COCO (*.json), YOLO (labels/*.txt) or VOC (*.xml)"
        in folder.stopped()
    )


def test_coco_2017_with_the_files_of_other_tasks(folder):
    known = folder.splits((("train", 5), ("val", 3)))
    for split, own in known.items():
        write_images(folder.data / f"{split}2017", own)
        write_json(folder.data / f"annotations/instances_{split}2017.json", make.coco(own))
        for task in ("captions", "person_keypoints", "stuff", "panoptic"):
            write_json(
                folder.data / f"annotations/{task}_{split}2017.json", make.coco({}) | {"images": [{"id": 1}]}
            )
    folder.imported(strict=True)
    folder.check_splits(known)
