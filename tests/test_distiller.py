"""The distiller around real mmdet detectors."""

import pytest
import torch
from conftest import build
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mtpd import taps
from mtpd.distiller import Distiller

PKD = {"loss": "pkd", "options": {"weight": 4.0}}


def batch(size=64):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator)
    sample = DetDataSample(metainfo={"img_shape": (size, size), "ori_shape": (size, size), "img_id": 1})
    boxes = torch.tensor([[5.0, 5.0, 40.0, 40.0]])
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([2]))
    return {"inputs": [image, image.flip(2)], "data_samples": [sample, sample.clone()]}


def losses(model, data):
    return model(**model.data_preprocessor(data, True), mode="loss")


def total(terms):
    return sum(sum(term) if isinstance(term, list) else term for term in terms.values())


@pytest.mark.parametrize("teacher", ["r18_w16", "r18_w32", "swin_w32"])
def test_the_detection_losses_are_stock_mmdets_and_the_distillation_loss_is_beside_them(teacher):
    alone = losses(build("r18_w8").train(), batch())
    distilled = losses(Distiller(build("r18_w8"), [build(teacher, 1)], **PKD).train(), batch())
    logged = {f"teacher_sd_{stride}" for stride in (8, 16, 32)}
    assert set(distilled) - set(alone) == {"distill_loss_pkd", *logged}
    assert 0 < distilled["distill_loss_pkd"].item() < 4.0 * 2 * 5
    for name, value in alone.items():
        torch.testing.assert_close(distilled[name], value)


def test_the_student_runs_once():
    distiller = Distiller(build("r18_w8"), [build("r18_w32")], **PKD).train()
    calls = []
    distiller.student.backbone.register_forward_hook(lambda *_: calls.append(1))
    losses(distiller, batch())
    assert len(calls) == 1


def test_the_teacher_stays_frozen_in_eval_mode_and_outside_the_module_tree():
    teacher = build("swin_w32")
    distiller = Distiller(build("r18_w8"), [teacher], **PKD)
    distiller.train()
    assert not any(module.training for module in teacher.modules())
    owned = {id(p) for p in distiller.parameters()}
    assert not any(id(p) in owned or p.requires_grad for p in teacher.parameters())
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    total(losses(distiller, batch())).backward()
    for name, value in teacher.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    modules = {name.split(".")[0] for name in distiller.state_dict()}
    assert modules <= {"student", "links", "data_preprocessor"}


def test_two_teachers_weigh_half_each():
    torch.manual_seed(0)
    one = losses(Distiller(build("r18_w8"), [build("r18_w16", 1)], **PKD).train(), batch())
    torch.manual_seed(0)
    twice = [build("r18_w16", 1), build("r18_w16", 1)]
    both = losses(Distiller(build("r18_w8"), twice, **PKD).train(), batch())
    torch.testing.assert_close(both["distill_loss_pkd"], one["distill_loss_pkd"])


def test_the_teacher_sees_the_image_in_its_own_normalisation():
    teacher = build("r18_w32")
    teacher.data_preprocessor.mean.fill_(1.0)
    teacher.data_preprocessor.std.fill_(2.0)
    distiller = Distiller(build("r18_w8"), [teacher], **PKD)
    data = distiller.data_preprocessor(batch(), True)
    expected = torch.stack([image.flip(0).float() for image in batch()["inputs"]])  # BGR to RGB
    torch.testing.assert_close(data["teacher_inputs"][0], (expected - 1) / 2)


def test_adaptors_stand_only_where_channels_differ():
    same = Distiller(build("r18_w8"), [build("swin_w32")], **PKD)
    wider = Distiller(build("r18_w8"), [build("r18_w32")], **PKD)
    assert [type(a).__name__ for a in same.links[0].adaptors] == ["Identity"] * 3
    assert [(a.in_channels, a.out_channels) for a in wider.links[0].adaptors] == [(64, 96)] * 3


def test_gradients_reach_the_student_through_the_distillation_loss_alone():
    distiller = Distiller(build("r18_w8"), [build("r18_w32")], **PKD).train()
    losses(distiller, batch())["distill_loss_pkd"].backward()
    assert distiller.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert distiller.links[0].adaptors[0].weight.grad.abs().sum() > 0
    assert distiller.student.bbox_head.retina_cls.weight.grad is None


def test_taps_of_an_fpn_are_its_convolutions_with_their_strides():
    found = taps.find_taps(build("r18_w32"))
    assert [(tap.module, tap.stride, tap.channels) for tap in found] == [
        (f"neck.fpn_convs.{level}.conv", 8 * 2**level, 96) for level in range(3)
    ]


def test_a_tap_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no module 'neck\.nothing'"):
        taps.find_taps(build("r18_w8"), ("neck.nothing",))


def test_levels_are_paired_by_stride_not_by_index():
    def levels(*strides):
        return [taps.Tap(f"m{stride}", None, stride, 4) for stride in strides]

    pairs = taps.pair_by_stride(levels(8, 16, 32), levels(4, 8, 16))
    assert [(s.stride, t.stride) for s, t in pairs] == [(8, 8), (16, 16)]
    with pytest.raises(ValueError, match="share no stride"):
        taps.pair_by_stride(levels(8), levels(4))
