"""What a job is told: plain dictionaries, which Snakemake compares to decide what to run again.

Everything that can change a job's result stands in its spec. What cannot is left out, so it reruns nothing.
"""

from __future__ import annotations

from typing import get_args

from mtpd import files
from mtpd.experiment import backbones, chains, data_specs, identity, input_files, rows, test_split
from mtpd.experiment.detector_schema import Initial
from mtpd.experiment.folders import Layout, imported
from mtpd.experiment.recipe_schema import INHERIT, Recipe
from mtpd.experiment.schema import Compute, Experiment, Policy

MOST_LOADERS = 8  # by default: more would fill shared memory and open files, and a GPU waits for fewer


def detector(experiment: Experiment, name: str) -> dict:
    """What builds a detector; ``content`` is the hash of its config and of all that this builds on."""
    found = experiment.detectors[name]
    spec = found.model_dump(include={"config", "overrides", "image_scale"})
    return {**spec, "content": input_files.content(found.config)}


def tapped_detector(experiment: Experiment, name: str) -> dict:
    """What builds a detector, and where its features are read."""
    return {**detector(experiment, name), "taps": experiment.detectors[name].taps}


def stage(experiment: Experiment, layout: Layout, student: str, recipe: str, chain: str, seed: int) -> dict:
    """Everything that can change the result of a chain's last stage, apart from its input files."""
    stages = chains.parse(chain)
    parent, last = stages.parent, stages.last
    settings = _stage_settings(experiment.recipes[recipe], stages)
    build = tapped_detector if last.teachers else detector
    source = inherited_detector(experiment, recipe, chain)
    started = backbones.of_stage(experiment, student, recipe, chain)
    initial = initial_weights(experiment, student, recipe, chain)
    return {
        "dataset": data_specs.trained_dataset(experiment, layout),
        "student": build(experiment, student),
        "teachers": [tapped_detector(experiment, name) for name in last.teachers],
        "inherits": detector(experiment, source) if source else None,
        "recipe": settings,
        "epochs": last.epochs,
        "seed": seed,
        **({"epochs_before": parent.epochs} if parent else {}),
        **({"backbones": started} if started else {}),
        **({"initial": initial.model_dump(include={"class_rows"})} if initial else {}),
        **({"pretrained": False} if experiment.rehearsal else {}),  # nothing is downloaded for a rehearsal
    }


def _stage_settings(recipe: Recipe, stages: chains.Chain) -> dict:
    """What a recipe says to a chain's last stage."""
    settings = recipe.model_dump()
    if not stages.last.teachers:
        settings["loss"] = None
    elif recipe.loss.adaptors == "later-stages":
        settings["loss"]["adaptors"] = "always" if stages.parent else "where-needed"
    return settings


def scored_with(experiment: Experiment, layout: Layout, name: str) -> str:
    """``identity.digest`` of what the metrics of a detector have to be made with."""
    train = experiment.detectors[name].train
    if not train:
        return identity.digest(evaluation(experiment, layout, name))
    alone = str(chains.alone(train.epochs))
    return identity.digest(stage(experiment, layout, name, train.recipe, alone, train.seed))


def identified(experiment: Experiment, layout: Layout, found: list[dict]) -> list[dict]:
    """Rows of ``rows.rows`` whose stages also say what they have to be made with (``identity.digest``).

    Where there is a test split, rows say the same of their scores on it.
    """
    has_test = test_split.has_test(experiment.dataset)
    return [
        {
            **row,
            "stages": [
                {
                    **part,
                    identity.KEY: identity.digest(
                        stage(experiment, layout, row["student"], row["recipe"], part["chain"], row["seed"])
                    ),
                }
                for part in row["stages"]
            ],
            **({test_split.WITH: _tested_with(experiment, layout, row)} if has_test else {}),
        }
        for row in found
    ]


def _tested_with(experiment: Experiment, layout: Layout, row: dict) -> str:
    which = (row["student"], row["recipe"], row["chain"], row["seed"])
    return identity.digest(student_test(experiment, layout, *which))


def evaluation(experiment: Experiment, layout: Layout, name: str) -> dict:
    """What the metrics of a detector depend on, apart from its weights."""
    return {"dataset": data_specs.scored_dataset(experiment, layout), "detector": detector(experiment, name)}


def detector_test(experiment: Experiment, layout: Layout, name: str) -> dict:
    """What the test scores of a detector depend on, apart from its weights."""
    dataset = data_specs.scored_dataset(experiment, layout, ("train", test_split.SPLIT))
    return {"dataset": dataset, "detector": detector(experiment, name), "split": test_split.SPLIT}


def student_test(
    experiment: Experiment, layout: Layout, student: str, recipe: str, chain: str, seed: int
) -> dict:
    """What the test scores of a chain's student depend on: what scores them, and what trained it."""
    made = stage(experiment, layout, student, recipe, chain, seed)
    trained = files.fingerprint(identity.trained_with(made))
    return {**detector_test(experiment, layout, student), "trained_with": trained}


