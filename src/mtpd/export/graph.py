"""A detector as one graph without branches: from the pixels of a picture to its objects.

mmdet's own post-processing branches on how many boxes there are, which a graph cannot. What follows computes
the same without branches. ``mtpd.export.agreement`` compares the two on real images for every export.
"""

from __future__ import annotations

import copy

import torch
import torchvision
from mmcv.ops import DeformConv2d
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from mtpd.export.heads import Size, clipped, from_coder, most_detections, of_coder, reader
from mtpd.export.support import pads_by_size, require_supported


class Graph(nn.Module):
    """A detector for export.

    ``forward`` takes ``image`` (H x W x 3, uint8, RGB, resized as the network expects it) and
    ``picture_size`` (2 integers: height and width in whose pixels the result is wanted). It gives ``boxes``
    (N x 4: left, top, right, bottom, in these pixels), ``scores`` (N), ``labels`` (N, integers) and, of a
    detector with a mask head, ``masks`` (N x height x width, bool); the best first.

    Args:
        detector: an mmdet detector; a copy of it is exported.

    Raises:
        ExportError: it has a part that cannot be exported.
    """

    def __init__(self, detector: nn.Module):
        super().__init__()
        require_supported(detector)
        self.detector = _with_plain_layers(copy.deepcopy(detector).eval())
        self.masks = bool(getattr(detector, "with_mask", False))

    @property
    def outputs(self) -> list[str]:
        return ["boxes", "scores", "labels", *["masks"] * self.masks]

    def forward(self, image: Tensor, picture_size: Tensor) -> tuple[Tensor, ...]:
        height, width = image.shape[:2]
        zoom = torch.stack([picture_size[1] / width, picture_size[0] / height]).repeat(2)
        features = self.detector.extract_feat(self._network_input(image))
        if not hasattr(self.detector, "roi_head"):
            return _single_stage(self.detector.bbox_head, features, (height, width), zoom)
        proposals = _proposals(self.detector.rpn_head, features, (height, width))
        roi_head = self.detector.roi_head
        if not self.masks:
            return _boxes_of_rois(roi_head, features, proposals, (height, width), zoom)
        # Where masks are wanted, mmdet zooms after the suppression.
        boxes, scores, labels = _boxes_of_rois(roi_head, features, proposals, (height, width), None)
        masks = _masks_of_boxes(roi_head, features, boxes, labels)
        boxes = boxes * zoom
        return boxes, scores, labels, pasted(masks, boxes, picture_size) >= roi_head.test_cfg.mask_thr_binary

    def _network_input(self, image: Tensor) -> Tensor:
        """Channels in the network's order, normalised, padded: what mmdet's ``DetDataPreprocessor`` does."""
        settings = self.detector.data_preprocessor
        pixels = image.permute(2, 0, 1).float()
        if not settings._channel_conversion:
            pixels = pixels.flip(0)  # the network was trained on BGR, as files are read
        if settings._enable_normalize:
            pixels = (pixels - settings.mean) / settings.std
        height, width = image.shape[:2]
        divisor = settings.pad_size_divisor
        return pad(pixels[None], (0, -width % divisor, 0, -height % divisor), value=settings.pad_value)


class DeformableConvolution(nn.Module):
    """mmcv's ``DeformConv2d`` as the operator of torchvision, which ONNX knows."""

    def __init__(self, layer: DeformConv2d):
        super().__init__()
        self.weight = layer.weight
        self.settings = {key: getattr(layer, key) for key in ("stride", "padding", "dilation")}

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        return torchvision.ops.deform_conv2d(x, offset, self.weight, **self.settings)


