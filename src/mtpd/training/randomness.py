"""Randomness that depends only on the position in training.

Every image of every epoch, and every micro-batch of every step (``steps``), has its own seed. So a stage
that was interrupted, even in the middle of an epoch, sees the same flips and masks as an uninterrupted one,
for any number of data loaders and processes.
"""

from __future__ import annotations

import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


def seed_everything(*numbers: int) -> None:
    """Seed Python, NumPy and torch from several numbers, none of them negative."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@TRANSFORMS.register_module()
class SeedImage(BaseTransform):
    """First step of a training pipeline: seeds what follows by stage seed, epoch and image."""

    def __init__(self, seed: int):
        self.seed, self.epoch = seed, 0

    def transform(self, results: dict) -> dict:
        seed_everything(self.seed, self.epoch, results["sample_idx"])
        return results
