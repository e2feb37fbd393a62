"""Whether there is room on the disk for all that the remaining stages write; needs no torch."""

from __future__ import annotations

import shutil
from pathlib import Path

from mtpd.checks.subjects import Kind, Passed

CHECKPOINTS = 2  # kept of a stage, to resume from
LEARNT = 1.3  # adaptors and learnt parts of the loss too: with MGD and RetinaNet-R50, 1.16 times the student
DETECTIONS = 100  # of an image, at most
BYTES_A_BOX, BYTES_A_MASK = 100, 500  # of a detection in predictions.json, about


def problems(spec: dict, passed: Passed, stages: dict[str, int]) -> list[str]:
    """A line if there is not; asked every time, because free space changes.

    Args:
        spec: of ``mtpd.experiment.specs.checks``.
        passed: the checks of the same spec; a student that has not passed has no size yet, and is left out.
        stages: how many stages are to come at most, by student.
    """
    needed = sum(_bytes(spec, passed, student) * count for student, count in stages.items())
    free = shutil.disk_usage(Path.cwd()).free
    if needed <= free:
        return []
    return [
        f"{Path.cwd()}: {sum(stages.values())} stages write up to {needed / 2**30:.1f} GiB, "
        f"but only {free / 2**30:.1f} GiB are free: make room, or run in another folder (snakemake -d)"
    ]


def _bytes(spec: dict, passed: Passed, student: str) -> int:
    """What a stage of this student writes."""
    facts = passed.facts(Kind.DETECTOR, student)
    if not facts:
        return 0
    images = spec["dataset"]["val_images"] or passed.facts(Kind.SPLIT, "val").get("images", 0)
    return stage_bytes(facts["numbers"], facts["masks"], images, list(spec["recipes"].values()))


def stage_bytes(numbers: float, masks: bool, images: int, recipes: list[dict]) -> int:
    """What a stage writes at most.

    Args:
        numbers: in the student's checkpoint.
        masks: whether it predicts them.
        images: of the validation split.
        recipes: those that the stage may have.
    """
    predictions = images * DETECTIONS * (BYTES_A_BOX + BYTES_A_MASK * masks)
    copies = 1 + CHECKPOINTS * LEARNT * max(map(_copies_in_a_checkpoint, recipes))
    return round(4 * numbers * copies) + predictions


def _copies_in_a_checkpoint(recipe: dict) -> int:
    """The student, the moments of its optimiser, and the average of its weights."""
    return (2 if recipe["optimizer"]["type"] == "SGD" else 3) + ("ema" in recipe)
