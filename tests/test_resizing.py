"""Strips whose short side would be resized to 0 keep one pixel; every other image is as mmdet resizes it."""

import copy

import cv2
import numpy as np
import pytest
import torch
from conftest import progressive_stage, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets import transforms
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.registry import init_default_scope

from mtpd import files
from mtpd.data import resizing
from mtpd.detectors import checkpoints
from mtpd.evaluation import evaluate, samples
from mtpd.evaluation.truth import Truth
from mtpd.export import predict
from mtpd.training.stage import train

STRIP = 10, 4000  # height and width
FIT = 80, 80


def picture(height, width):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def loaded(height, width):
    """An image with a box over a quarter of its longer side, and its mask in both forms of mmdet."""
    left, top, right, bottom = 0, 0, width, height
    if width > height:
        left, right = width // 4, width // 2
    else:
        top, bottom = height // 4, height // 2
    polygon = np.array([left, top, right, top, right, bottom, left, bottom], float)
    masks = np.zeros((1, height, width), np.uint8)
    masks[0, top:bottom, left:right] = 1
    common = {"img": picture(height, width), "img_shape": (height, width)}
    boxes = torch.tensor([[left, top, right, bottom]], dtype=torch.float32)
    return [
        {**copy.deepcopy(common), "gt_bboxes": HorizontalBoxes(boxes.clone()), "gt_masks": own}
        for own in (BitmapMasks(masks, height, width), PolygonMasks([[polygon]], height, width))
    ]


def built(**kind):
    init_default_scope("mmdet")
    return TRANSFORMS.build({"type": "Resize", "keep_ratio": True, **kind})


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 400), st.integers(5, 400), st.tuples(st.integers(80, 200), st.integers(80, 200)))
def test_other_images_boxes_and_masks_are_those_of_mmdet(height, width, fit):
    own, stock = built(scale=fit), transforms.Resize(scale=fit, keep_ratio=True)
    assert type(own) is resizing.Resize
    for found, expected in zip(loaded(height, width), loaded(height, width), strict=True):
        found, expected = own.transform(found), stock.transform(expected)
        assert found.keys() == expected.keys()
        np.testing.assert_array_equal(found["img"], expected["img"])
        np.testing.assert_array_equal(found["gt_masks"].to_ndarray(), expected["gt_masks"].to_ndarray())
        assert torch.equal(found["gt_bboxes"].tensor, expected["gt_bboxes"].tensor)
        for key in ("scale", "scale_factor", "img_shape", "keep_ratio"):
            assert found[key] == expected[key]


@pytest.mark.parametrize("kind", [{"scale": FIT}, {"type": "RandomChoiceResize", "scales": [FIT]}])
@pytest.mark.parametrize("height, width", [STRIP, STRIP[::-1], (33, 6000)])
def test_a_strip_keeps_a_pixel_and_boxes_map_back(height, width, kind):
    with pytest.raises(cv2.error):
        transforms.Resize(scale=FIT, keep_ratio=True).transform({"img": picture(height, width)})
    for found, original in zip(loaded(height, width), loaded(height, width), strict=True):
        found = built(**kind).transform(found)
        size = (1, 80) if width > height else (80, 1)
        assert found["img"].shape == (*size, 3)
        assert found["img_shape"] == size
        assert found["gt_masks"].to_ndarray().shape == (1, *size)
        assert found["gt_masks"].to_ndarray().sum() == 20
        back = found["gt_bboxes"].tensor / torch.tensor(found["scale_factor"]).repeat(2)
        torch.testing.assert_close(back, original["gt_bboxes"].tensor)


@pytest.mark.parametrize("size", [STRIP, STRIP[::-1], (33, 6000), (10, 3000)])
def test_an_exported_model_gets_the_same_image(size):
    expected = built(scale=FIT).transform({"img": picture(*size)})["img"]
    found = predict.inputs(picture(*size), {"resize": {"fit": list(FIT)}})["image"]
    np.testing.assert_array_equal(found, expected[:, :, ::-1])


@pytest.fixture
def strips(dataset, tmp_path):
    """The first image of each split is a strip, with an object."""
    found = {**dataset, "min_image_side": 1}
    for split in ("train", "val"):
        content = files.read_json(dataset[split]["annotations"])
        first = content["images"][0]
        folder = tmp_path / split
        folder.mkdir()
        for image in content["images"][1:]:
            (folder / image["file_name"]).symlink_to(f"{dataset[split]['images']}/{image['file_name']}")
        cv2.imwrite(str(folder / first["file_name"]), picture(*STRIP))
        first |= {"height": STRIP[0], "width": STRIP[1]}
        rest = [item for item in content["annotations"] if item["image_id"] != first["id"]]
        box = {"bbox": [1000, 2, 900, 6], "area": 5400, "segmentation": [], "iscrowd": 0}
        content["annotations"] = [{"id": 999, "image_id": first["id"], "category_id": 1, **box}, *rest]
        files.write_json(tmp_path / f"{split}.json", content)
        found[split] = {"annotations": str(tmp_path / f"{split}.json"), "images": str(folder)}
    return found


def test_strips_are_trained_with_scored_and_drawn(strips, teacher, tmp_path):
    """The teacher sees images at half the scale, where a side of one pixel would be 0 again."""
    taught = {**spec("swin_w32"), "image_scale": 0.5}
    stage = progressive_stage(strips, teacher, epochs=1, teachers=(taught,), validate_every=1)
    train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    assert (tmp_path / "out" / samples.FILE).exists()
    saved = checkpoints.read_checkpoint(tmp_path / "out/student.pth")["meta"]["cfg"]
    assert "type='Resize'" in saved and "mtpd" not in saved  # stock mmdet knows its transforms
    detector = {**spec("swin_w32"), "overrides": {"model.test_cfg.score_thr": 0.0}}
    rows = evaluate.evaluate(strips, detector, teacher, tmp_path / "scored").predictions
    right = [row["bbox"][0] + row["bbox"][2] for row in rows if row["image_id"] == 1]
    assert 64 < max(right) <= STRIP[1]  # boxes are in pixels of the file


def test_a_picture_of_samples_keeps_a_pixel(tmp_path):
    cv2.imwrite(str(tmp_path / "strip.png"), picture(2, 4000))
    image = {"id": 1, "file_name": "strip.png", "width": 4000, "height": 2}
    content = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "cell"}]}
    files.write_json(tmp_path / "val.json", content)
    samples.draw(Truth(tmp_path / "val.json"), tmp_path, [], tmp_path / "out.jpg")
    assert (tmp_path / "out.jpg").exists()