class HalvingConvolution(nn.Module):
    """timm's ``Conv2dSame`` with a stride, for sides that are multiples of it: then its padding is fixed."""

    def __init__(self, layer: nn.Conv2d):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.settings = {"stride": layer.stride, "groups": layer.groups}
        missing = [kernel - stride for kernel, stride in zip(layer.kernel_size, layer.stride, strict=True)]
        self.pads = [side for total in reversed(missing) for side in (total // 2, total - total // 2)]

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(pad(x, self.pads), self.weight, self.bias, **self.settings)


def _with_plain_layers(detector: nn.Module) -> nn.Module:
    """The detector with layers that ONNX knows in place of those of mmcv and timm."""
    for parent in list(detector.modules()):
        for name, child in parent.named_children():
            if type(child) is DeformConv2d:
                setattr(parent, name, DeformableConvolution(child))
            elif pads_by_size(child):
                setattr(parent, name, HalvingConvolution(child))
    return detector


def _single_stage(head, features, size: Size, zoom: Tensor) -> tuple[Tensor, ...]:
    """Boxes, scores and labels of a single-stage detector; mmdet's ``BaseDenseHead.predict_by_feat``."""
    boxes, scores, labels, _ = _candidates(head, reader(head), features, size)
    boxes = boxes * zoom
    found = (scores > 0) & _large_enough(head.test_cfg, boxes)
    boxes, scores, labels = (values[found.nonzero().squeeze(1)] for values in (boxes, scores, labels))
    kept = _suppressed(boxes, scores, labels, head.test_cfg, most_detections(head))
    return boxes[kept], scores[kept], labels[kept]


def _proposals(head, features, size: Size) -> Tensor:
    """Boxes that a region proposal network proposes; mmdet's ``RPNHead.predict_by_feat``."""
    boxes, scores, _, levels = _candidates(head, from_coder, features, size)
    found = _large_enough(head.test_cfg, boxes).nonzero().squeeze(1)
    boxes, scores, levels = boxes[found], scores[found], levels[found]
    return boxes[_suppressed(boxes, scores, levels, head.test_cfg, most_detections(head))]


def _candidates(head, read, features, size: Size) -> tuple[Tensor, ...]:
    """Boxes, scores, labels and levels of what ``read``, of ``mtpd.export.heads``, finds on all levels."""
    outputs = head(features)
    sizes = [scores.shape[-2:] for scores in outputs[0]]
    priors = head.prior_generator.grid_priors(sizes, device=features[0].device)
    found = [
        read(head, level, priors[level], [output[level] for output in outputs], size)
        for level in range(len(sizes))
    ]
    levels = [torch.full_like(labels, level) for level, (_, _, labels) in enumerate(found)]
    return *(torch.cat(values) for values in zip(*found, strict=True)), torch.cat(levels)


def _large_enough(settings, boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2] > settings.get("min_bbox_size", -1)).all(1)


def _suppressed(boxes: Tensor, scores: Tensor, groups: Tensor, settings, most: int | None) -> Tensor:
    """Indices of what non-maximum suppression within groups leaves, best first; mmcv's ``batched_nms``."""
    largest = pad(boxes.flatten(), (0, 1)).max()  # padded, because there may be no box
    apart = groups[:, None] * (largest + 1)  # boxes of different groups do not meet
    kept = torchvision.ops.nms(boxes + apart, scores, settings.nms.iou_threshold)
    return kept[:most]


def _boxes_of_rois(roi_head, features, proposals: Tensor, size: Size, zoom: Tensor | None):
    """Boxes, scores and labels of the second stage; mmdet's ``BBoxHead.predict_by_feat``."""
    head, settings = roi_head.bbox_head, roi_head.test_cfg
    scores, deltas = head(pooled(roi_head.bbox_roi_extractor, features, proposals))
    scores = scores.softmax(-1)[:, :-1]
    boxes_of_roi = 1 if head.reg_class_agnostic else head.num_classes
    priors = proposals.repeat_interleave(boxes_of_roi, 0)
    boxes = clipped(of_coder(head.bbox_coder, priors, deltas.reshape(-1, 4)), size)
    boxes = boxes if zoom is None else boxes * zoom
    boxes = boxes.reshape(-1, boxes_of_roi, 4).expand(-1, head.num_classes, -1)
    roi, labels = (scores > settings.score_thr).nonzero().unbind(1)
    boxes, scores = boxes[roi, labels], scores[roi, labels]
    kept = _suppressed(boxes, scores, labels, settings, settings.max_per_img)
    return boxes[kept], scores[kept], labels[kept]


def _masks_of_boxes(roi_head, features, boxes: Tensor, labels: Tensor) -> Tensor:
    """Probabilities (N x M x M) that the parts of a box belong to its object."""
    logits = roi_head.mask_head(pooled(roi_head.mask_roi_extractor, features, boxes))
    if roi_head.mask_head.class_agnostic:
        return logits[:, 0].sigmoid()
    return logits[torch.arange(labels.shape[0]), labels].sigmoid()


def pooled(extractor, features, boxes: Tensor) -> Tensor:
    """The features (N x C x P x P) of boxes (N x 4), each from the level for its size."""
    rois = pad(boxes, (1, 0))  # the number of the image in the batch is 0
    levels = extractor.map_roi_levels(rois, len(extractor.roi_layers))
    side = extractor.roi_layers[0].output_size
    found = boxes.new_zeros(boxes.shape[0], extractor.out_channels, *side)
    for level, layer in enumerate(extractor.roi_layers):
        index = (levels == level).nonzero().squeeze(1)
        settings = (layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)
        found = found.index_put((index,), torchvision.ops.roi_align(features[level], rois[index], *settings))
    return found


def pasted(masks: Tensor, boxes: Tensor, size: Tensor) -> Tensor:
    """Masks (N x M x M) stretched over their boxes in a picture of this height and width; 0 outside.

    mmdet interpolates between the four nearest values for every pixel. As boxes are parallel to the axes, two
    matrix products give the same.
    """
    height, width = size.tolist()
    rows = _weights(height, boxes[:, 1], boxes[:, 3], masks.shape[1])
    columns = _weights(width, boxes[:, 0], boxes[:, 2], masks.shape[2])
    return rows @ masks @ columns.transpose(1, 2)


def _weights(length: int, low: Tensor, high: Tensor, count: int) -> Tensor:
    """N x length x count: how much each value of a mask counts at each pixel's centre, along one axis."""
    pixels = torch.arange(length) + 0.5
    position = (pixels - low[:, None]) / (high - low)[:, None] * count - 0.5
    return (1 - (position[..., None] - torch.arange(count)).abs()).clamp(min=0)
