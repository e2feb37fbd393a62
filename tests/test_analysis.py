"""What predictions get right and wrong: against COCOeval asked for one class, and against counts by hand."""

import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mtpd.evaluation.analysis import analyse, match

CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}, {"id": 9, "name": "bird"}]


def box(image, category, corner, score=None, **more):
    """A square of 20 pixels, as an annotation or, with a score, as a prediction."""
    row = {"image_id": image, "category_id": category, "bbox": [corner, corner, 20, 20], **more}
    return {**row, "area": 400, "iscrowd": 0, **more} if score is None else {**row, "score": score}


TRUTH = [box(1, 3, 0), box(1, 7, 40), box(2, 3, 0), box(2, 3, 60), box(3, 7, 10, iscrowd=1)]
FOUND = [
    box(3, 7, 11, 0.5),  # in a crowd: counts as nothing
    box(1, 3, 1, 0.9),  # right
    box(1, 3, 41, 0.8),  # a dog taken for a cat
    box(2, 3, 2, 0.7),  # right
    box(2, 7, 30, 0.6),  # nothing is there
    box(2, 3, 61, 0.2),  # right, but of too low a score to count
]


@pytest.fixture
def annotations(tmp_path):
    images = [{"id": i, "width": 100, "height": 100, "file_name": f"{i}.png"} for i in (1, 2, 3)]
    objects = [{"id": number, **row} for number, row in enumerate(TRUTH, 1)]
    path = tmp_path / "val.json"
    path.write_text(json.dumps({"images": images, "annotations": objects, "categories": CATEGORIES}))
    return path


def test_ap_by_class_is_that_of_coco_asked_for_the_class(annotations):
    found = analyse(annotations, FOUND)
    assert found["classes"] == ["cat", "dog", "bird"]
    assert found["class_ap"][2] is None
    for place, category in enumerate(CATEGORIES[:2]):
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(annotations))
            evaluation = COCOeval(truth, truth.loadRes([dict(row) for row in FOUND]), "bbox")
            evaluation.params.catIds = [category["id"]]
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        assert found["class_ap"][place] == pytest.approx(100 * evaluation.stats[0])


def test_precision_is_the_mean_over_classes_that_have_objects(annotations):
    """Cats: right, wrong, right, right. So 1 up to recall 1/3, then 3/4. Dogs: none is found."""
    precision = analyse(annotations, FOUND)["precision"]
    assert len(precision) == 101
    assert precision[:34] == [0.5] * 34
    assert precision[34:] == [0.375] * 67


def test_confusions_and_counts_by_image_are_those_by_hand(annotations):
    found = analyse(annotations, FOUND)
    cat, dog = 0, 1
    assert {tuple(pair): count for *pair, count in found["confusion"]} == {
        (cat, cat): 2,
        (dog, cat): 1,
        (cat, None): 1,
        (None, dog): 1,
    }
    assert found["images"] == {"1": [1, 1, 1], "2": [1, 1, 1], "3": [0, 0, 0]}


def test_predictions_may_be_empty(annotations):
    found = analyse(annotations, [])
    assert found["class_ap"] == [0.0, 0.0, None]
    assert {tuple(row) for row in found["confusion"]} == {(0, None, 3), (1, None, 1)}


squares = st.lists(st.tuples(st.sampled_from([3, 7]), st.integers(0, 60), st.floats(0, 1)), max_size=6)


@given(squares, squares)
def test_every_object_and_every_detection_is_in_one_pair(objects, detections):
    truth = [box(1, category, corner) for category, corner, _ in objects]
    found = [box(1, *detection) for detection in detections]
    pairs = match(truth, found)
    assert sorted(t for t, _ in pairs if t) == sorted(row["category_id"] for row in truth)
    assert sorted(p for _, p in pairs if p) == sorted(row["category_id"] for row in found)


@pytest.mark.parametrize(("shift", "pairs"), [(3, [(1, 1)]), (4, [(None, 1), (1, None)])])
def test_a_detection_must_cover_half_of_the_union(shift, pairs):
    """10 x 10 pixels: 3 aside, the IoU is 70 / 130; 4 aside, 60 / 140."""
    objects = [{"bbox": [0, 0, 10, 10], "category_id": 1}]
    found = [{"bbox": [shift, 0, 10, 10], "category_id": 1, "score": 0.9}]
    assert match(objects, found) == pairs
