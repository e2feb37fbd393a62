"""Every pair of student and teacher of the paper, and more: mmdet's own configs, one step of distilling each."""

import pytest
import torch
from mmdet.models.backbones.resnet import Bottleneck
from mmengine.optim import build_optim_wrapper
from test_distiller import batch, losses
from test_families import MASK_RCNN, RETINANET, stock, with_masks

from mtpd.detectors.inherit import InheritError, inherit
from mtpd.distill.distiller import Distiller
from mtpd.experiment.recipe_schema import Recipe
from mtpd.training import optimisation

REPPOINTS = "reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco.py"
RETINANET_SWIN = "swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py"
SWIN_S = {"model.backbone.depths": [2, 2, 18, 2]}
LATERALS = [f"neck.lateral_convs.{i}.conv.weight" for i in range(4)]
CASCADE_TILED = ["roi_head.bbox_head.fc_reg.weight", "roi_head.bbox_head.fc_reg.bias"]

# Student, teacher, overrides of the teacher's config; and what of the teacher is skipped and tiled.
PAIRS = {
    "retinanet-r101": (RETINANET, "retinanet/retinanet_r101_fpn_ms-640-800-3x_coco.py", {}, [], []),
    "retinanet-x101": (RETINANET, "retinanet/retinanet_x101-64x4d_fpn_ms-640-800-3x_coco.py", {}, [], []),
    "retinanet-swin-t": (RETINANET, RETINANET_SWIN, {}, [*LATERALS[:3], "neck.fpn_convs.3.conv.weight"], []),
    "retinanet-swin-s": (RETINANET, RETINANET_SWIN, SWIN_S, [*LATERALS[:3], "neck.fpn_convs.3.conv.weight"], []),
    "mask-cascade-r50": (MASK_RCNN, "dcn/cascade-mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py", {}, [], CASCADE_TILED),
    "mask-cascade-x101": (MASK_RCNN, "dcn/cascade-mask-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco.py", {}, [], CASCADE_TILED),
    "mask-swin-t": (MASK_RCNN, "swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py", {}, LATERALS, []),
    "mask-swin-s": (MASK_RCNN, "swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py", {}, LATERALS, []),
    "reppoints-r101": (REPPOINTS, "reppoints/reppoints-moment_r101_fpn-gn_head-gn_2x_coco.py", {}, [], []),
    "reppoints-x101": (REPPOINTS, "reppoints/reppoints-moment_x101-dconv-c3-c5_fpn-gn_head-gn_2x_coco.py", {}, [], []),
    "mask-htc": (MASK_RCNN, "htc/htc_r50_fpn_1x_coco.py", {}, [], CASCADE_TILED),
    "mask-detectors": (MASK_RCNN, "detectors/detectors_htc-r50_1x_coco.py", {}, [], CASCADE_TILED),
    "retinanet-deformable-detr": (RETINANET, "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py", {}, [], []),
    "retinanet-dino": (RETINANET, "dino/dino-4scale_r50_8xb2-12e_coco.py", {}, [], []),
}  # fmt: skip
WITHOUT_COMMON_NAMES = (
    "retinanet-deformable-detr",
    "retinanet-dino",
)  # their necks and heads are of another build


def as_if_trained(student):
    """Residual branches start at zero, where their convolutions get no gradient; a pretrained ResNet's do not."""
    for module in student.backbone.modules():
        if isinstance(module, Bottleneck):
            torch.nn.init.constant_(module.norm3.weight, 0.2)
    return student


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
def test_one_step_moves_all_of_the_student_and_nothing_of_the_teacher(pair):
    name, teacher_name, overrides, skipped, tiled = PAIRS[pair]
    student, teacher = as_if_trained(stock(name)), stock(teacher_name, seed=1, overrides=overrides)
    if pair not in WITHOUT_COMMON_NAMES:
        report = inherit(student, teacher.state_dict())
        assert report["skipped"] == skipped
        assert report["tiled"] == tiled
        assert report["other_classes"] == []
        assert {key.split(".")[0] for key in report["inherited"]} >= {"neck"}
    # Masked, a map of one position could be hidden whole, and its generator get no gradient.
    distiller = Distiller(student, [teacher], "mgd", {"mask_ratio": 0.0}).train()
    recipe = Recipe(loss={"name": "mgd"}, optimizer={"type": "AdamW", "lr": 1e-4, "weight_decay": 0.0})
    optimizer = build_optim_wrapper(distiller, optimisation.optim_wrapper(recipe.model_dump()))
    before = {key: value.clone() for key, value in distiller.named_parameters()}
    teachers = {key: value.clone() for key, value in teacher.state_dict().items()}

    terms = losses(distiller, with_masks(batch(128)))
    total, _ = distiller.parse_losses(terms)
    assert torch.isfinite(total)
    assert terms["distill_loss_mgd"] > 0
    optimizer.update_params(total)

    still = [
        key
        for key, value in distiller.named_parameters()
        if value.requires_grad and torch.equal(value, before[key])
    ]
    assert still == []
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, teachers[key]), key
    saved = sum(value.numel() for value in distiller.state_dict().values())
    own = sum(
        value.numel() for part in (distiller.student, distiller.links) for value in part.state_dict().values()
    )
    assert saved == own  # nothing of the teacher is in a checkpoint


def test_a_teacher_of_another_build_has_nothing_to_inherit():
    with pytest.raises(InheritError, match="nothing to inherit"):
        inherit(stock(RETINANET), stock("dino/dino-4scale_r50_8xb2-12e_coco.py").state_dict())
