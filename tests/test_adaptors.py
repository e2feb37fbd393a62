"""Adaptors between the student's features and the teacher's."""

import pytest
import torch
from conftest import build
from distillers import PKD, batch, losses

from mtpd.distill.distiller import Distiller


def test_adaptors_stand_only_where_channels_differ():
    same = Distiller(build("r18_w8"), [build("swin_w32")], **PKD)
    wider = Distiller(build("r18_w8"), [build("r18_w32")], **PKD)
    assert [type(a).__name__ for a in same.links[0].adaptors] == ["Identity"] * 3
    assert [(a.in_channels, a.out_channels) for a in wider.links[0].adaptors] == [(64, 96)] * 3


def test_adaptors_stand_everywhere_if_the_recipe_says_so():
    distiller = Distiller(build("r18_w8"), [build("swin_w32")], **PKD, adaptors="always")
    assert [(a.in_channels, a.out_channels) for a in distiller.links[0].adaptors] == [(64, 64)] * 3


def test_adaptors_from_identity_change_nothing_at_first():
    """The same loss as without adaptors where channels are equal; where they differ, plain convolutions."""
    student, teacher = build("r18_w8"), build("swin_w32")
    found = {
        kind: losses(Distiller(student, [teacher], **PKD, adaptors=kind).eval(), batch())["distill_loss_pkd"]
        for kind in ("where-needed", "from-identity", "always")
    }
    assert found["from-identity"].item() == pytest.approx(found["where-needed"].item(), rel=1e-5)
    assert found["always"].item() != pytest.approx(found["where-needed"].item(), rel=1e-2)
    link = Distiller(build("r18_w8"), [build("r18_w32")], **PKD, adaptors="from-identity").links[0]
    assert [(a.in_channels, a.out_channels) for a in link.adaptors] == [(64, 96)] * 3
    assert link.adaptors[0].weight.std() > 0.01


def test_an_adaptor_from_identity_is_the_identity_at_first():
    """Its weights and its bias; PKD standardises each channel, so it sees no bias."""
    distiller = Distiller(build("r18_w8"), [build("swin_w32")], **PKD, adaptors="from-identity")
    for adaptor in distiller.links[0].adaptors:
        features = torch.randn(2, adaptor.in_channels, 5, 4)
        assert torch.equal(adaptor(features), features)


def test_gradients_reach_the_student_through_the_distillation_loss_alone():
    distiller = Distiller(build("r18_w8"), [build("r18_w32")], **PKD).train()
    losses(distiller, batch())["distill_loss_pkd"].backward()
    assert distiller.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert distiller.links[0].adaptors[0].weight.grad.abs().sum() > 0
    assert distiller.student.bbox_head.retina_cls.weight.grad is None
