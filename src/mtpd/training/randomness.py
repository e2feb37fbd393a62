"""Randomness that depends only on the position in training.

Every image of every epoch, and every micro-batch of every step (``steps``), has its own seed. So a stage
that was interrupted, even in the middle of an epoch, sees the same flips and masks as an uninterrupted one,
for any number of data loaders and processes. Epochs are counted from the first stage of the chain on, so a
later stage does not repeat the random numbers of the first one, and two arms of one seed and length see the
same images, whatever their stages.
"""

from __future__ import annotations

import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


def mixed(*numbers: int) -> int:
    """One seed from several numbers, none of them negative; zeros at their end change nothing."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_everything(*numbers: int) -> None:
    """Seed Python, NumPy and torch from several numbers, none of them negative."""
    seed = mixed(*numbers)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@TRANSFORMS.register_module()
class SeedImage(BaseTransform):
    """First step of a training pipeline: seeds what follows by seed, epoch and image.

    Args:
        seed: of the stage.
        epochs_before: epochs of the stages before.
    """

    def __init__(self, seed: int, epochs_before: int):
        self.seed, self.epochs_before, self.epoch = seed, epochs_before, 0

    def transform(self, results: dict) -> dict:
        seed_everything(self.seed, self.epochs_before + self.epoch, results["sample_idx"])
        return results
