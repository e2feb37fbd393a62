"""Optimiser steps: their images, their order and their random numbers, the same for any number of processes.

A step sees ``batch_size`` images, in micro-batches. A micro-batch is one forward and backward pass, whose
losses are normalised by themselves, as those of one GPU's images are in mmdet; the step uses the mean of the
gradients. Batch normalisation, where it is trained, has the statistics of the micro-batch, also SyncBN. The
processes share the micro-batches of a step, so how many there are changes no result.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import chain, cycle, islice

import numpy as np
import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import all_reduce, get_dist_info
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop
from torch import Tensor
from torch.utils.data import Sampler

from mtpd.training.norms import RunningStatistics
from mtpd.training.randomness import mixed, seed_everything


def images_of_process(batch_size: int, micro_batch: int) -> int:
    """How many images of a step are this process's.

    Raises:
        ValueError: the step cannot be divided evenly.
    """
    _, processes = get_dist_info()
    if batch_size % (micro_batch * processes):
        raise ValueError(
            f"batch_size: found {batch_size}; expected a multiple of {micro_batch * processes}, for "
            f"{processes} processes and micro-batches of {micro_batch}"
        )
    return batch_size // processes


@DATA_SAMPLERS.register_module()
class StepSampler(Sampler):
    """The images of this process, in the order of training. Every step is full.

    An epoch's images are shuffled, then grouped by orientation, so that little of a micro-batch is padding,
    as mmdet's ``AspectRatioBatchSampler`` does. The last step is filled with the epoch's first images.

    Args:
        dataset: an mmdet data set.
        seed: of the shuffling, together with the epoch.
        epochs_before: epochs of the stages before.
        batch_size: images of a step, all processes together.
        micro_batch: images of a micro-batch.
    """

    def __init__(self, dataset, seed: int, epochs_before: int, batch_size: int, micro_batch: int):
        sizes = [(info["width"], info["height"]) for info in map(dataset.get_data_info, range(len(dataset)))]
        self.tall = np.array([width < height for width, height in sizes], dtype=bool)
        self.seed, self.epochs_before = seed, epochs_before
        self.batch_size, self.micro_batch = batch_size, micro_batch
        self.steps = -(-len(sizes) // batch_size)
        self.epoch = 0
        self.skip = 0  # steps of the next pass that are already done

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps * images_of_process(self.batch_size, self.micro_batch)

    def __iter__(self) -> Iterator[int]:
        rank, processes = get_dist_info()
        in_step = self.batch_size // self.micro_batch
        first, self.skip = self.skip, 0
        parts = self._micro_batches()
        for start in range(first * in_step, self.steps * in_step, in_step):
            yield from chain.from_iterable(parts[start : start + in_step][rank::processes])

    def _micro_batches(self) -> list[list[int]]:
        seed = mixed(self.seed, self.epochs_before + self.epoch)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.tall), generator=generator).tolist()
        parts: list[list[int]] = []
        groups: dict[bool, list[int]] = {True: [], False: []}
        for image in order:
            group = groups[bool(self.tall[image])]
            group.append(image)
            if len(group) == self.micro_batch:
                parts.append(group.copy())
                group.clear()
        rest = chain(groups[True], groups[False], cycle(order))
        missing = self.steps * self.batch_size // self.micro_batch - len(parts)
        return parts + [list(islice(rest, self.micro_batch)) for _ in range(missing)]


def reproducible(loader: dict, batch_size: int, micro_batch: int, **position: int) -> dict:
    """A training loader whose passes depend on position and epoch only.

    Args:
        loader: of an mmdet config.
        batch_size, micro_batch, position: as for ``StepSampler``; ``position`` is its seed and epochs before.
    """
    loader = copy.deepcopy(loader)
    batch = {"batch_size": batch_size, "micro_batch": micro_batch}
    loader["sampler"] = {"type": "StepSampler", **batch, **position}
    loader["dataset"]["pipeline"] = [{"type": "SeedImage", **position}, *loader["dataset"]["pipeline"]]
    return loader


@LOOPS.register_module()
class StepLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, in which an iteration is a step; it can start in the middle of an epoch.

    Args:
        seed: of the stage. Every micro-batch of every step has its own random numbers.
        epochs_before: epochs of the stages before.
        micro_batch: images of a micro-batch.
    """

    def __init__(
        self,
        runner,
        dataloader,
        max_epochs: int,
        val_interval: int,
        seed: int,
        epochs_before: int,
        micro_batch: int,
    ):
        super().__init__(runner, dataloader, max_epochs, val_interval=val_interval)
        self.seed, self.micro_batch = seed, micro_batch
        self.steps_before = epochs_before * len(self.dataloader)
        self.statistics = RunningStatistics(runner.model)

    def run(self):
        passes = self.dataloader.batch_size // self.micro_batch
        # The wrapper counts backward passes, mmengine's runner gave it iterations.
        wrapper = self.runner.optim_wrapper
        wrapper.initialize_count_status(self.runner.model, self.iter * passes, self.max_iters * passes)
        self.dataloader.sampler.skip = self.iter - self.epoch * len(self.dataloader)
        return super().run()

    def run_epoch(self) -> None:
        self.dataloader.dataset.pipeline.transforms[0].epoch = self.epoch  # SeedImage
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: dict) -> None:
        hook = {"batch_idx": idx, "data_batch": data_batch}
        self.runner.call_hook("before_train_iter", **hook)
        rank, processes = get_dist_info()
        losses = []
        for number, start in enumerate(range(0, len(data_batch["inputs"]), self.micro_batch)):
            part = {key: values[start : start + self.micro_batch] for key, values in data_batch.items()}
            seed_everything(self.seed, self.steps_before + self.iter, rank + number * processes)
            losses.append(self.runner.model.train_step(part, optim_wrapper=self.runner.optim_wrapper))
        self.statistics.share(len(losses))
        self.runner.call_hook("after_train_iter", **hook, outputs=mean_losses(losses))
        self._iter += 1


def mean_losses(losses: list[dict[str, Tensor]]) -> dict[str, float]:
    """The mean of each loss over the micro-batches of all processes; one transfer from the device for all."""
    names = list(losses[0])
    table = [torch.stack([part[name].detach().double() for name in names]) for part in losses]
    means = torch.stack(table).mean(0)
    all_reduce(means, op="mean")
    return dict(zip(names, means.tolist(), strict=True))
