"""``val_samples.jpg``: what is drawn where, and that it can never cost a trained student."""

import json
import logging

import cv2
import numpy as np
import pytest
from pycocotools import mask

from mtpd.evaluation import samples
from mtpd.evaluation.truth import Truth
from mtpd.training import results

CELL = samples.SIDE + 4  # a tile and the line between tiles


@pytest.fixture
def split(tmp_path):
    """Ten grey images of 60 x 40 pixels; all but the last two have an object at the left."""
    images = [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 40} for i in range(10)]
    for image in images:
        cv2.imwrite(str(tmp_path / image["file_name"]), np.full((40, 60, 3), 128, np.uint8))
    square = [6, 10, 21, 10, 21, 25, 6, 25]
    objects = [
        {
            "id": i + 1,
            "image_id": i,
            "category_id": 7,
            "bbox": [6, 10, 15, 15],
            "area": 225,
            "iscrowd": 0,
            "segmentation": [square],
        }
        for i in range(8)
    ]
    content = {"images": images, "annotations": objects, "categories": [{"id": 7, "name": "cell"}]}
    (tmp_path / "val.json").write_text(json.dumps(content))
    return tmp_path


def drawn(split, predictions):
    """The tiles of the picture, annotated and found of each image, without their titles."""
    samples.draw(Truth(split / "val.json"), split, predictions, split / "out.jpg")
    picture = cv2.imread(str(split / "out.jpg"))
    rows, columns = (size // CELL for size in (picture.shape[0], picture.shape[1]))
    height = (picture.shape[0] - 4) // rows - 4
    assert height == samples.TITLE + samples.SIDE
    return [
        picture[4 + row * (height + 4) + samples.TITLE :, 4 + column * CELL :][: samples.SIDE, : samples.SIDE]
        for row in range(rows)
        for column in range(columns)
    ]


def changed(tile):
    """Left and right edge of what is drawn over the grey image, in pixels of the image."""
    image = tile[: 40 * samples.SIDE // 60].astype(int)
    columns = np.flatnonzero((abs(image - 128) > 40).any((0, 2)))
    return (columns[0] * 60 / samples.SIDE, columns[-1] * 60 / samples.SIDE) if len(columns) else None


def test_objects_are_drawn_where_they_are(split):
    boxes = [
        {"image_id": i, "category_id": 7, "bbox": [35, 10, 20, 15], "score": score}
        for i in range(8)
        for score in ((0.9,) if i != 3 else (0.29,))
    ]
    tiles = drawn(split, boxes)
    assert len(tiles) == 16
    for annotated in tiles[::2]:
        left, right = changed(annotated)
        assert left == pytest.approx(6, abs=0.6)
        assert 20 < right < 30  # the class name may be wider than the box
    edges = [changed(found) for found in tiles[1::2]]
    assert edges.count(None) == 1  # below 0.3
    assert all(edge[0] == pytest.approx(35, abs=0.6) for edge in edges if edge)


def test_the_same_images_for_every_student_and_those_with_objects(split):
    chosen = samples._chosen(Truth(split / "val.json"))
    assert sorted(image["id"] for image in chosen) == list(range(8))
    assert chosen == samples._chosen(Truth(split / "val.json"))


def test_masks_fill_objects(split):
    encoded = mask.encode(np.asfortranarray(np.ones((40, 60), np.uint8)))
    whole = {"size": encoded["size"], "counts": encoded["counts"].decode()}
    box = {"category_id": 7, "bbox": [0, 0, 60, 40], "score": 0.9}
    rows = [{"image_id": i, **box, "segmentation": whole} for i in range(8)]
    x, y = (round(pixel * samples.SIDE / 60) for pixel in (17, 20))  # within the square, away from its name
    outside = round(5 * samples.SIDE / 60)

    def colour(tile, x, y):
        return abs(tile[y, x].astype(int) - 128).max()

    annotated, found = drawn(split, rows)[:2]
    assert colour(annotated, x, y) > 10 > colour(annotated, samples.SIDE - outside, outside)
    assert colour(found, x, y) > 10 and colour(found, samples.SIDE - outside, y) > 10
    assert colour(drawn(split, [])[0], x, y) < 10  # of a student without masks, no masks are drawn


def test_a_picture_that_cannot_be_drawn_is_a_warning(split, tmp_path, monkeypatch):
    class Metric:
        truth, predictions = Truth(split / "val.json"), []

    settings = type("Settings", (), {"dataset": {"val": {"images": str(tmp_path / "moved")}}})
    said = []
    monkeypatch.setattr(results, "print_log", lambda text, logger, level: said.append((text, level)))
    results._draw_samples(settings, Metric, tmp_path)
    assert said[0][0].startswith("val_samples.jpg is not written: FileNotFoundError")
    assert said[0][1] == logging.WARNING