def complexity(experiment: Experiment, layout: Layout) -> dict:
    """What parameters, multiply-adds and milliseconds of the reported detectors depend on."""
    names = rows.reported_detectors(experiment)
    return {
        "dataset": data_specs.dataset(experiment, layout, ("train",)),
        "detectors": {name: detector(experiment, name) for name in names},
        **({"device": "gpu"} if experiment.compute.gpus else {}),
        **({"quick": True} if experiment.rehearsal else {}),  # its numbers mean nothing
    }


def inherited_detector(experiment: Experiment, recipe: str, chain: str) -> str | None:
    """The detector whose neck and heads the student takes at the start of a chain's last stage, if any."""
    stages, settings = chains.parse(chain), experiment.recipes[recipe]
    if settings.inherit != "each" and (stages.parent or settings.start == "student"):
        return None
    teacher = next(iter(stages.last.teachers), None)
    return {"none": None, "first": teacher, "each": teacher}.get(settings.inherit, settings.inherit)


def initial_weights(experiment: Experiment, student: str, recipe: str, chain: str) -> Initial | None:
    """The trained weights that the student starts from at the start of a chain's last stage, if any."""
    found = experiment.detectors[student].initial
    starts = not chains.parse(chain).parent and experiment.recipes[recipe].start != "student"
    return found if found and found.place and starts else None


def order(experiment: Experiment, layout: Layout, student: str, pool: str) -> dict:
    """What the adaptation costs and the orders of a student and pool depend on."""
    members = pool_members(experiment, student, pool)
    return {
        "dataset": data_specs.dataset(experiment, layout, ("train",)),
        "student": student,
        "detectors": {name: tapped_detector(experiment, name) for name in members},
        "order": experiment.order.model_dump(),
        "policies": get_args(Policy),  # an order.json of a version with fewer policies is made again
    }


def pool_members(experiment: Experiment, student: str, pool: str) -> list[str]:
    """The detectors between which costs are measured."""
    return sorted({student, *experiment.pools[pool]})


def checks(experiment: Experiment, layout: Layout) -> dict:
    """What ``mtpd.checks`` looks at before the first job."""
    generate = experiment.dataset.generate
    settings: dict = {"generated": bool(generate)}
    settings |= {
        f"{name}_images": getattr(generate, name) if generate else None for name in data_specs.SPLITS
    }
    spec = data_specs.trained_dataset(experiment, layout)
    if told := data_specs.data_import(experiment.dataset):  # its results are not there before the first job
        kept = {name: f"{imported(told)}/{name}.json" for name in data_specs.SPLITS}
        spec |= {name: {**spec[name], "annotations": path} for name, path in kept.items()}
    if stands_in_for := data_specs.stood_in_for(experiment):
        settings["stands_in_for"] = stands_in_for
    students = {student for arm in experiment.arms for student in rows.students(experiment, arm)}
    return {
        "dataset": {**spec, **settings},
        "detectors": {
            name: {
                **tapped_detector(experiment, name),
                **found.model_dump(include={"file", "sha256"}),
                **({"initial": found.initial.model_dump(exclude={"url"})} if found.initial else {}),
                "trained": bool(name in students or found.train),
            }
            for name, found in experiment.detectors.items()
        },
        "recipes": {name: recipe.model_dump() for name, recipe in experiment.recipes.items()},
        "pairs": _pairs(experiment),
        "inherits": _inheriting_pairs(experiment),
        "ordered": bool(rows.ordered_pools(experiment)),
        "gpus": experiment.compute.gpus,
    }


def _pairs(experiment: Experiment) -> list[tuple[str, str]]:
    """Every (student, teacher) that may meet."""
    pairs = {
        (student, teacher)
        for name, arm in experiment.arms.items()
        for student in rows.students(experiment, name)
        for teacher in rows.teachers(experiment, arm)
    }
    return sorted(pairs)


def _inheriting_pairs(experiment: Experiment) -> list[tuple[str, str]]:
    """Every (student, detector whose neck and heads it may take)."""
    pairs = set()
    for name, arm in experiment.arms.items():
        recipe = experiment.recipes[arm.recipe]
        if recipe.inherit == "none" or (recipe.start == "student" and recipe.inherit != "each"):
            continue
        teachers = rows.teachers(experiment, arm)
        if arm.chain and recipe.inherit == "first":
            teachers = chains.parse(arm.chain).stages[0].teachers[:1]
        sources = teachers if recipe.inherit in INHERIT else [recipe.inherit]
        pairs |= {(student, source) for student in rows.students(experiment, name) for source in sources}
    return sorted(pairs)


def loaders(compute: Compute, gpus: int, threads: int) -> int:
    """Data loaders of each process of a job: as the experiment says, or the cores that its GPUs leave.

    Args:
        gpus: on which the job computes.
        threads: the cores that it has.
    """
    if compute.workers is not None:
        return compute.workers
    return min(MOST_LOADERS, max(0, threads // gpus - 1)) if gpus else 0
