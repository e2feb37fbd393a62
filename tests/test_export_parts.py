"""Parts of the export: what is compared, how masks are pasted, how pictures are resized, what is refused."""

import numpy as np
import pytest
import torch
from conftest import build, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets.transforms import Resize
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from timm.layers import Conv2dSame

from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs
from mtpd.export import agreement, predict
from mtpd.export.agreement import Agreement
from mtpd.export.export import export
from mtpd.export.graph import HalvingConvolution, pasted
from mtpd.export.support import KNOWN, ExportError, pads_by_size, require_supported

SIZE = (100, 200)
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=20, deadline=None)


def detections(seed, count=20, masks=False):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 80, (count, 2))
    found = {
        "boxes": np.concatenate([corners, corners + random.uniform(5, 20, (count, 2))], 1),
        "scores": random.uniform(0.1, 1, count),
        "labels": random.integers(0, 3, count),
    }
    return {**found, "masks": random.random((count, *SIZE)) < 0.5} if masks else found


def compared(expected, found):
    comparison = Agreement()
    comparison.add("picture.png", SIZE, expected, found)
    return comparison


@few
@given(seeds)
def test_the_order_of_detections_does_not_matter(seed):
    expected = detections(seed)
    order = np.random.default_rng(seed).permutation(20)
    comparison = compared(expected, {name: values[order] for name, values in expected.items()})
    assert comparison.problems() == []
    assert (comparison.pixels, comparison.score, comparison.unpaired) == (0, 0, 0)


def test_nothing_found_twice_is_no_difference():
    nothing = detections(0, count=0)
    assert compared(nothing, nothing).problems() == []


def moved(found):
    found["boxes"][3, 2] += 2 * agreement.SIDE * max(SIZE)


def other_score(found):
    found["scores"][3] += 2 * agreement.SCORE


def no_score(found):
    found["scores"][3] = np.nan


def other_class(found):
    found["labels"][3] += 1


def less(found):
    for name in found:
        found[name] = found[name][2:]


def other_mask(found):
    found["masks"][3] ^= True


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (moved, "largest distance of boxes, of the longer side: found 0.0002, expected at most 0.0001"),
        (other_score, "largest difference of scores: found 0.002, expected at most 0.001"),
        (no_score, "largest difference of scores: found nan, expected at most 0.001"),
        (other_class, "detections without a partner: found 2, expected at most 1"),
        (less, "detections without a partner: found 2, expected at most 1"),
        (other_mask, "pixels that only one mask has: found 2e+04, expected at most "),
    ],
)
def test_a_difference_is_a_problem(change, said):
    expected, found = detections(1, masks=True), detections(1, masks=True)
    change(found)
    problems = compared(expected, found).problems()
    assert problems[0].startswith(said)


def test_a_problem_names_the_picture_and_the_detection():
    expected, found = detections(1), detections(1)
    moved(found)
    box = ", ".join(f"{side:.1f}" for side in expected["boxes"][3])
    score, label = expected["scores"][3], expected["labels"][3]
    assert compared(expected, found).problems()[1:] == [
        f"picture.png: moved: class {label}, score {score:.4f}, box {box}"
    ]


@few
@given(seeds)
def test_masks_are_pasted_as_mmdet_does(seed):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(5, 28, 28, generator=generator)
    corners = torch.rand(5, 2, generator=generator) * 60 - 10
    boxes = torch.cat([corners, corners + 1 + torch.rand(5, 2, generator=generator) * 60], 1)
    expected, _ = _do_paste_mask(masks[:, None], boxes, 70, 90, skip_empty=False)
    torch.testing.assert_close(pasted(masks, boxes, torch.tensor([70, 90])), expected, atol=1e-4, rtol=0)


@few
@given(st.integers(5, 300), st.integers(5, 300), st.tuples(st.integers(32, 200), st.integers(32, 200)))
def test_pictures_are_resized_as_mmdet_does(height, width, fit):
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    expected = Resize(scale=fit, keep_ratio=True).transform({"img": picture.copy()})["img"]
    found = predict.inputs(picture, {"resize": {"fit": list(fit)}})
    np.testing.assert_array_equal(found["image"], expected[:, :, ::-1])
    assert found["picture_size"].tolist() == [height, width]


def built(config, overrides):
    return configs.build(configs.without_pretraining(configs.load_config(config, overrides, ("one", "two"))))


