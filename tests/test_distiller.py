"""The distiller around real mmdet detectors."""

import copy
from types import SimpleNamespace

import pytest
import torch
from conftest import PROJECT, build, progressive_stage
from distillers import PKD, batch, losses, oblong
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.logging import MMLogger
from torch.nn.functional import avg_pool2d

from mtpd.data.views import key
from mtpd.datasets import shapes
from mtpd.detectors import configs
from mtpd.distill import distiller as distillers
from mtpd.distill.distiller import Distiller
from mtpd.distill.losses import LOSSES
from mtpd.training.stage import train


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
    teachers = [build("r18_w16", 1), build("swin_w32", 2)]  # as many channels as the student: no adaptors

    def loss(*taught_by):
        distiller = Distiller(build("r18_w8"), list(taught_by), **PKD).train()
        return losses(distiller, batch())["distill_loss_pkd"]

    first, second = map(loss, teachers)
    assert (first - second).abs() > 0.01
    torch.testing.assert_close(loss(*teachers), (first + second) / 2)


def test_the_spread_of_every_teachers_features_is_logged():
    teachers = [build("r18_w16", 1), build("r18_w32", 2)]
    alone = [losses(Distiller(build("r18_w8"), [teacher], **PKD).train(), batch()) for teacher in teachers]
    both = losses(Distiller(build("r18_w8"), teachers, **PKD).train(), batch())
    for number, single in enumerate(alone, 1):
        for stride in (8, 16, 32):
            assert both[f"teacher_sd_{number}_{stride}"] == single[f"teacher_sd_{stride}"] > 0
    assert sum("teacher_sd" in name for name in both) == 6


def test_the_teacher_sees_the_image_in_its_own_normalisation():
    teacher = build("r18_w32")
    teacher.data_preprocessor.mean.fill_(1.0)
    teacher.data_preprocessor.std.fill_(2.0)
    distiller = Distiller(build("r18_w8"), [teacher], **PKD)
    data = distiller.data_preprocessor(batch(), True)
    expected = torch.stack([image.flip(0).float() for image in batch()["inputs"]])  # BGR to RGB
    torch.testing.assert_close(data["teacher_inputs"][0], (expected - 1) / 2)


@pytest.mark.parametrize("changed", [None, "mean", "std", "pad_value"])
def test_images_are_normalised_once_if_student_and_teacher_agree(changed):
    """Either way, the teacher gets what its own preprocessor would give it, in the padding too."""
    student, teacher = build("r18_w8"), build("r18_w32")
    if changed:
        setattr(teacher.data_preprocessor, changed, getattr(teacher.data_preprocessor, changed) + 1)
    images = oblong([[(5.0, 5.0, 20.0, 30.0)]] * 2)
    expected = teacher.data_preprocessor({"inputs": list(images["inputs"])}, False)["inputs"]
    data = Distiller(student, [teacher], **PKD).data_preprocessor(images, True)
    torch.testing.assert_close(data["teacher_inputs"][0], expected, rtol=0, atol=0)
    assert (data["teacher_inputs"][0] is data["inputs"]) == (changed is None)


def renormalised_twin(teacher, factor=3.0):
    """The same detector for images in the other order of channels and of another spread."""
    twin = copy.deepcopy(teacher)
    own = twin.data_preprocessor
    own._channel_conversion = not own._channel_conversion
    own.mean.copy_(own.mean.flip(0))
    own.std.copy_(factor * own.std.flip(0))
    with torch.no_grad():
        twin.backbone.conv1.weight.copy_(factor * twin.backbone.conv1.weight.flip(1))
    return twin


def test_boxes_are_fractions_of_width_and_height():
    """Of the padded batch: images of 50 x 20 pixels become 64 x 32."""
    distiller = Distiller(build("r18_w8"), [build("r18_w16")], **PKD).train()
    seen = []
    distiller.links[0].loss.register_forward_hook(lambda _module, given, _result: seen.extend(given[2]))
    data = batch()
    data["inputs"] = [image[:, :20, :50] for image in data["inputs"]]
    for sample in data["data_samples"]:
        sample.set_metainfo({"img_shape": (20, 50)})
        sample.gt_instances.bboxes = torch.tensor([[16.0, 8.0, 48.0, 16.0]])
    losses(distiller, data)
    assert [boxes.tolist() for boxes in seen] == [[[0.25, 0.25, 0.75, 0.5]]] * 2


