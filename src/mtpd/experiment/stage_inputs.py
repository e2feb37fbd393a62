"""Which checkpoints a stage reads, and which stage trains a detector: the one truth of rules and plan."""

from __future__ import annotations

from dataclasses import dataclass

from mtpd.experiment import chains, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.schema import Experiment


@dataclass(frozen=True)
class StageInputs:
    """Paths of the checkpoints that a stage reads, by their role; at most one path in all but ``teachers``.

    Args:
        teachers: of the detectors that teach, in the order of the chain.
        inherited: of the detector whose neck and heads the student takes.
        initial: that the student starts from where names and shapes agree.
        parent: that the student starts from as a whole: of the previous stage, or its own.
        detectors: the student and all detectors whose configs the stage builds.
    """

    teachers: list[str]
    inherited: list[str]
    initial: list[str]
    parent: list[str]
    detectors: list[str]

    @property
    def checkpoints(self) -> list[str]:
        """All paths."""
        return [*self.teachers, *self.inherited, *self.initial, *self.parent]


def of_stage(
    experiment: Experiment, layout: Layout, student: str, recipe: str, chain: str, seed: int | str
) -> StageInputs:
    """The inputs of a chain's last stage."""
    teachers = chains.parse(chain).last.teachers
    source = specs.inherited_detector(experiment, recipe, chain)
    inherited = [source] if source else []
    starts = specs.initial_weights(experiment, student, recipe, chain)
    return StageInputs(
        teachers=[layout.detector(name, "weights.pth") for name in teachers],
        inherited=[layout.detector(name, "weights.pth") for name in inherited],
        initial=[layout.detector(student, "initial.pth")] if starts else [],
        parent=_parent(experiment, layout, student, recipe, chains.parse(chain), seed),
        detectors=[student, *teachers, *inherited],
    )


def _parent(
    experiment: Experiment, layout: Layout, student: str, recipe: str, chain: chains.Chain, seed: int | str
) -> list[str]:
    """The checkpoint that a chain's last stage starts from: of the stage before, or the student's own."""
    if chain.parent:
        return [f"{layout.stage(student, recipe, chain.parent, seed)}/student.pth"]
    own = experiment.recipes[recipe].start == "student"
    return [layout.detector(student, "weights.pth")] if own else []


def training_stage(experiment: Experiment, layout: Layout, detector: str) -> str:
    """The folder of the stage that trains a detector that has ``train``."""
    train = experiment.detectors[detector].train
    return layout.stage(detector, train.recipe, chains.alone(train.epochs), train.seed)
