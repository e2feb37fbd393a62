"""Checks before the first job: data, detectors, pairs of student and teacher, recipes, disk space."""

from __future__ import annotations

import copy
import difflib
import shutil
from pathlib import Path

from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from mtpd import files
from mtpd.data import coco, shapes
from mtpd.detectors import checkpoints, configs, taps
from mtpd.detectors.inherit import InheritError, inherit
from mtpd.training import optimisation

# What a stage writes, in sizes of the student: itself, and two checkpoints with two moments for every weight.
COPIES_A_STAGE = 1 + 2 * 3


def problems(spec: dict) -> list[str]:
    """All problems, a line each: where, what was found, what to do.

    Args:
        spec: of ``mtpd.experiment.specs.checks``, with ``stages`` (how many are to come, by student).
    """
    found = check_dataset(spec["dataset"], spec["detectors"])
    if found:
        return found  # detectors are built for the data's classes
    classes = classes_of(spec["dataset"])
    built = {}
    for name, detector in spec["detectors"].items():
        try:
            built[name] = _build(detector, classes)
        except Exception as error:  # a user's config can raise anything
            found.append(f"detectors.{name}: {detector['config']}: {_first_line(error)}")
    found += [line for name, recipe in spec["recipes"].items() for line in check_recipe(name, recipe)]
    found += check_pairs(spec["pairs"], built, spec["detectors"])
    found += check_inheriting(spec["inherits"], built)
    return [*found, *check_disk(built, spec["stages"])]


def classes_of(dataset: dict) -> tuple[str, ...]:
    return shapes.CLASSES if dataset["generated"] else coco.classes_of(dataset["train"]["annotations"])


def check_dataset(dataset: dict, specs: dict[str, dict]) -> list[str]:
    if dataset["generated"]:
        return []
    masks = any(map(_has_masks, specs.values()))
    found = [
        line
        for split in ("train", "val")
        for line in coco.problems(**dataset[split], masks=masks, skip_bad_boxes=dataset["skip_bad_boxes"])
    ]
    if not found:
        train, val = (coco.classes_of(dataset[split]["annotations"]) for split in ("train", "val"))
        strange = sorted(set(val) - set(train))
        if strange:
            path = dataset["val"]["annotations"]
            found.append(f"{path}: categories that the training split does not have: {', '.join(strange)}")
    return found


def _has_masks(spec: dict) -> bool:
    try:
        model = configs.load_config(spec["config"], spec["overrides"], ("one",)).model
    except Exception:  # reported when the detector is built
        return False
    return "mask_head" in (model.get("roi_head") or {})


def _build(spec: dict, classes: tuple[str, ...]) -> nn.Module:
    """A detector, with the weights of its file if it has one.

    Raises:
        CheckpointError: the file does not fit, or none of its classes is the data's.
    """
    if not spec["file"]:
        config = configs.load_config(spec["config"], spec["overrides"], classes)
        return configs.build(configs.without_pretraining(config))
    files.require_hash(spec["file"], spec["sha256"] or "")
    detector = checkpoints.load(spec, spec["file"], classes)
    own = detector.dataset_meta["classes"]
    if not set(own) & set(classes):
        some = f"{', '.join(own[:3])}, ... against {', '.join(classes[:3])}, ..."
        raise checkpoints.CheckpointError(
            f"{spec['file']}: none of its classes is a class of the data set: {some}"
        )
    return detector


def check_recipe(name: str, recipe: dict) -> list[str]:
    kind, model = recipe["optimizer"]["type"], nn.Linear(1, 1)
    if not OPTIMIZERS.get(kind):
        near = difflib.get_close_matches(kind, OPTIMIZERS.module_dict, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "expected the name of a torch optimiser"
        return [f"recipes.{name}.optimizer.type: found {kind!r}; {hint}"]
    try:
        build_optim_wrapper(model, optimisation.optim_wrapper(recipe))
    except Exception as error:  # torch says what is wrong with the arguments
        return [f"recipes.{name}.optimizer: {_first_line(error)}"]
    return []


def check_pairs(pairs: list[tuple[str, str]], built: dict[str, nn.Module], specs: dict) -> list[str]:
    """Whether each student can learn from its teachers: both have taps, and a stride in common."""
    wrong, found = [], {}
    for name in sorted({name for pair in pairs for name in pair} & set(built)):
        try:
            found[name] = taps.find_taps(built[name], specs[name]["taps"])
        except (ValueError, AttributeError) as error:
            wrong.append(f"detectors.{name}: {error}")
    for student, teacher in pairs:
        try:
            if student in found and teacher in found:
                taps.pair_by_stride(found[student], found[teacher])
        except ValueError as error:
            wrong.append(f"detectors.{student} and {teacher}: {error}")
    return wrong


def check_inheriting(pairs: list[tuple[str, str]], built: dict[str, nn.Module]) -> list[str]:
    """Whether something of each detector fits the student that shall take its neck and heads."""
    wrong = []
    for student, source in pairs:
        try:
            if student in built and source in built and student != source:
                inherit(copy.deepcopy(built[student]), built[source].state_dict())
        except InheritError as error:
            wrong.append(f"detectors.{student} and {source}: {error}")
    return wrong


def check_disk(built: dict[str, nn.Module], stages: dict[str, int]) -> list[str]:
    """Whether there is room on this disk for all that the remaining stages write."""
    sizes = {name: 4 * sum(p.numel() for p in model.parameters()) for name, model in built.items()}
    needed = sum(COPIES_A_STAGE * sizes.get(student, 0) * count for student, count in stages.items())
    free = shutil.disk_usage(Path.cwd()).free
    if needed <= free:
        return []
    return [
        f"{Path.cwd()}: {sum(stages.values())} stages write up to {needed / 2**30:.1f} GiB, "
        f"but only {free / 2**30:.1f} GiB are free: make room, or run in another folder (snakemake -d)"
    ]


def _first_line(error: Exception) -> str:
    if isinstance(error, checkpoints.CheckpointError):
        return str(error)
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
