"""The same images at several scales: what each detector of a stage, or of a pool, gets of them.

A detector with another ``image_scale`` gets the image resized once, to its own size: up to one pixel, that of
its evaluation.
"""

from __future__ import annotations

import copy

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torch.nn.functional import pad

from mtpd.data.resizing import scaled


def key(scale: float) -> str:
    """Where a batch has its images at a scale, relative to those that its pipeline resizes."""
    return "inputs" if scale == 1 else f"inputs_at_{scale:g}"


def at_scales(loader: ConfigDict, scales: list[float]) -> ConfigDict:
    """A loader of ``mtpd.data.pipelines`` whose batches also have their images at these scales."""
    others = sorted({*scales} - {1})
    if not others:
        return loader
    loader = copy.deepcopy(loader)
    load, *steps, pack = loader.dataset.pipeline
    pack.update(type="PackAtScales", scales=others)
    loader.dataset.pipeline = [load, ConfigDict(type="KeepImage"), *steps, pack]
    return loader


@TRANSFORMS.register_module()
class KeepImage(BaseTransform):
    """Remember the image before it is resized."""

    def transform(self, results: dict) -> dict:
        results["unresized"] = results["img"]
        return results


@TRANSFORMS.register_module()
class PackAtScales(PackDetInputs):
    """mmdet's last step of a pipeline; it also packs the image at other scales, flipped in the same way.

    Args:
        scales: relative to the size of the resized image.
    """

    def __init__(self, scales: list[float], **kwargs):
        super().__init__(**kwargs)
        self.scales = scales

    def transform(self, results: dict) -> dict:
        packed = super().transform(results)
        return packed | {key(scale): _at_scale(results, scale) for scale in self.scales}


def _at_scale(results: dict, scale: float) -> Tensor:
    """3 x H x W, uint8."""
    height, width = results["img_shape"]
    image = mmcv.imresize(results["unresized"], (scaled(width, scale), scaled(height, scale)))
    if results.get("flip"):
        image = mmcv.imflip(image, results["flip_direction"])
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


class View(nn.Module):
    """The images of a batch as one detector gets them: at its scale, in its normalisation.

    The same part of each batch is padding for every detector, so grids differ only by strides and scales.

    Args:
        preprocessor: of the detector; copied.
        scale: of its images, relative to the batch's.
    """

    def __init__(self, preprocessor: nn.Module, scale: float):
        super().__init__()
        self.preprocessor, self.scale = copy.deepcopy(preprocessor), scale
        self.preprocessor.pad_size_divisor = 1

    def forward(self, batch: dict, size: tuple[int, int]) -> Tensor:
        """N x 3 x H x W. Args: ``size``, height and width of the padded batch at scale 1."""
        images = self.preprocessor({"inputs": list(batch[key(self.scale)])}, False)["inputs"]
        bottom, right = (
            scaled(padded, self.scale) - own for padded, own in zip(size, images.shape[2:], strict=True)
        )
        return pad(images, (0, right, 0, bottom), value=self.preprocessor.pad_value)
