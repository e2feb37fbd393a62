"""Whether the stages of a recipe are long enough for its schedule; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mtpd.checks.subjects import Kind, Passed
from mtpd.training import schedules


def warnings(spec: dict, passed: Passed, shortest: dict[str, int]) -> list[str]:
    """A line for each recipe whose shortest stage ends in its warm-up, or before a drop of the rate.

    Args:
        spec: of ``mtpd.experiment.specs.checks``.
        passed: the checks of the same spec; they know how many training images there are.
        shortest: epochs of the shortest stage, by recipe.
    """
    images = spec["dataset"]["train_images"] or passed.facts(Kind.SPLIT, "train").get("images")
    lines = []
    for name, epochs in shortest.items():
        found = _of_recipe(spec["recipes"][name], epochs, images)
        lines += [f"recipes.{name}.schedule.{line}" for line in found]
    return lines


def _of_recipe(recipe: dict, epochs: int, images: int | None) -> Iterator[str]:
    kind = recipe["schedule"]["kind"]
    if kind == "step":
        yield from _drops(recipe, epochs)
    if images and kind == "cosine":
        yield from _flat(recipe, epochs, images)
    if images and kind != "one-cycle":
        yield from _warmup(recipe, epochs, images)


def _flat(recipe: dict, epochs: int, images: int) -> Iterator[str]:
    """mmengine multiplies the warm-up only with a rate that does not fall yet."""
    warmup, flat = recipe["schedule"]["warmup_iters"], schedules.flat_epochs(recipe["schedule"], epochs)
    iterations = math.ceil(images / recipe["batch_size"]) * flat
    if warmup > iterations:
        yield (
            f"warmup_iters: found {warmup}, but in the shortest stage (epochs: {epochs}) the learning rate "
            f"falls after {iterations} iterations; expected a warm-up that ends before, or a larger flat"
        )


def _warmup(recipe: dict, epochs: int, images: int) -> Iterator[str]:
    warmup, batch = recipe["schedule"]["warmup_iters"], recipe["batch_size"]
    iterations = math.ceil(images / batch) * epochs
    if warmup >= iterations:
        yield (
            f"warmup_iters: found {warmup}, but the shortest stage may have only {iterations} iterations "
            f"(epochs: {epochs}, images: {images}, batch size: {batch}): its learning rate would never reach "
            "optimizer.lr; expected far fewer, or kind: one-cycle"
        )


def _drops(recipe: dict, epochs: int) -> Iterator[str]:
    parts = recipe["schedule"]["milestones"]
    happen = [epoch for epoch in schedules.milestones(parts, epochs) if epoch < epochs]
    if len(happen) < len(parts):
        told = f"after epoch {' and '.join(map(str, happen))}" if happen else "never"
        yield (
            f"milestones: found {len(parts)} drops of the learning rate, but in the shortest stage "
            f"(epochs: {epochs}) it drops {told}, because it drops only between epochs; expected longer "
            "stages, or kind: one-cycle"
        )
