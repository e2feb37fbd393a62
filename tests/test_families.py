"""The paper's detectors and others, from mmdet's own configs: distilled for one step, on small images."""

import pytest
import torch
from conftest import RECIPE
from mmdet.structures.mask import BitmapMasks
from mmengine.logging import MMLogger
from test_distiller import batch, losses, total

from mtpd.datasets import shapes
from mtpd.detectors import configs, taps
from mtpd.detectors.inherit import InheritError, inherit
from mtpd.distill.distiller import Distiller
from mtpd.training.models import student_and_teachers
from mtpd.training.settings import Stage

CLASSES = ("disc", "square", "triangle")
TWO_STAGE = [4, 8, 16, 32]
ONE_STAGE = [8, 16, 32, 64, 128]
RETINANET = "retinanet/retinanet_r50_fpn_1x_coco.py"
KINDS = {
    "retinanet": "anchor",
    "gfl": "anchor",
    "atss": "anchor",
    "reppoints": "point",
    "fcos": "fcos",
    "mask_rcnn": "two-stage",
    "faster_rcnn": "two-stage",
}
MASK_RCNN = "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"


def stock(name, classes=CLASSES, seed=0, overrides=None):
    config = configs.without_pretraining(configs.load_config(f"mmdet::{name}", overrides or {}, classes))
    torch.manual_seed(seed)
    detector = configs.build(config)
    detector.init_weights()
    return detector


def with_masks(data):
    for sample in data["data_samples"]:
        masks = torch.zeros(1, 64, 64, dtype=torch.uint8).numpy()
        masks[0, 5:40, 5:40] = 1
        sample.gt_instances.masks = BitmapMasks(masks, 64, 64)
    return data


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        (RETINANET, ONE_STAGE),
        ("reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco.py", ONE_STAGE),
        (MASK_RCNN, TWO_STAGE),
        ("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", TWO_STAGE),
        ("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", ONE_STAGE),
        ("gfl/gfl_r50_fpn_1x_coco.py", ONE_STAGE),
        ("atss/atss_r50_fpn_1x_coco.py", ONE_STAGE),
    ],
)
def test_a_student_learns_one_step_from_a_teacher_of_other_strides(name, strides):
    student = stock(name)
    assert configs.kind(student) == KINDS[name.split("/")[0]]
    assert [tap.stride for tap in taps.find_taps(student)] == strides
    distiller = Distiller(student, [stock(RETINANET, seed=1)], "pkd", {}).train()
    terms = losses(distiller, with_masks(batch()))
    common = sorted(set(strides) & set(ONE_STAGE))
    assert sorted(int(key.removeprefix("teacher_sd_")) for key in terms if "teacher_sd" in key) == common
    assert terms["distill_loss_pkd"] > 0
    total({key: value for key, value in terms.items() if "loss" in key}).backward()
    assert all(torch.isfinite(p.grad).all() for p in student.parameters() if p.grad is not None)
    assert student.backbone.layer2[0].downsample[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "strides", "kind"),
    [
        ("retinanet/retinanet_r101_fpn_1x_coco.py", ONE_STAGE, "conv"),
        ("retinanet/retinanet_x101-32x4d_fpn_1x_coco.py", ONE_STAGE, "conv"),
        ("dcn/cascade-mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py", TWO_STAGE, "conv"),
        ("swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py", ONE_STAGE, "conv"),
        ("swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py", TWO_STAGE, "conv"),
        ("htc/htc_r50_fpn_1x_coco.py", TWO_STAGE, "conv"),
        ("detectors/detectors_htc-r50_1x_coco.py", [*TWO_STAGE, 64], "neck"),
        ("deformable_detr/deformable-detr_r50_16xb2-50e_coco.py", [8, 16, 32, 64], "neck"),
        ("dino/dino-4scale_r50_8xb2-12e_coco.py", [8, 16, 32, 64], "neck"),
    ],
)
def test_a_teacher_is_read_where_its_neck_ends(name, strides, kind):
    teacher = stock(name).eval()
    found = taps.find_taps(teacher)
    assert [tap.stride for tap in found] == strides
    assert {tap.channels for tap in found} == {256}
    assert all((tap.index is None) == (kind == "conv") for tap in found)
    image = torch.randn(1, 3, 128, 128)
    with torch.no_grad(), taps.recorded(teacher, {tap.module for tap in found}) as outputs:
        features = teacher.extract_feat(image)
    if kind == "neck":
        for level, feature in zip(taps.read(outputs, found), features, strict=True):
            assert level is feature
    distiller = Distiller(stock(RETINANET), [teacher], "feature-matching", {})
    assert losses(distiller.train(), batch(128))["distill_loss_feature_matching"] > 0
    assert not teacher.training


