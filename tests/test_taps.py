"""Where features are read, and how levels are paired."""

import pytest
import torch
from conftest import build

from mtpd.detectors import taps
from mtpd.distill.distiller import Distiller


def test_taps_of_an_fpn_are_its_convolutions_with_their_strides():
    found = taps.find_taps(build("r18_w32"))
    assert [(tap.module, tap.stride, tap.channels) for tap in found] == [
        (f"neck.fpn_convs.{level}.conv", 8 * 2**level, 96) for level in range(3)
    ]


def test_a_tap_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no module 'neck\.nothing'"):
        taps.find_taps(build("r18_w8"), ["neck.nothing"])


def test_two_modules_of_one_stride_are_refused():
    """Levels are paired by stride: one of the two would be left out without a word."""
    with pytest.raises(ValueError, match=r"layer3' and 'neck\.fpn_convs\.1\.conv' both have stride 16"):
        taps.find_taps(build("r18_w8"), ["backbone.layer3", "neck.fpn_convs.1.conv"])


def test_levels_are_paired_by_stride_not_by_index():
    def levels(*strides):
        return [taps.Tap(f"m{stride}", None, stride, 4) for stride in strides]

    pairs = taps.pair_by_stride(levels(8, 16, 32), levels(4, 8, 16))
    assert [(s.stride, t.stride) for s, t in pairs] == [(8, 8), (16, 16)]
    with pytest.raises(ValueError, match="share no stride"):
        taps.pair_by_stride(levels(8), levels(4))


@pytest.mark.parametrize("training", [True, False])
def test_a_detector_whose_taps_are_found_is_as_before(training):
    detector = build("r18_w8").train(training)
    taps.find_taps(detector)
    assert all(module.training == training for module in detector.modules())
    assert not any(module._forward_hooks for module in detector.modules())


@pytest.mark.parametrize("grid", [(4, 6), (8, 6), (4, 12), (5, 7)])
def test_features_of_another_height_or_width_are_resized(grid):
    source = torch.rand(1, 2, 4, 6)
    resized = taps.on_grid(source, torch.zeros(1, 3, *grid))
    assert resized.shape == (1, 2, *grid)
    assert (resized is source) == (grid == (4, 6))


def test_taps_of_student_and_teacher_can_be_named():
    distiller = Distiller(
        build("r18_w8"),
        [build("r18_w32")],
        loss="pkd",
        options={},
        student_modules=["backbone.layer2"],
        teacher_modules=[["backbone.layer2", "backbone.layer3"]],
    )
    link = distiller.links[0]
    assert [(tap.module, tap.stride, tap.channels) for tap in link.student_taps] == [
        ("backbone.layer2", 8, 16)
    ]
    assert [(tap.module, tap.stride, tap.channels) for tap in link.teacher_taps] == [
        ("backbone.layer2", 8, 64)
    ]
