"""What is said of the images and objects that are used, beside what mmdet and pycocotools do."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets import CocoDataset
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mtpd.checks import usage

SIDES = st.integers(20, 60)


@st.composite
def splits(draw):
    """Sound COCO files with all that mmdet leaves out."""
    images = [
        {"id": n, "file_name": f"{n}.png", "width": draw(SIDES), "height": draw(SIDES)}
        for n in range(1, draw(st.integers(1, 6)) + 1)
    ]
    objects = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        width, height = draw(st.sampled_from([0.5, 1, 3, 9.5])), draw(st.sampled_from([0.5, 1, 4]))
        own = {"id": number, "image_id": draw(st.sampled_from(images))["id"], "category_id": 7}
        own |= {"bbox": [2, 3, width, height], "area": width * height, "iscrowd": draw(st.integers(0, 1))}
        objects.append(own | ({"ignore": 1} if draw(st.booleans()) else {}))
    categories = [{"id": 7, "name": "cell"}]
    return {"images": images, "annotations": objects, "categories": categories}


def numbers(line):
    """Images and objects that a line says are used, each with how many there are."""
    return [int(found) for found in re.findall(r"(\d+) of (\d+)", line)[0:2] for found in found]


def line_of(say, *arguments):
    try:
        return say(*arguments), False
    except usage.Unused as error:
        return str(error), True


@settings(max_examples=60, deadline=None)
@given(content=splits(), skip_empty=st.booleans(), least=st.sampled_from([1, 32, 50]))
def test_as_many_are_trained_with_as_mmdet_takes(content, skip_empty, least, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "used.json"
    more = {"id": 99, "file_name": "99.png", "width": 64, "height": 64}  # mmdet cannot be left with nothing
    box = {"id": 99, "image_id": 99, "category_id": 7, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
    whole = {"images": [*content["images"], more], "annotations": [*content["annotations"], box]}
    path.write_text(json.dumps(content | whole), encoding="utf-8")
    taken = CocoDataset(
        ann_file=str(path),
        data_prefix={"img": "."},
        metainfo={"classes": ("cell",)},
        filter_cfg={"filter_empty_gt": skip_empty, "min_size": least},
        pipeline=[],
    )
    found = [taken.get_data_info(number) for number in range(len(taken) - 1)]
    objects = sum(not item["ignore_flag"] for image in found for item in image["instances"])
    line, refused = line_of(usage.training, content, least, skip_empty)
    assert numbers(line) == [len(found), len(content["images"]), objects, len(content["annotations"])], line
    told = sum(int(count) for count in re.findall(r"(?:without|,) (\d+) (?!of)", line))
    assert told == len(content["images"]) - len(found) + len(content["annotations"]) - objects, line
    crowds = int(dict((name, n) for n, name in re.findall(r"(\d+) (crowds)", line)).get("crowds", 0))
    assert refused == (objects < (len(content["annotations"]) - crowds) / 2 or not objects)


@settings(max_examples=25, deadline=None)
@given(content=splits())
def test_as_many_are_scored_as_pycocotools_counts(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "scored.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    line, refused = line_of(usage.scoring, content)
    truth = COCO(str(path))
    evaluation = COCOeval(truth, truth.loadRes([{**a, "score": 1.0} for a in content["annotations"]]), "bbox")
    evaluation.evaluate()
    whole = [
        found for found in evaluation.evalImgs if found and found["aRng"] == evaluation.params.areaRng[0]
    ]
    scored = sum(int((~found["gtIgnore"].astype(bool)).sum()) for found in whole)
    assert numbers(line) == [len(content["images"])] * 2 + [scored, len(content["annotations"])]
    assert refused == (scored == 0)


def test_the_reasons_are_named():
    images = [{"id": n, "width": 64, "height": 20 if n < 4 else 64} for n in range(1, 10)]
    box = {"bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
    objects = [{**box, "id": n, "image_id": n} for n in range(3, 9)] + [
        {**box, "id": 10, "image_id": 8, "iscrowd": 1}
    ]
    content = {"images": images, "annotations": objects}
    assert usage.training(content, 32, True) == (
        "5 of 9 images, 5 of 7 objects are trained with, without 3 images with a side below 32 pixels "
        "(dataset.min_image_side), 1 images without objects (dataset.skip_empty_images), 1 objects in images "
        "that are left out, 1 crowds"
    )
    assert usage.training(content, 1, False).startswith("9 of 9 images, 6 of 7 objects are trained with, ")
    assert usage.scoring({"images": images, "annotations": objects[:2]}) == (
        "9 of 9 images, 2 of 2 objects are scored with"
    )


def test_objects_without_masks_are_named():
    outline = [[1, 1, 9, 1, 9, 9]]
    objects = [{"id": n, "segmentation": outline if n % 2 else []} for n in range(1, 11)]
    assert usage.without_masks({"annotations": objects[::2]}) is None
    assert "5 of 10 objects have no mask" in usage.without_masks({"annotations": objects})
    assert "(objects 2, 4, 6)" in usage.without_masks({"annotations": objects})


@pytest.mark.parametrize("content", [{"images": [], "annotations": []}])
def test_nothing_is_refused(content):
    with pytest.raises(usage.Unused):
        usage.training(content, 1, True)
    with pytest.raises(usage.Unused):
        usage.scoring(content)