RETINANET = spec("r18_w8")["config"]
DCN = {"type": "DCNv2", "deform_groups": 1}
WITH_DCN = {"depth": 50, "dcn": DCN, "stage_with_dcn": [False, False, False, True]}
REFUSED = {
    "cascade": (
        (spec("cascade_w32")["config"], {}),
        "roi_head: found CascadeRoIHead, expected StandardRoIHead",
    ),
    "rtmdet-ins": (
        ("mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py", {}),
        "bbox_head: RTMDetInsSepBNHead has a post-processing of its own",
    ),
    "rpn": (
        ("mmdet::rpn/rpn_r50_fpn_1x_coco.py", {}),
        "bbox_head: RPNHead has a post-processing of its own",
    ),
    "detr": (
        ("mmdet::detr/detr_r50_8xb2-150e_coco.py", {}),
        "found DETR, expected a single-stage or two-stage detector",
    ),
    "padding by size": (
        (spec("lite0")["config"], {"model.data_preprocessor.pad_size_divisor": 8}),
        "data_preprocessor.pad_size_divisor: found 8, expected a multiple of 32",
    ),
    "soft-nms": (
        (RETINANET, {"model.test_cfg.nms.type": "soft_nms"}),
        "test_cfg.nms: found {'type': 'soft_nms', 'iou_threshold': 0.5}, expected type 'nms'",
    ),
    "dcn": (
        (RETINANET, {"model.backbone": WITH_DCN}),
        "found mmcv's ModulatedDeformConv2dPack, of mmcv expected DeformConv2d, RoIAlign only",
    ),
}


@pytest.mark.parametrize(("detector", "said"), REFUSED.values(), ids=REFUSED)
def test_other_detectors_are_refused_by_the_part(detector, said):
    with pytest.raises(ExportError) as error:
        require_supported(built(*detector))
    assert said in str(error.value)
    assert KNOWN in str(error.value)


@pytest.mark.parametrize("name", ["r18_w8", "reppoints_w8", "mask_rcnn_w8", "lite0"])
def test_students_of_the_project_are_accepted(name):
    require_supported(build(name))


def test_a_checkpoint_that_is_no_student_is_refused(tmp_path, dataset):
    torch.save({"state_dict": build("r18_w8").state_dict(), "meta": {}}, tmp_path / "student.pth")
    with pytest.raises(ExportError, match=r"student\.pth: found a checkpoint without meta\.mtpd, expected"):
        export(dataset, spec("r18_w8"), tmp_path / "student.pth", {})


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, dataset):
    (tmp_path / "student.pth").write_text("no checkpoint")
    with pytest.raises(checkpoints.CheckpointError, match="refused, not a plain checkpoint"):
        export(dataset, spec("r18_w8"), tmp_path / "student.pth", {})


def test_missing_annotations_are_named(tmp_path, dataset):
    config = configs.load_config(spec("r18_w8")["config"], {}, shapes.CLASSES)
    checkpoints.save_student(tmp_path / "student.pth", build("r18_w8"), config, shapes.CLASSES, {})
    missing = {**dataset, "train": {"annotations": "missing/train.json", "images": "missing/train"}}
    with pytest.raises(FileNotFoundError, match=r"missing/train\.json"):
        export(missing, spec("r18_w8"), tmp_path / "student.pth", {})


def test_a_class_that_opencv_cannot_write_is_drawn_as_its_number():
    found = {"boxes": np.array([[5.0, 20.0, 60.0, 40.0]]), "scores": np.array([0.5]), "labels": np.array([0])}
    drawn = []
    for name in ("猫", "class 0", "???"):
        picture = np.zeros((64, 128, 3), np.uint8)
        predict.draw(picture, found, [name])
        drawn.append(picture)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


@pytest.mark.parametrize(("kernel", "stride", "groups"), [(3, 2, 1), (5, 2, 4), (3, 1, 1), (4, 4, 2)])
def test_timms_convolution_with_fixed_padding(kernel, stride, groups):
    """Equal to timm's own, whose padding depends on the sides, where these are multiples of the stride."""
    torch.manual_seed(kernel)
    theirs = Conv2dSame(8, 8, kernel, stride, groups=groups)
    ours = HalvingConvolution(theirs)
    assert pads_by_size(theirs)
    for height, width in ((16, 24), (4, 8), (20, 4)):
        images = torch.randn(1, 8, height, width)
        assert torch.equal(ours(images), theirs(images))
