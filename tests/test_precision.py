"""bfloat16: mmcv's operators have no kernels for it, so they compute in float32; so do the losses."""

import pytest
import torch
from conftest import build, progressive_stage, spec, weights
from mmcv import ops
from mmcv.ops.nms import NMSop
from test_distiller import batch, losses

from mtpd.datasets import shapes
from mtpd.detectors import configs
from mtpd.distill.distiller import Distiller
from mtpd.distill.losses import LOSSES
from mtpd.training.precision import WITHOUT_BFLOAT16, accept_bfloat16
from mtpd.training.stage import train

BOXES = torch.tensor([[0.0, 1, 1, 6, 6]])


def roi_align(x):
    return ops.roi_align(x, BOXES, (2, 2), 1.0, 0, "avg", True)


def modulated(x):
    torch.manual_seed(1)
    return ops.ModulatedDeformConv2dPack(4, 4, 3, padding=1)(x)


def deformable(x):
    torch.manual_seed(1)
    return ops.DeformConv2dPack(4, 4, 3, padding=1)(x)


@pytest.mark.parametrize("operator", [roi_align, modulated, deformable])
def test_operators_compute_in_float32_within_mixed_precision(operator):
    for function in WITHOUT_BFLOAT16:
        accept_bfloat16(function)
    torch.manual_seed(0)
    image, convolution = torch.randn(1, 4, 8, 8), torch.nn.Conv2d(4, 4, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = convolution(image)
        found = operator(x)
        found.float().sum().backward()
    assert x.dtype == found.dtype == torch.bfloat16
    gradient = convolution.weight.grad.clone()
    # The same in float32, from features that were rounded to bfloat16.
    convolution.weight.grad = None
    rounded = convolution(image) + (x.detach().float() - convolution(image)).detach()
    expected = operator(rounded)
    expected.sum().backward()
    torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(gradient, convolution.weight.grad, rtol=5e-2, atol=5e-2)


def test_boxes_are_suppressed_with_scores_in_bfloat16():
    accept_bfloat16(NMSop)
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.75, 0.25])
    kept, found = ops.nms(boxes, scores.bfloat16(), 0.5), ops.nms(boxes, scores, 0.5)
    assert kept[1].tolist() == found[1].tolist() == [1, 2]


def test_a_two_stage_student_learns_from_a_deformable_teacher_in_bfloat16(dataset, tmp_path):
    """RoIAlign in the student, modulated deformable convolution in the teacher."""
    student = spec("mask_rcnn_w8")
    deformable = {"type": "DCNv2", "deform_groups": 1, "fallback_on_stride": False}
    changes = {
        "model.backbone.depth": 50,
        "model.backbone.dcn": deformable,
        "model.backbone.stage_with_dcn": (False, True, True, True),
        "model.neck.in_channels": [32, 64, 128, 256],
    }
    teacher = {**student, "overrides": changes}
    config = configs.load_config(teacher["config"], teacher["overrides"], shapes.CLASSES)
    checkpoint = str(tmp_path / "teacher.pth")
    torch.save({"state_dict": configs.build(config).state_dict()}, checkpoint)
    source = {"teachers": (teacher,), "inherits": teacher, "inherited_weights": checkpoint}
    stage = progressive_stage(dataset, checkpoint, student=student, precision="bfloat16", epochs=1, **source)
    train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())


@pytest.mark.parametrize("loss", LOSSES)
def test_terms_are_float32_under_autocast(loss):
    distiller = Distiller(build("r18_w8"), [build("r18_w32", 1)], loss, {}).train()
    with torch.autocast("cpu", torch.bfloat16):
        terms = losses(distiller, batch())
    distilled = {name: value for name, value in terms.items() if name.startswith("distill_")}
    assert {value.dtype for value in distilled.values()} == {torch.float32}
    assert all(torch.isfinite(value) for value in distilled.values())
