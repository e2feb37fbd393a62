"""Whether a detector can be trained: its loss on small generated images."""

from __future__ import annotations

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from torch import Tensor, nn

SIZE = 256  # pixels; the coarsest level of a usual pyramid then still has several positions
IMAGES = 2  # batch norm needs more than one value


@torch.no_grad()
def try_loss(detector: nn.Module, masks: bool) -> None:
    """Compute the loss once, with what the training pipeline gives: boxes, and masks where it loads them.

    The detector's weights are not to be used afterwards: they are cut off to -1 to 1.

    Raises:
        Exception: anything that the detector raises.
    """
    batch = {
        "inputs": [_image() for _ in range(IMAGES)],
        "data_samples": [_sample(masks) for _ in range(IMAGES)],
    }
    for parameter in detector.parameters():  # some are whatever was in memory until they are initialised
        parameter.nan_to_num_(0, 0, 0).clamp_(-1, 1)
    was_training = detector.training
    detector.train()
    try:
        detector(**detector.data_preprocessor(batch, True), mode="loss")
    finally:
        detector.train(was_training)


def _image() -> Tensor:
    return torch.arange(3 * SIZE * SIZE).reshape(3, SIZE, SIZE).remainder(251).to(torch.uint8)


def _sample(masks: bool) -> DetDataSample:
    """An image with a small and a large object of the first class."""
    corners = torch.tensor([[32.0, 32.0, 80.0, 96.0], [64.0, 48.0, 240.0, 224.0]])
    objects = InstanceData(bboxes=corners, labels=torch.zeros(2, dtype=torch.long))
    ignored = InstanceData(bboxes=corners[:0], labels=objects.labels[:0])
    if masks:
        drawn = np.zeros((2, SIZE, SIZE), np.uint8)
        for mask, (left, top, right, bottom) in zip(drawn, corners.int().tolist(), strict=True):
            mask[top:bottom, left:right] = 1
        objects.masks, ignored.masks = BitmapMasks(drawn, SIZE, SIZE), BitmapMasks(drawn[:0], SIZE, SIZE)
    size = (SIZE, SIZE)
    shapes = {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0), "flip": False}
    sample = DetDataSample(metainfo={"img_id": 0, "img_path": "", "flip_direction": None, **shapes})
    sample.gt_instances, sample.ignored_instances = objects, ignored
    return sample
