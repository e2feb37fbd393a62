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
        recipe = spec["recipes"][name]
        if recipe["schedule"]["kind"] == "step":
            found = [*_drops(recipe, epochs), *(_warmup(recipe, epochs, images) if images else ())]
            lines += [f"recipes.{name}.schedule.{line}" for line in found]
    return lines


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
