"""Scores against pycocotools called by hand."""

import contextlib
import io
import json

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mtpd.data import shapes
from mtpd.evaluation import metrics


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    path = folder / "val.json"
    shapes.write(shapes.generate(folder, "val", 20, 96, 0), path)
    return path


def predictions(annotations):
    """Most objects found, boxes a bit off, some of the wrong class."""
    return [
        {
            "image_id": item["image_id"],
            "category_id": item["category_id"] if number % 5 else 1 + item["category_id"] % 6,
            "bbox": [item["bbox"][0] + number % 3, *item["bbox"][1:]],
            "score": 1 - number / 1000,
        }
        for number, item in enumerate(json.loads(annotations.read_text())["annotations"])
        if number % 7
    ]


def by_hand(annotations, results):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [100 * value for value in evaluation.stats]


def test_scores_are_those_of_pycocotools(annotations):
    found = metrics.score(annotations, predictions(annotations), "bbox")
    assert list(found) == list(metrics.NAMES)
    assert list(found.values()) == by_hand(annotations, predictions(annotations))
    assert 20 < found["AP"] < 95


def test_scoring_leaves_the_predictions_as_they_were(annotations):
    results = predictions(annotations)
    found = metrics.summary(annotations, results, "shapes")
    assert results == predictions(annotations)
    assert "segm" not in found
    assert found["images"] == 20


def test_no_predictions_score_nothing(annotations):
    found = metrics.score(annotations, [], "bbox")
    assert found["AP"] == 0
    assert found["APl"] == by_hand(annotations, predictions(annotations))[5] == -100
