"""A rehearsal: the same graph, code and detectors, with so little data and so few epochs that it is quick.

What passes it has no wrong name, no shape that does not fit, and no refused checkpoint. Its numbers mean
nothing. Everything that it writes has its own folders, ``results/rehearsal/...``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from mtpd.experiment import chains, data_specs, rows
from mtpd.experiment.detector_schema import Checkpoint, Detector
from mtpd.experiment.folders import REHEARSAL, Layout, imported
from mtpd.experiment.recipe_schema import Recipe
from mtpd.experiment.schema import (
    SEVERAL_CHAINS,
    Arm,
    Compute,
    Dataset,
    Experiment,
    Generate,
    Split,
)

TRAINING_IMAGES, VALIDATION_IMAGES = 8, 4
BATCH = 4  # so an epoch has two iterations
LONG_SIDE, SHORT_SIDE = 256, 160  # pixels; the coarsest level of a usual pyramid then has several positions
LEAST_SIDE = 32  # pixels, of the images that are trained with


def rehearsed(experiment: Experiment) -> Experiment:
    """The experiment with its data, schedule and compute made small, and with names of its own."""
    layout = Layout(experiment.experiment, experiment.dataset.name)
    return experiment.model_copy(
        update={
            "experiment": f"{REHEARSAL}/{experiment.experiment}",
            "dataset": _dataset(experiment.dataset),
            "detectors": {n: _detector(d, layout, n) for n, d in experiment.detectors.items()},
            "order": experiment.order.model_copy(
                update={"probe_images": min(experiment.order.probe_images, TRAINING_IMAGES)}
            ),
            "recipes": {name: _recipe(recipe) for name, recipe in experiment.recipes.items()},
            "arms": {name: _arm(experiment, name) for name in experiment.arms} | _every_teacher(experiment),
            "seeds": experiment.seeds[:1],
            "compute": Compute(mem_mb=experiment.compute.mem_mb, runtime=experiment.compute.runtime),
            "trackers": (),
        }
    )


def _dataset(dataset: Dataset) -> Dataset:
    """A generated one. Where the real one is on disk, it still names it: the class names are read there."""
    scale = _small(dataset.scale)
    drawn = Generate(train=TRAINING_IMAGES, val=VALIDATION_IMAGES, size=scale[1])
    return dataset.model_copy(
        update={
            "source": None,
            "train": _with_classes(dataset),
            "name": f"{REHEARSAL}/{dataset.name}",
            "generate": drawn,
            "scale": scale,
            "min_image_side": min(dataset.min_image_side, LEAST_SIDE),
        }
    )


def _with_classes(dataset: Dataset) -> Split | None:
    """Where the names of the classes are: in the import of the data, or in what is to be imported."""
    if data_specs.import_report(dataset):
        return Split(annotations=f"{imported(data_specs.data_import(dataset))}/train.json", images=".")
    return Split(**Layout("", dataset.name).split("train")) if dataset.source else dataset.train


def _small(scale: tuple[int, int]) -> tuple[int, int]:
    return min(max(scale), LONG_SIDE), min(min(scale), SHORT_SIDE)


def _detector(detector: Detector, layout: Layout, name: str) -> Detector:
    """A detector with its checkpoints if they are on disk, else with random weights."""
    if not detector.train:
        return _if_there(detector, layout.detector(name, "weights.pth"))
    initial = detector.initial and _if_there(detector.initial, layout.detector(name, "initial.pth"))
    train = detector.train.model_copy(update={"epochs": 1})
    return detector.model_copy(update={"train": train, "initial": initial})


def _if_there(checkpoint: Checkpoint, downloaded: str) -> Checkpoint:
    path = checkpoint.file or downloaded
    if Path(path).exists():
        return checkpoint.model_copy(update={"file": path, "url": None})
    return checkpoint.model_copy(update={"file": None, "url": None, "sha256": None})


def _recipe(recipe: Recipe) -> Recipe:
    """Small batches, in as many micro-batches as divide them; float16 needs a GPU."""
    micro = recipe.micro_batch_size and math.gcd(recipe.micro_batch_size, BATCH)
    precision = "bfloat16" if recipe.precision == "float16" else recipe.precision
    small = {"batch_size": BATCH, "micro_batch_size": micro, "precision": precision}
    scales = recipe.scales and tuple(dict.fromkeys(map(_small, recipe.scales)))
    return recipe.model_copy(update={**small, "scales": scales})


def _arm(experiment: Experiment, name: str) -> Arm:
    """An arm with one epoch a stage, and the seeds of the experiment, which its controls have, too."""
    arm = experiment.arms[name]
    if arm.chain:
        stages = tuple(replace(stage, epochs=1) for stage in chains.parse(arm.chain).stages)
        return arm.model_copy(update={"chain": str(chains.Chain(stages)), "seeds": None})
    longest = max(rows.longest_chain(experiment, name, s) for s in rows.students(experiment, name))
    return arm.model_copy(update={"epochs": longest, "seeds": None})


def _every_teacher(experiment: Experiment) -> dict[str, Arm]:
    """Arms that meet every teacher of the pools of policies that choose some of them.

    Which ones these are depends on AP, and that of untrained detectors is not that of the real ones.
    """
    met: dict[tuple[str, str], list[str]] = {}
    for name, arm in experiment.arms.items():
        if arm.policy and arm.policy not in (*SEVERAL_CHAINS, "by-ap"):
            met.setdefault((arm.recipe, arm.pool), []).extend(rows.students(experiment, name))
    return {
        f"every-teacher-{recipe}-{pool}": Arm(
            recipe=recipe,
            policy="by-ap",
            pool=pool,
            epochs=len(experiment.pools[pool]),
            students=tuple(dict.fromkeys(students)),
        )
        for (recipe, pool), students in met.items()
    }
