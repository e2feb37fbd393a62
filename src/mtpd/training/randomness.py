"""Randomness that depends only on the position in training.

Every image of every epoch, and every iteration, has its own seed. So a stage that was interrupted, even in
the middle of an epoch, sees the same flips and masks as an uninterrupted one, for any number of data loaders.
"""

from __future__ import annotations

import copy
import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import DATA_SAMPLERS, TRANSFORMS
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook


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


@DATA_SAMPLERS.register_module()
class ResumableSampler(DefaultSampler):
    """mmengine's sampler; it can skip the first ``skip`` samples of its next pass, which are done already."""

    skip = 0

    def __iter__(self):
        order = list(super().__iter__())
        skip, self.skip = self.skip, 0
        return iter(order[skip:])


def reproducible(loader: dict, seed: int) -> dict:
    """A training loader whose passes depend on ``seed`` and epoch only, and can start in the middle."""
    loader = copy.deepcopy(loader)
    loader["sampler"] = {"type": "ResumableSampler", "shuffle": True}
    loader["dataset"]["pipeline"] = [{"type": "SeedImage", "seed": seed}, *loader["dataset"]["pipeline"]]
    return loader


class Seeds(Hook):
    """Gives a ``reproducible`` loader the position in training, and seeds every iteration."""

    def __init__(self, seed: int):
        self.seed = seed

    def before_train(self, runner) -> None:
        loader = runner.train_dataloader
        loader.sampler.skip = (runner.iter - runner.epoch * len(loader)) * loader.batch_size

    def before_train_epoch(self, runner) -> None:
        runner.train_dataloader.dataset.pipeline.transforms[0].epoch = runner.epoch

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        seed_everything(self.seed, runner.iter, get_rank())
