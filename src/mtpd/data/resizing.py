"""Sizes of resized images: those of mmdet, but no side becomes shorter than a pixel."""

from __future__ import annotations

import copy

import mmcv
from mmdet.datasets import transforms
from mmdet.registry import TRANSFORMS

Size = tuple[int, int]  # width and height in pixels


def fitted(size: Size, scale: Size) -> Size:
    """The size of an image that is resized to fit into ``scale``."""
    width, height = mmcv.rescale_size(size, scale)
    return max(1, width), max(1, height)


def scaled(side: int, scale: float) -> int:
    """The side of an image at another scale, in pixels."""
    return max(1, round(side * scale))


@TRANSFORMS.register_module(force=True)
class Resize(transforms.Resize):
    """mmdet's, which fails where a side becomes 0: for a strip of 4000 x 10 pixels at scale 80.

    It replaces mmdet's under the same name, so the config of a student names no transform of this project.
    """

    def transform(self, results: dict) -> dict:
        size = results["img"].shape[1::-1]
        if not (self.keep_ratio and self.scale) or min(mmcv.rescale_size(size, self.scale)) > 0:
            return super().transform(results)
        to_pixels = copy.copy(self)
        to_pixels.scale, to_pixels.keep_ratio = fitted(size, self.scale), False
        return to_pixels.transform(results)
