"""What a detector costs to run."""

import pytest
import torch
from conftest import build
from test_families import stock

from mtpd.detectors.complexity import complexity


@pytest.mark.parametrize("name", ["r18_w8", "swin_w32", "reppoints_w8", "mask_rcnn_w8", "cascade_w32"])
def test_every_kind_of_detector_can_be_measured(name):
    detector = build(name).eval()
    found = complexity(detector, torch.zeros(1, 3, 64, 64))
    assert found["params_m"] == sum(p.numel() for p in detector.parameters()) / 1e6
    assert found["gmacs"] > 0
    assert found["ms_per_image"] > 0


def test_complexity_of_dino():
    detector = stock("dino/dino-4scale_r50_8xb2-12e_coco.py").eval()
    assert complexity(detector, torch.zeros(1, 3, 256, 256))["gmacs"] > 0  # room for its 900 queries


def test_multiply_adds_of_a_convolution_are_its_weights_times_its_positions():
    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False)

        def forward(self, image, samples, mode):
            return self.conv(image)

    assert complexity(One(), torch.zeros(1, 3, 20, 30))["gmacs"] == pytest.approx(3 * 5 * 9 * 20 * 30 / 1e9)
