"""Masks that are put right, and masks that cannot be used."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from data_folders import HEIGHT, WIDTH, Pair
from pycocotools.coco import COCO

from mtpd.datasets import masks
from mtpd.datasets.changes import Changes


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


def masked(content):
    for item in content["annotations"]:
        x, y, width, height = item["bbox"]
        item["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    return content


@pytest.mark.parametrize("form", ["list", "flat", "text"])
def test_masks_that_are_put_right(pair, form):
    masked(pair.train)
    change = {"list": lambda mask: mask, "flat": lambda mask: mask[0], "text": json.dumps}[form]
    for item in pair.train["annotations"]:
        item["segmentation"] = change(item["segmentation"])
    pair.imported()
    assert pair.content() == masked(pair.sound)


def runs(height, width):
    return {"size": [height, width], "counts": [0, height * width]}


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ([[1, 1, 5, 5]], "fewer than three points"),
        ([[1, 1]], "fewer than three points"),
        ([[1, 1, 5, 5, math.nan, 9]], "not finite"),
        ([[40, 40, 44, 40, 44, 44, 40, 44]], "far from their box"),
        ([[1, 1, 20, 1, 1e13, 20]], "far outside of their image"),
        ([[3, 3, 3, 3, 3, 3]], "empty"),
        ([[3.6, 1, 4.3, 1, 4.3, 20, 3.6, 20]], "empty"),
        ([["1", 1, 20, 1, 20, 20]], "not finite"),
        ({"size": [64, 48], "counts": [0, 48 * 64]}, "not of the size of their image"),
        ({"size": [48, 64], "counts": [5, 7]}, "cannot draw"),
        ({"size": [48, 64], "counts": "nonsense"}, "cannot draw"),
    ],
)
@pytest.mark.parametrize("most", [True, False])
@pytest.mark.parametrize("decode", ["all", "none"])
def test_masks_that_cannot_be_used(pair, mask, said, most, decode):
    if most:
        masked(pair.train)
    pair.train["annotations"][0] |= {"bbox": [1, 1, 20, 20], "area": 400, "segmentation": mask}
    pair.imported(decode=decode)
    assert said in pair.text
    first = pair.content()["annotations"][0]
    assert first["id"] == (2 if most else 1)
    assert most or "segmentation" not in first
    coco = COCO(pair.out / "train.json")
    for item in coco.dataset["annotations"]:
        assert not item.get("segmentation") or coco.annToMask(item).any()


def test_the_box_that_only_the_mask_tells(pair):
    masked(pair.train)
    for item in pair.train["annotations"]:
        del item["bbox"], item["area"]
    pair.imported()
    assert pair.content() == masked(pair.sound)


def test_many_masks_that_cannot_be_used_leave_their_boxes(pair):
    masked(pair.train)
    for item in pair.train["annotations"][:8]:
        item["segmentation"] = [[1, 1, 5, 5]]
    pair.imported()
    found = pair.content()["annotations"]
    assert [item["bbox"] for item in found] == [item["bbox"] for item in pair.sound["annotations"]]
    assert ["segmentation" in item for item in found] == [False] * 8 + [True] * (len(found) - 8)
    assert "masks of fewer than three points, or not finite, dropped (the box is kept): 8" in pair.text


def test_parts_of_a_mask_without_area_are_dropped(pair):
    masked(pair.train)
    pair.train["annotations"][0]["segmentation"].append([1, 1, 5, 5])
    pair.imported()
    assert pair.content() == masked(pair.sound)
    assert "parts of masks with one or two points, dropped: 1" in pair.text


RNG = np.random.default_rng(0)


def blob(corners, share):
    """An object whose polygon is more or less flat, and whose box is more or less beside it."""
    x, y = RNG.uniform(15, WIDTH - 15), RNG.uniform(15, HEIGHT - 15)
    angles = np.arange(corners) * 2 * np.pi / corners
    points = np.stack([x + 14 * np.cos(angles), y + 14 * np.sin(angles) * share], 1).round(2)
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    box = [left + RNG.uniform(-8, 8), top, right - left, bottom - top]
    return {"bbox": box, "segmentation": [points.ravel().tolist()]}


def test_polygons_that_are_not_drawn_are_those_that_drawing_finds_sound():
    items = [blob(corners, share) for corners in (3, 4, 9) for share in np.linspace(0.01, 1, 60)]
    items += [
        {**one, "segmentation": [*one["segmentation"], *two["segmentation"]]} for one, two in pairwise(items)
    ]
    doubtful = {id(item) for item in masks._doubtful(items)}
    assert 0.2 < len(doubtful) / len(items) < 0.8
    for item in items:
        fault = masks._fault(item, (WIDTH, HEIGHT), Changes("train"))
        assert id(item) in doubtful or fault is None, item


def test_sound_polygons_are_drawn_only_where_images_are_decoded(pair, monkeypatch):
    masked(pair.train)
    drawn = []
    usual = masks._fault
    monkeypatch.setattr(masks, "_fault", lambda *args: drawn.append(1) or usual(*args))
    for decode, expected in (("all", len(pair.train["annotations"])), ("none", 0), ("sample", 0)):
        drawn.clear()
        pair.imported(decode=decode)
        assert (pair.content(), len(drawn)) == (masked(pair.sound), expected)


def test_objects_without_a_mask_among_others_are_told(pair):
    total = len(masked(pair.train)["annotations"])
    for item in pair.train["annotations"][:3]:
        item["segmentation"] = []
    assert f"train: 3 of {total} objects have no mask, only a box" in pair.imported().text
    for item in pair.train["annotations"]:
        item["segmentation"] = []
    assert "have no mask" not in "\n".join(pair.imported().report["text"])
