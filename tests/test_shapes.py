"""The generated data set: reproducible, and valid COCO."""

import hashlib

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO

from mtpd.datasets import shapes

SIZE = 96


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    coco = shapes.generate(folder, "train", 80, SIZE, 0)
    shapes.write(coco, folder / "train.json")
    return folder, coco


def digest(folder):
    content = b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
    return hashlib.sha256(content).hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    found = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        shapes.write(shapes.generate(tmp_path / name, "val", 5, SIZE, seed), tmp_path / name / "val.json")
        found[name] = digest(tmp_path / name)
    assert found["a"] == found["b"] != found["c"]


def test_more_images_leave_the_first_ones_as_they_were(tmp_path, drawn):
    coco = shapes.generate(tmp_path, "train", 3, SIZE, 0)
    assert coco["annotations"] == drawn[1]["annotations"][: len(coco["annotations"])]


def test_images_have_crowds_small_and_large_objects_and_empty_images(drawn):
    _, coco = drawn
    with_objects = {item["image_id"] for item in coco["annotations"]}
    sides = [max(item["bbox"][2:]) for item in coco["annotations"]]
    assert len({item["category_id"] for item in coco["annotations"]}) == len(shapes.CLASSES) >= 6
    assert len(with_objects) < len(coco["images"])
    assert any(item["iscrowd"] for item in coco["annotations"])
    assert min(sides) < SIZE / 6 < SIZE / 2 < max(sides)


def test_boxes_areas_and_masks_agree(drawn):
    folder, _ = drawn
    coco = COCO(str(folder / "train.json"))
    for item in coco.anns.values():
        mask = coco.annToMask(item)
        assert mask.shape == (SIZE, SIZE)
        assert rle.toBbox(coco.annToRLE(item)).tolist() == item["bbox"]
        assert mask.sum() == item["area"] > 0


def test_images_are_what_the_annotations_say(drawn):
    folder, coco = drawn
    for image in coco["images"][:10]:
        pixels = cv2.imread(str(folder / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3)
        assert np.ptp(pixels) > 60