@pytest.mark.parametrize(
    ("name", "kind"),
    [("rtmdet/rtmdet_tiny_8xb32-300e_coco.py", "rtmdet"), ("yolox/yolox_tiny_8xb8-300e_coco.py", "yolox")],
)
@pytest.mark.parametrize("options", [{}, {"weight": 3.0}])
def test_weights_that_nobody_has_published_are_told(name, kind, options, caplog):
    student = stock(name)
    assert configs.kind(student) == kind
    logger = MMLogger.get_instance(f"weights-{kind}-{len(options)}")
    with caplog.at_level("WARNING", logger=logger.name):
        logger.addHandler(caplog.handler)
        link = Distiller(student, [stock(RETINANET, seed=1)], "pkd", options).links[0]
    assert link.loss.weight == options.get("weight", 10.0)  # by default as for anchor-based students
    assert (f"have published no weights for students of kind {kind}" in caplog.text) == (not options)


def test_a_cascade_gives_its_first_heads_to_a_mask_rcnn():
    student, cascade = stock(MASK_RCNN), stock("dcn/cascade-mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py", seed=1)
    report = inherit(student, cascade.state_dict())
    head, first = student.roi_head.bbox_head, cascade.roi_head.bbox_head[0]
    assert report["tiled"] == ["roi_head.bbox_head.fc_reg.weight", "roi_head.bbox_head.fc_reg.bias"]
    for number in range(len(CLASSES)):
        rows = slice(4 * number, 4 * number + 4)
        torch.testing.assert_close(head.fc_reg.weight[rows], first.fc_reg.weight)
    torch.testing.assert_close(head.fc_cls.weight, first.fc_cls.weight)
    torch.testing.assert_close(head.shared_fcs[1].weight, first.shared_fcs[1].weight)
    mask = student.roi_head.mask_head
    torch.testing.assert_close(mask.conv_logits.weight, cascade.roi_head.mask_head[0].conv_logits.weight)
    torch.testing.assert_close(student.rpn_head.rpn_cls.weight, cascade.rpn_head.rpn_cls.weight)
    torch.testing.assert_close(
        student.neck.lateral_convs[0].conv.weight, cascade.neck.lateral_convs[0].conv.weight
    )
    assert report["skipped"] == report["other_classes"] == []
    assert all(name.startswith("roi_head.") and (".1." in name or ".2." in name) for name in report["absent"])


def test_swin_gives_a_resnet_what_fits():
    student, swin = stock(RETINANET), stock("swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py", seed=1)
    report = inherit(student, swin.state_dict())
    laterals = [f"neck.lateral_convs.{i}.conv.weight" for i in range(3)]
    assert report["skipped"] == [*laterals, "neck.fpn_convs.3.conv.weight"]
    torch.testing.assert_close(student.bbox_head.retina_reg.weight, swin.bbox_head.retina_reg.weight)


def test_heads_for_other_classes_are_not_inherited():
    spec = {"config": f"mmdet::{RETINANET}", "overrides": {}}
    per_class = configs.class_dependent(spec, CLASSES)
    assert per_class == {"bbox_head.retina_cls.weight": 9, "bbox_head.retina_cls.bias": 9}  # anchors
    student, teacher = stock(RETINANET), stock(RETINANET, ("ring", "disc", "square"), seed=1)
    before = student.bbox_head.retina_cls.weight.clone()
    report = inherit(student, teacher.state_dict(), set(per_class))
    assert report["other_classes"] == list(per_class)
    torch.testing.assert_close(student.bbox_head.retina_cls.weight, before)
    torch.testing.assert_close(student.bbox_head.retina_reg.weight, teacher.bbox_head.retina_reg.weight)


def test_nothing_to_inherit_is_an_error():
    with pytest.raises(InheritError, match="nothing to inherit"):
        inherit(
            stock(RETINANET), {"backbone.conv1.weight": torch.zeros(64, 3, 7, 7), "head.x": torch.zeros(1)}
        )


def test_a_teacher_may_see_larger_images():
    teacher = stock(RETINANET, seed=1)
    sizes = []
    teacher.backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[2:])))
    distiller = Distiller(stock(RETINANET), [teacher], "pkd", {}, scales=[1.5]).train()
    sizes.clear()
    assert losses(distiller, batch(scale=1.5))["distill_loss_pkd"] > 0
    assert sizes == [(96, 96)]


def test_a_parent_of_the_detr_family_keeps_its_weights(dataset, tmp_path):
    """The runner calls init_weights(), which draws the transformer anew even where it is marked."""
    config = "mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py"
    student = {"config": config, "overrides": {}, "image_scale": 1, "taps": None}
    parent = stock(config.removeprefix("mmdet::"), shapes.CLASSES)
    torch.save({"state_dict": parent.state_dict()}, tmp_path / "parent.pth")
    stage = Stage(dataset, student, RECIPE, epochs=1, seed=0, parent=str(tmp_path / "parent.pth"))
    built = configs.without_pretraining(configs.load_config(config, {}, shapes.CLASSES))
    model, _ = student_and_teachers(stage, built, shapes.CLASSES, resuming=False)
    model.init_weights()
    for name, value in model.state_dict().items():
        assert torch.equal(value, parent.state_dict()[name]), name
    type(model).init_weights(model)
    assert not torch.equal(model.level_embed, parent.level_embed)
