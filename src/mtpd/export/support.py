"""Which detectors can be exported: those whose post-processing ``mtpd.export.graph`` repeats."""

from __future__ import annotations

from mmcv.ops import DeformConv2d, RoIAlign
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import SingleRoIExtractor, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder, DistancePointBBoxCoder
from torch import nn

from mtpd.export.heads import reader

OPERATORS = (DeformConv2d, RoIAlign)  # of mmcv, which are replaced
CODERS = (DeltaXYWHBBoxCoder, DistancePointBBoxCoder)
KNOWN = "RetinaNet, ATSS, FCOS, GFL, RepPoints, RTMDet, YOLOX, Faster R-CNN and Mask R-CNN"
LARGEST_STRIDE = 32  # of backbones
LIMIT = f"export knows {KNOWN} (docs/export.md)"


class ExportError(ValueError):
    """A student cannot be exported, or its export does not agree with it."""


def require_supported(detector: nn.Module) -> None:
    """Check that a detector consists of parts that can be exported.

    Raises:
        ExportError: a line for each part that cannot.
    """
    if wrong := list(_unsupported(detector)):
        raise ExportError("\n".join([f"{type(detector).__name__} cannot be exported: {LIMIT}", *wrong]))


def pads_by_size(module: nn.Module) -> bool:
    """Whether a layer is timm's ``Conv2dSame``, which pads by the size of its input. timm is not imported."""
    return type(module).__name__ == "Conv2dSame" and type(module).__module__.startswith("timm.")


def _unsupported(detector: nn.Module):
    yield from _wrong_type("data_preprocessor", detector.data_preprocessor, DetDataPreprocessor)
    for name, module in detector.named_modules():
        if type(module).__module__.startswith("mmcv.ops") and type(module) not in OPERATORS:
            yield f"{name}: found mmcv's {type(module).__name__}, of mmcv expected {_names(OPERATORS)} only"
        if type(module) is DeformConv2d and module.groups * module.deform_groups != 1:
            yield f"{name}: found a deformable convolution in groups, expected one group"
    divisor = getattr(detector.data_preprocessor, "pad_size_divisor", 1)
    if divisor % LARGEST_STRIDE and any(map(pads_by_size, detector.modules())):
        yield f"data_preprocessor.pad_size_divisor: found {divisor}, expected a multiple of {LARGEST_STRIDE}"
    if isinstance(detector, TwoStageDetector) and detector.with_rpn and detector.with_roi_head:
        yield from _in_two_stages(detector)
    elif isinstance(detector, SingleStageDetector) and not isinstance(detector, TwoStageDetector):
        yield from _in_one_stage(detector.bbox_head)
    else:
        yield f"found {type(detector).__name__}, expected a single-stage or two-stage detector"


def _in_one_stage(head: nn.Module):
    if reader(head) is None:
        yield f"bbox_head: {type(head).__name__} has a post-processing of its own"
        return
    if hasattr(head, "bbox_coder"):
        yield from _unknown_coder("bbox_head", head.bbox_coder)
    yield from _unknown_settings("test_cfg", head.test_cfg)


def _in_two_stages(detector: nn.Module):
    rpn_head, roi_head = detector.rpn_head, detector.roi_head
    yield from _wrong_type("rpn_head", rpn_head, RPNHead)
    yield from _wrong_type("roi_head", roi_head, StandardRoIHead)
    if type(rpn_head) is not RPNHead or type(roi_head) is not StandardRoIHead:
        return
    if type(roi_head.bbox_head)._predict_by_feat_single is not BBoxHead._predict_by_feat_single:
        yield f"roi_head.bbox_head: {type(roi_head.bbox_head).__name__} has a post-processing of its own"
    if roi_head.with_shared_head or roi_head.bbox_head.custom_cls_channels:
        yield "roi_head: found a shared head or a loss with channels of its own, expected none"
    yield from _wrong_type("roi_head.bbox_roi_extractor", roi_head.bbox_roi_extractor, SingleRoIExtractor)
    if roi_head.with_mask:
        yield from _wrong_type("roi_head.mask_head", roi_head.mask_head, FCNMaskHead)
        yield from _wrong_type("roi_head.mask_roi_extractor", roi_head.mask_roi_extractor, SingleRoIExtractor)
    for name, head in (("rpn_head", rpn_head), ("roi_head.bbox_head", roi_head.bbox_head)):
        yield from _unknown_coder(name, head.bbox_coder)
    yield from _unknown_settings("test_cfg.rpn", rpn_head.test_cfg)
    yield from _unknown_settings("test_cfg.rcnn", roi_head.test_cfg)


def _wrong_type(name: str, part, expected: type):
    if type(part) is not expected:
        yield f"{name}: found {type(part).__name__}, expected {expected.__name__}"


def _unknown_coder(name: str, coder):
    if type(coder) not in CODERS:
        yield f"{name}.bbox_coder: found {type(coder).__name__}, expected one of {_names(CODERS)}"
    elif not coder.clip_border:
        yield f"{name}.bbox_coder.clip_border: found False, expected True"


def _unknown_settings(name: str, settings):
    nms = dict(settings.nms)
    if nms.pop("type", "nms") != "nms" or set(nms) != {"iou_threshold"}:
        yield f"{name}.nms: found {dict(settings.nms)}, expected type 'nms' with iou_threshold alone"
    if settings.get("nms_pre", 1) <= 0:
        yield f"{name}.nms_pre: found {settings.nms_pre}, expected more than 0"
    if settings.get("min_bbox_size", -1) > 0:
        yield f"{name}.min_bbox_size: found {settings.min_bbox_size}, expected 0"


def _names(types: tuple[type, ...]) -> str:
    return ", ".join(kind.__name__ for kind in types)
