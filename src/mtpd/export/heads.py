"""What a dense head finds on one level of the pyramid, before the suppression: one function for each family.

A family is the heads that share a post-processing of mmdet. Each function takes the head, the level, its
priors (anchors, N x 4, or points, N x 2), the head's outputs (each 1 x channels x height x width) and the
size of the image. It gives boxes (left, top, right, bottom), scores and labels; a score that is too low
became 0.
"""

from __future__ import annotations

import torch
from mmdet.models.dense_heads import GFLHead, RepPointsHead, YOLOXHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.coders.delta_xywh_bbox_coder import onnx_delta2bbox
from torch import Tensor, nn
from torch.nn.functional import pad

Size = tuple[int, int]  # height and width in pixels
Found = tuple[Tensor, Tensor, Tensor]  # boxes, scores, labels
WIDEST = 16 / 1000  # mmdet's limit of the ratio between a box and its prior, which no config changes
METHODS = ("predict", "predict_by_feat", "_predict_by_feat_single", "_bbox_post_process")


def from_coder(head: nn.Module, level: int, priors: Tensor, outputs: list[Tensor], size: Size) -> Found:
    """RetinaNet, ATSS, FCOS, RTMDet and region proposal networks: the box coder of the config."""
    scores, labels, best = best_of(head, outputs)
    boxes = of_coder(head.bbox_coder, priors[best], rows(outputs[1], 4)[best])
    return clipped(boxes, size), scores, labels


def from_points(head: nn.Module, level: int, priors: Tensor, outputs: list[Tensor], size: Size) -> Found:
    """RepPoints: distances of the sides from a point, in strides."""
    scores, labels, best = best_of(head, outputs)
    boxes = rows(outputs[1], 4)[best] * head.point_strides[level] + priors[best, :2].repeat(1, 2)
    return clipped(boxes, size), scores, labels


def from_distributions(
    head: nn.Module, level: int, priors: Tensor, outputs: list[Tensor], size: Size
) -> Found:
    """GFL: a distribution for each distance of a side from the anchor's centre, in strides."""
    scores, labels, best = best_of(head, outputs)
    values = head.integral.project
    distributions = rows(outputs[1], 4 * len(values))[best].reshape(-1, 4, len(values)).softmax(-1)
    distances = distributions @ values * head.prior_generator.strides[level][0]
    boxes = head.bbox_coder.decode(head.anchor_center(priors[best]), distances)
    return clipped(boxes, size), scores, labels


def from_cells(head: nn.Module, level: int, priors: Tensor, outputs: list[Tensor], size: Size) -> Found:
    """YOLOX: one class for each point, the score times that of an object; boxes are not clipped."""
    scores, labels = rows(outputs[0], head.cls_out_channels).sigmoid().max(1)
    scores = scores * outputs[2].flatten().sigmoid()
    scores = torch.where(scores >= head.test_cfg.score_thr, scores, 0)
    cells = pad(priors, (0, 2), value=head.prior_generator.strides[level][0])
    return head._bbox_decode(cells, rows(outputs[1], 4)), scores, labels


FAMILIES = {
    BaseDenseHead: from_coder,
    RepPointsHead: from_points,
    GFLHead: from_distributions,
    YOLOXHead: from_cells,
}


def reader(head: nn.Module):
    """The function for a head's family; None if the head has a post-processing of its own."""
    for family, read in FAMILIES.items():
        if all(getattr(type(head), name, None) is getattr(family, name) for name in METHODS):
            return read
    return None


def most_detections(head: nn.Module) -> int | None:
    """How many detections a head leaves in an image; None if all, as YOLOX does whatever its config says."""
    return None if isinstance(head, YOLOXHead) else head.test_cfg.max_per_img


def rows(output: Tensor, columns: int) -> Tensor:
    """An output as one row for each prior."""
    return output[0].permute(1, 2, 0).reshape(-1, columns)


def best_of(head: nn.Module, outputs: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and labels of the ``nms_pre`` best predictions, and the indices of their priors."""
    scores = rows(outputs[0], head.cls_out_channels)
    scores = scores.sigmoid() if head.use_sigmoid_cls else scores.softmax(-1)[:, :-1]
    classes = scores.shape[1]
    best, index = scores.flatten().topk(min(head.test_cfg.nms_pre, scores.numel()))
    prior, labels = index // classes, index % classes
    best = torch.where(best > head.test_cfg.get("score_thr", 0), best, 0)
    for factor in outputs[2:]:  # centerness
        best = best * factor.flatten().sigmoid()[prior]
    return best, labels, prior


def of_coder(coder, priors: Tensor, deltas: Tensor) -> Tensor:
    """Boxes (N x 4) from what a network predicts for priors (N x 4); not clipped."""
    if not isinstance(coder, DeltaXYWHBBoxCoder):
        return coder.decode(priors, deltas)
    return onnx_delta2bbox(
        priors, deltas, coder.means, coder.stds, None, WIDEST, False, coder.add_ctr_clamp, coder.ctr_clamp
    )


def clipped(boxes: Tensor, size: Size) -> Tensor:
    """Boxes without what lies outside an image."""
    x, y = boxes[:, 0::2].clamp(0, size[1]), boxes[:, 1::2].clamp(0, size[0])
    return torch.stack([x, y], -1).flatten(1)