class HalvedImages(torch.nn.Module):
    """Means of 2 x 2 pixels: undoes, on even colours, that a teacher sees the image at twice the size."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, images):
        return self.backbone(avg_pool2d(images, 2))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_teachers_normalisation_does_not_change_the_loss(loss):
    teacher = build("r18_w32", 1)
    found = []
    for one in (teacher, renormalised_twin(teacher)):
        torch.manual_seed(0)
        distiller = Distiller(build("r18_w8"), [one], loss, {}).train()
        found.append(distillation(losses(distiller, batch())))
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def distillation(terms):
    return sum(value.item() for name, value in terms.items() if name.startswith("distill_"))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_teachers_scale_does_not_change_the_loss_where_it_sees_the_same(loss):
    """Images of one colour each; the second teacher gets them twice as large, and halves them itself."""
    teacher = build("r18_w32", 1)
    twin = copy.deepcopy(teacher)
    data = batch(scale=2.0)
    for where in ("inputs", key(2.0)):
        data[where] = [torch.full_like(data[where][0], colour) for colour in (40, 200)]
    found = []
    for one, scale in ((teacher, 1.0), (twin, 2.0)):
        torch.manual_seed(0)
        distiller = Distiller(build("r18_w8"), [one], loss, {}, scales=[scale]).train()
        if scale != 1:
            twin.backbone = HalvedImages(twin.backbone)
        found.append(distillation(losses(distiller, data)))
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_the_teachers_features_are_the_same_before_and_after_a_training_epoch(
    dataset, teacher, monkeypatch, tmp_path
):
    """Swin's DropPath stays off, in train mode too, and nothing of it is trained."""
    distillers = []
    original = Distiller.__init__

    def remember(self, *args, **kwargs):
        original(self, *args, **kwargs)
        distillers.append(self)
        features.append(self.teachers[0].extract_feat(image))

    image, features = torch.randn(2, 3, 64, 64), []
    monkeypatch.setattr(Distiller, "__init__", remember)
    stage = progressive_stage(dataset, teacher, epochs=1)
    train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    distillers[0].train()
    features.append(distillers[0].teachers[0].extract_feat(image))
    for before, after in zip(*features, strict=True):
        assert torch.equal(before, after)
    drops = [m for m in distillers[0].teachers[0].modules() if type(m).__name__ == "DropPath"]
    assert drops
    assert not any(module.training for module in drops)


def test_batch_norms_of_a_student_stand_as_in_stock_mmdet():
    """Frozen stages, norms in eval mode: what the config says holds within the distiller too."""
    overrides = {"model.backbone.frozen_stages": 1, "model.backbone.norm_eval": True}
    config = configs.load_config(str(PROJECT / "config/detectors/r18_w8.py"), overrides, shapes.CLASSES)
    alone = configs.build(config).train()
    distilled = Distiller(configs.build(config), [build("r18_w16")], **PKD).train().student
    modes = {name: module.training for name, module in alone.named_modules()}
    assert {name: module.training for name, module in distilled.named_modules()} == modes
    assert not modes["backbone.layer2.0.bn1"]
    trained = {name: value.requires_grad for name, value in alone.named_parameters()}
    assert {name: value.requires_grad for name, value in distilled.named_parameters()} == trained
    assert not trained["backbone.layer1.0.conv1.weight"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_boxes_are_fractions_of_the_padded_batch_by_one_copy_to_the_device(wrapped, monkeypatch):
    """A copy for each image would make a GPU wait as often."""
    boxes = [torch.rand(count, 4) * 900 for count in (3, 0, 1)]
    given = [HorizontalBoxes(found) if wrapped else found for found in boxes]
    samples = [SimpleNamespace(gt_instances=SimpleNamespace(bboxes=found)) for found in given]
    made, create = [], torch.tensor
    monkeypatch.setattr(torch, "tensor", lambda *args, **kwargs: made.append(args) or create(*args, **kwargs))
    found = distillers._relative(samples, (3, 3, 832, 1344))
    assert len(made) == 1
    for ours, pixels in zip(found, boxes, strict=True):
        assert torch.equal(ours, pixels / pixels.new_tensor([1344, 832, 1344, 832]))


def test_common_strides_are_told(caplog):
    logger = MMLogger.get_instance("strides")
    with caplog.at_level("INFO", logger=logger.name):
        logger.addHandler(caplog.handler)
        Distiller(build("r18_w8"), [build("r18_w32")], **PKD)
    assert (
        "distillation at strides [8, 16, 32]; the student has [8, 16, 32], the teacher [8, 16, 32]"
        in caplog.text
    )


def test_a_recipes_options_go_before_the_defaults_of_the_students_kind():
    student = build("mask_rcnn_w8")
    link = Distiller(student, [build("mask_rcnn_swin")], "mgd", {"alpha": 3e-6}).links[0]
    assert (link.loss.alpha, link.loss.mask_ratio) == (3e-6, 0.45)
    link = Distiller(build("r18_w8"), [build("mask_rcnn_swin")], "pkd", {}).links[0]
    assert link.loss.weight == 6.0  # of two-stage teachers
