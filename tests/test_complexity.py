"""What a detector costs to run."""

import pytest
import torch
from conftest import build
from test_families import stock

from mtpd.detectors import complexity as complexity_module
from mtpd.detectors.complexity import complexity


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    """Ten runs make a time: no test here depends on how exact it is."""
    monkeypatch.setattr(complexity_module, "MIN_SECONDS", 0)


def test_a_rehearsal_runs_the_heads_of_a_cascade_on_few_proposals(monkeypatch):
    """Every proposal costs the same, and the configured 64 are not exceeded."""
    detector, image, gmacs = build("cascade_w32").eval(), torch.zeros(1, 3, 128, 128), {}
    for count in (100, 32, 16, 8):  # a limit stays in the detector, so they fall
        monkeypatch.setattr(complexity_module, "FEW_PROPOSALS", count)
        gmacs[count] = complexity(detector, image, quick=True)["gmacs"]
    assert gmacs[32] - gmacs[16] == pytest.approx(2 * (gmacs[16] - gmacs[8]))
    assert gmacs[100] == pytest.approx(complexity(build("cascade_w32").eval(), image)["gmacs"])


@pytest.mark.parametrize("name", ["r18_w8", "swin_w32", "reppoints_w8", "mask_rcnn_w8", "cascade_w32"])
def test_every_kind_of_detector_can_be_measured(name):
    detector = build(name).eval()
    found = complexity(detector, torch.zeros(1, 3, 64, 64))
    assert found["params_m"] == sum(p.numel() for p in detector.parameters()) / 1e6
    assert found["gmacs"] > 0
    assert found["ms_per_image"] > 0


@pytest.mark.slow
def test_complexity_of_dino():
    detector = stock("dino/dino-4scale_r50_8xb2-12e_coco.py").eval()
    assert complexity(detector, torch.zeros(1, 3, 256, 256))["gmacs"] > 0  # room for its 900 queries


class Convolution(torch.nn.Module):
    """Takes what a detector takes."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False)
        self.runs = 0

    def forward(self, image, samples, mode):
        self.runs += 1
        return self.conv(image)


def test_multiply_adds_of_a_convolution_are_its_weights_times_its_positions():
    found = complexity(Convolution(), torch.zeros(1, 3, 20, 30))
    assert found["gmacs"] == pytest.approx(3 * 5 * 9 * 20 * 30 / 1e9)


@pytest.mark.parametrize("quick", [True, False])
def test_a_rehearsal_runs_a_detector_once(quick):
    """That counts its multiply-adds; a measurement then runs it at least ten times."""
    detector = Convolution()
    assert complexity(detector, torch.zeros(1, 3, 20, 30), quick)["ms_per_image"] > 0
    assert detector.runs == 1 if quick else detector.runs > 10
