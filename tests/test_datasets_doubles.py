"""Two files that fit one name, and two names that fit one class: told, or stopped where it matters which."""

import json
import os
import shutil

import pytest
from data_folders import (
    TRAIN,
    VAL,
    Folder,
    Pair,
    coco,
    known_objects,
    names,
    write_images,
    write_json,
    write_voc,
    write_yolo,
)


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


@pytest.fixture
def folder(tmp_path):
    """One set of 24 images in ``images``."""
    folder = Folder(tmp_path)
    folder.known = known_objects(names("a", 24))
    write_images(folder.data / "images", folder.known)
    return folder


def test_the_same_images_in_two_folders_are_told(folder):
    write_json(folder.data / "annotations/all.json", coco(folder.known))
    shutil.copytree(folder.data / "images", folder.data / "copy")
    folder.imported()
    assert "24 names of images fit two files: took images/a_00.jpg, not copy/a_00.jpg; images" in folder.text


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ("images", "masks", "images"),  # by what it is called
        ("annotations", "images", "annotations"),  # beside the annotation file
        ("first", "second", None),
        ("images/a", "images/b", None),
    ],
)
def test_other_images_of_the_same_names(folder, first, second, taken):
    shutil.rmtree(folder.data)
    for number, place in enumerate((first, second)):
        write_images(folder.data / place, folder.known, seed=number)
    write_json(folder.data / "annotations/all.json", coco(folder.known))
    if taken:
        folder.imported()
        assert f"took {taken}/a_00.jpg, not " in folder.text
        content = json.loads((folder.out / "train.json").read_text(encoding="utf-8"))
        assert {os.path.dirname(image["file_name"]) for image in content["images"]} == {taken}
    else:
        text = folder.stopped()
        assert "24 names of images fit two files of different content: " in text
        assert f"{first}/a_00.jpg" in text and f"{second}/a_00.jpg" in text


def test_a_few_other_files_of_the_same_names_are_told(folder):
    write_json(folder.data / "annotations/all.json", coco(folder.known))
    shutil.move(folder.data / "images", folder.data / "pictures")
    write_images(folder.data / "best", list(folder.known)[:3])
    folder.imported()
    assert "3 names of images fit two files: took pictures/a_00.jpg, not best/a_00.jpg" in folder.text


def test_a_name_that_fits_two_files_in_other_letters_is_told(folder):
    content = coco(folder.known)
    content["images"][0]["file_name"] = "A_00.JPG"
    for place in ("b", "c"):
        write_images(folder.data / place, ["a_00.jpg"], seed=9)
    (folder.data / "images/a_00.jpg").unlink()
    write_json(folder.data / "annotations/all.json", content)
    folder.imported(allowed_share=0.1)
    assert "missing: 1 ('A_00.JPG', which fits 'b/a_00.jpg' and 'c/a_00.jpg')" in folder.text


@pytest.mark.parametrize("same", [True, False])
def test_two_label_files_of_one_image(folder, same):
    write_yolo(folder.data / "labels", folder.known)
    write_yolo(folder.data / "annotations", folder.known if same else known_objects(names("a", 24), seed=5))
    if same:
        folder.imported()
        assert (
            "24 images have two equal label files: took annotations/a_00.txt, not labels/a_00" in folder.text
        )
    else:
        told = "images have two label files that differ: annotations/a_00.txt and labels/a_00.txt"
        assert told in folder.stopped()


def test_two_images_of_one_label_file_are_told(folder):
    write_images(folder.data / "images", ["a_00.png"])
    write_yolo(folder.data / "labels", folder.known)
    folder.imported()
    assert (
        "1 label files fit several images (labels/a_00.txt: images/a_00.jpg and images/a_00.png)"
        in folder.text
    )


def test_two_images_of_one_xml_file(folder):
    """The file says which."""
    known = {name.replace("a_00.jpg", "a_00.png"): own for name, own in folder.known.items()}
    write_images(folder.data / "images", ["a_00.png"])
    write_voc(folder.data / "annotations", known)
    folder.imported()
    assert folder.whole().keys() == known.keys()
    assert "a_00.xml fits two images: took images/a_00.png, not images/a_00.jpg" in folder.text


def test_classes_that_only_letter_case_tells_apart_are_noted(pair):
    for content in (pair.train, pair.val):
        content["categories"] = [{"id": 1, "name": "RBC"}, {"id": 2, "name": "rbc"}]
    pair.imported()
    assert "train: 'RBC' and 'rbc' are 2 classes; if they mean the same, join them" in pair.text
    assert "{RBC: [RBC, rbc], ...}" in pair.text
    pair.said.clear()
    pair.imported(classes={"RBC": ["RBC", "rbc"]})
    assert "if they mean the same" not in pair.text
    joined = {name: [("RBC", box) for _, box in own] for name, own in (TRAIN | VAL).items()}
    assert pair.objects("train") | pair.objects("val") == joined
