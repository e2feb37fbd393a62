"""What the cards of published detectors and of exported students are told; see ``mtpd.experiment.specs``."""

from __future__ import annotations

from mtpd import files
from mtpd.experiment import chains, data_specs, identity, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.schema import Experiment


def export(experiment: Experiment, layout: Layout, student: str, recipe: str, chain: str, seed: int) -> dict:
    """What an exported student and its card depend on, apart from the student's files."""
    stages = list(chains.parse(chain).prefixes)
    inherited = [specs.inherited_detector(experiment, recipe, str(stage)) for stage in stages]
    names = {*chains.parse(chain).teachers, *filter(None, inherited)}
    made = specs.stage(experiment, layout, student, recipe, chain, seed)
    return {
        identity.KEY: identity.digest(made),
        "trained_with": files.fingerprint(identity.trained_with(made)),
        **_initial(experiment, student, recipe, stages[0]),
        "dataset": data_specs.scored_dataset(experiment, layout),
        "data": _data(experiment),
        "license": experiment.dataset.license,
        "detector": specs.detector(experiment, student),
        "student": student,
        "recipe": recipe,
        "settings": experiment.recipes[recipe].model_dump(),
        "chain": chain,
        "inherited": inherited,
        "seed": seed,
        "teachers": {
            name: {
                **specs.detector(experiment, name),
                "training": _training(experiment, name),
                "sha256": experiment.detectors[name].sha256,
                "license": experiment.detectors[name].license,
            }
            for name in sorted(names)
        },
    }


def publish(experiment: Experiment, layout: Layout) -> dict:
    """What the cards of published detectors say."""
    return {
        "experiment": experiment.experiment,
        "dataset": data_specs.dataset(experiment, layout),
        "data": _data(experiment),
        "detectors": {
            name: {
                **specs.detector(experiment, name),
                "training": _training(experiment, name),
                identity.KEY: specs.scored_with(experiment, layout, name),
            }
            for name in experiment.detectors
        },
    }


def _data(experiment: Experiment) -> str:
    """Where the images come from, in words."""
    generate = experiment.dataset.generate
    return f"drawn by the workflow: {generate.model_dump()}" if generate else "on disk"


def _initial(experiment: Experiment, student: str, recipe: str, first: chains.Chain) -> dict:
    found = specs.initial_weights(experiment, student, recipe, str(first))
    return {"initial": {"place": found.place, "sha256": found.sha256}} if found else {}


def _training(experiment: Experiment, name: str) -> str:
    """How a detector got its weights, in words."""
    found = experiment.detectors[name]
    if not found.train:
        return f"taken from {found.place or 'nowhere: its weights are random'}"
    recipe = experiment.recipes[found.train.recipe]
    optimizer = ", ".join(f"{key} {value}" for key, value in recipe.optimizer.items())
    start = f"started from {found.initial.place}, " if found.initial and found.initial.place else ""
    return (
        f"{start}{found.train.epochs} epochs, {recipe.batch_size} images a step, {optimizer}, "
        f"{recipe.schedule.kind} schedule, seed {found.train.seed}"
    )
