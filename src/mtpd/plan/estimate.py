"""What an experiment costs, before anything runs: stages, hours, disk, downloads. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mtpd.experiment import backbones, chains
from mtpd.experiment.folders import Layout
from mtpd.experiment.input_files import data_to_fetch, downloadable, given_checkpoints
from mtpd.experiment.schema import Experiment
from mtpd.plan import graph, makespan, speeds
from mtpd.plan.graph import Node

UNKNOWN = "unknown"


@dataclass
class Plan:
    """The stages of an experiment, and what is known of their cost.

    Args:
        experiment: as the user wrote it.
        nodes: of ``graph.stages``.
        done: the keys of those whose results are there.
        images: of the training split; None if unknown.
        speeds: that were measured, on ``compute.gpus`` GPUs.
        bytes_of_stage: what a stage of each student writes, where known.
    """

    experiment: Experiment
    nodes: dict[str, Node]
    done: set[str]
    images: int | None
    speeds: speeds.Speeds
    bytes_of_stage: dict[str, float] = field(default_factory=dict)

    @property
    def to_train(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.key not in self.done]

    @property
    def shared(self) -> list[Node]:
        """The stages that several arms (or an arm and a detector) use."""
        return [node for node in self.nodes.values() if len(node.users) > 1]

    @property
    def unknown(self) -> list[Node]:
        """The stages to train whose time is not known."""
        return [node for node in self.to_train if self.seconds(node) is None]

    @property
    def unmeasured(self) -> list[str]:
        """The students with the teachers whose speed is needed, and not known."""
        pairs = {speeds.key(n.student, teachers) for n in self.to_train for teachers in n.candidates}
        return sorted(f"{s} with {'~'.join(t) or chains.NO_TEACHER}" for s, t in pairs - self.speeds.keys())

    @property
    def gpus(self) -> int:
        """GPUs that a stage takes; on CPUs 1, as a job then counts as one."""
        return max(1, self.experiment.compute.gpus)

    def seconds(self, node: Node) -> float | None:
        """Seconds of a stage; with the slowest teachers if they are not chosen yet. None if unknown."""
        found = [self.speeds.get(speeds.key(node.student, teachers)) for teachers in node.candidates]
        if self.images is None or None in found:
            return None
        return max(speed.seconds_per_image for speed in found) * self.images * node.epochs

    def peak_mb(self, node: Node) -> float | None:
        found = [self.speeds.get(speeds.key(node.student, teachers)) for teachers in node.candidates]
        peaks = [speed.peak_mb if speed else None for speed in found]
        return None if None in peaks else max(peaks)

    def gpu_hours(self) -> float:
        """GPU-hours of all stages to train whose time is known."""
        return sum(self.known_seconds().values()) * self.gpus / 3600

    def known_seconds(self) -> dict[str, float]:
        """Seconds of the stages to train by key; 0 where unknown."""
        return {node.key: self.seconds(node) or 0.0 for node in self.to_train}

    def waits_for(self) -> dict[str, set[str]]:
        return {node.key: node.waits_for for node in self.nodes.values()}

    def critical_path(self) -> list[Node]:
        return [self.nodes[key] for key in makespan.longest_path(self.known_seconds(), self.waits_for())]

    def hours_on(self, gpus: int) -> float | None:
        """Hours until all stages are trained; None if a stage needs more GPUs."""
        places = gpus // self.gpus
        if not places:
            return None
        return makespan.makespan(self.known_seconds(), self.waits_for(), places) / 3600

    def disk_bytes(self) -> tuple[float, list[str]]:
        """What the stages to train write at most, and the students for which this is not known."""
        known = [node for node in self.to_train if node.student in self.bytes_of_stage]
        without = {node.student for node in self.to_train} - self.bytes_of_stage.keys()
        return sum(self.bytes_of_stage[node.student] for node in known), sorted(without)


@dataclass(frozen=True)
class Source:
    """A checkpoint that the workflow does not train, or a folder of data that it can download.

    Args:
        user: the detector, or the data.
        place: file or URL.
        present: whether it is there.
        bytes: to download, where known.
    """

    user: str
    place: str
    present: bool
    bytes: int | None = None


def sources(experiment: Experiment, layout: Layout) -> list[Source]:
    """Every download, and every checkpoint that the experiment or its detectors' configs name."""
    archives, missing = experiment.dataset.download, data_to_fetch(experiment)
    data = [
        Source("data", archives[folder].url, folder not in missing, archives[folder].bytes)
        for folder in downloadable(experiment)
    ]
    pretrained = [
        Source(user, name, Path(path).exists())
        for user, found in backbones.by_user(experiment).items()
        for name, path in found.items()
    ]
    given = [
        Source(name, found.place, Path(found.file or layout.detector(name, file)).exists())
        for name, file, found in given_checkpoints(experiment)
    ]
    return data + pretrained + given


def teachers(node: Node) -> str:
    """The teachers of a stage in words; those that a policy may choose are in brackets."""
    names = ["~".join(candidate) or chains.NO_TEACHER for candidate in node.candidates]
    return names[0] if node.known else f"one of ({', '.join(names)})"


def plan(
    experiment: Experiment,
    layout: Layout,
    orders: graph.Known,
    images: int | None,
    measured: speeds.Speeds,
    bytes_of_stage: dict[str, float],
) -> Plan:
    """The plan for the results in the working folder; for the arguments see ``Plan``."""
    nodes = graph.stages(experiment, layout, orders)
    return Plan(experiment, nodes, graph.done(nodes), images, measured, bytes_of_stage)
