"""Everything runs on the device of the features.

Tensors on the device ``meta`` have shapes but no values. Like a GPU's, they refuse to mix with those of the
CPU. They also refuse to give values to Python, for which a GPU would have to wait.
"""

import pytest
import torch
from conftest import PROJECT, build
from test_adaptation import probe_images
from test_distiller import batch

from mtpd.adaptation.cost import cost, measure
from mtpd.datasets import shapes
from mtpd.detectors import configs
from mtpd.distill.distiller import Distiller
from mtpd.distill.losses import LOSSES
from mtpd.distill.losses.fgd import masks


def build_on_meta(name):
    """A detector without its initialisation, which reads values."""
    config = configs.load_config(str(PROJECT / f"config/detectors/{name}.py"), {}, shapes.CLASSES)
    return configs.build(config).to("meta")


def test_masks_of_fgd():
    boxes = [torch.zeros(3, 4, device="meta"), torch.zeros(0, 4, device="meta")]
    front, back = masks(boxes, torch.zeros(2, 3, 5, 7, device="meta"))
    assert front.device.type == back.device.type == "meta"
    assert front.shape == back.shape == (2, 1, 5, 7)


def test_adaptation_costs(monkeypatch):
    def looked_at(*args):
        assert cost(*args).device.type == "meta"
        return torch.tensor(0.5)  # a value to read

    monkeypatch.setattr("mtpd.adaptation.cost.cost", looked_at)
    scales = {"r18_w8": 1.0, "r18_w16": 1.0, "swin_w32": 1.5}
    detectors = {name: build_on_meta(name).eval() for name in scales}
    costs = measure(detectors, dict.fromkeys(scales), scales, probe_images(), half=3)
    assert len(costs) == 18


@pytest.mark.parametrize("loss", LOSSES)
def test_a_training_step(loss, monkeypatch):
    """All but the student's own loss, which chooses anchors by their values."""
    student, teachers = build("r18_w8"), [build("r18_w32") for _ in range(2)]
    teachers[1].data_preprocessor.mean += 1  # it does not get the student's images
    monkeypatch.setattr(student.bbox_head, "loss", lambda levels, _: {"loss_cls": levels[0].mean()})
    distiller = Distiller(student, teachers, loss, {}, scales=[1.0, 1.5], device="meta").to("meta").train()
    terms = distiller(**distiller.data_preprocessor(batch(scale=1.5), True), mode="loss")
    assert {value.device.type for value in terms.values()} == {"meta"}
    assert any(name.startswith("distill_") for name in terms)
    sum(value for name, value in terms.items() if "loss" in name).backward()
    assert student.backbone.conv1.weight.grad.device.type == "meta"
