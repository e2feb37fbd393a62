"""The stages that an experiment trains, as a graph: which there are, who shares them, what each waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

from mtpd.experiment import chains, rows, specs, stage_inputs
from mtpd.experiment.folders import Layout
from mtpd.experiment.rows import Orders
from mtpd.experiment.schema import SEVERAL_CHAINS, Experiment

NOT_CHOSEN = "?"  # begins what stands in a chain for a teacher that a policy has not chosen yet
Known = Callable[[str, str], Orders | None]  # gives the orders of a (student, pool), if they are known


@dataclass(frozen=True)
class Node:
    """A stage.

    Args:
        key: the folder of its results; of a stage whose teacher is not chosen yet, a name like it.
        student, recipe, chain, seed: that name it; the chain names its teachers up to this stage.
        epochs: of this stage.
        candidates: the teachers that it may have; several where the policy has not chosen yet.
        checkpoints: that it reads, as far as they are known.
        given: those of them that no stage makes.
        waits_for: the keys of the stages without which it cannot start, also through an order.
        users: arms, and detectors that have ``train``.
        pool: whose order it waits for, if that is not known yet.
    """

    key: str
    student: str
    recipe: str
    chain: str
    seed: int
    epochs: int
    candidates: list[tuple[str, ...]]
    checkpoints: list[str]
    given: list[str]
    waits_for: set[str]
    users: list[str]
    pool: str | None

    @property
    def known(self) -> bool:
        return NOT_CHOSEN not in self.chain


@dataclass(frozen=True)
class _Use:
    """A chain that an arm or a detector asks for. ``pool``: it stands for an order that is not known yet."""

    student: str
    recipe: str
    chain: chains.Chain
    seed: int
    user: str
    pool: str | None = None


def known_orders(experiment: Experiment, layout: Layout) -> Known:
    """Gives the orders on disk, unless they were made from other settings."""

    def known(student: str, pool: str) -> Orders | None:
        return layout.written_orders(student, pool, specs.order(experiment, layout, student, pool))

    return known


def stages(experiment: Experiment, layout: Layout, orders: Known) -> dict[str, Node]:
    """Every stage by its key.

    Where an order is not known yet, an arm gets as many stages as it can have at most.
    """
    uses: dict[str, list[_Use]] = {}
    for use in _uses(experiment, orders):
        for prefix in use.chain.prefixes:
            key = layout.stage(use.student, use.recipe, prefix, use.seed)
            uses.setdefault(key, []).append(replace(use, chain=prefix))
    trained_by = {
        layout.detector(name, "weights.pth"): stage_inputs.training_stage(experiment, layout, name)
        for name, detector in experiment.detectors.items()
        if detector.train
    }
    return {key: _node(experiment, layout, key, same, trained_by) for key, same in uses.items()}


def to_train(nodes: Iterable[Node]) -> list[Node]:
    """The stages without scores: while a stage runs again, its earlier student is still there."""
    return [node for node in nodes if not (node.known and Path(node.key, "metrics.json").exists())]


def done(nodes: dict[str, Node]) -> set[str]:
    """The keys of the stages that have scores."""
    return nodes.keys() - {node.key for node in to_train(nodes.values())}


def shortest_stages(nodes: Iterable[Node]) -> dict[str, int]:
    """Epochs of the shortest stage, by recipe."""
    shortest: dict[str, int] = {}
    for node in nodes:
        shortest[node.recipe] = min(node.epochs, shortest.get(node.recipe, node.epochs))
    return shortest


def _uses(experiment: Experiment, orders: Known) -> Iterator[_Use]:
    for name, detector in experiment.detectors.items():
        if train := detector.train:
            yield _Use(name, train.recipe, chains.alone(train.epochs), train.seed, f"detector {name}")
    for name, arm in experiment.arms.items():
        for student in rows.students(experiment, name):
            known = orders(student, arm.pool) if arm.policy else None
            waiting = arm.pool if arm.policy and known is None else None
            for chain in _chains(experiment, name, student, known):
                for seed in rows.seeds(experiment, name):
                    yield _Use(student, arm.recipe, chain, seed, name, waiting)


def _chains(experiment: Experiment, name: str, student: str, orders: Orders | None) -> list[chains.Chain]:
    """The chains of an arm, or what stands for them while their order is not known."""
    arm = experiment.arms[name]
    if arm.chain or orders:
        return rows.chains_of(arm, orders)
    longest = rows.longest_chain(experiment, name, student)
    if arm.policy in SEVERAL_CHAINS:
        teachers = sorted(set(experiment.pools[arm.pool]) - {student})
        return [chains.split_evenly(list(order), arm.epochs) for order in permutations(teachers, longest)]
    return [chains.split_evenly([f"{NOT_CHOSEN}{arm.policy}.{arm.pool}"] * longest, arm.epochs)]


def _node(
    experiment: Experiment, layout: Layout, key: str, uses: list[_Use], trained_by: dict[str, str]
) -> Node:
    """The stage that all these uses share. Args: ``trained_by``, stages by the weights that come of them."""
    use = uses[0]
    which = (use.student, use.recipe, str(use.chain), use.seed)
    # An order is not waited for if another use has the chain without any.
    pool = None if any(other.pool is None for other in uses) else use.pool
    if NOT_CHOSEN in str(use.chain):
        candidates, checkpoints = [(name,) for name in experiment.pools[pool] if name != use.student], []
    else:
        candidates = [use.chain.last.teachers]
        checkpoints = stage_inputs.of_stage(experiment, layout, *which).checkpoints
    members = specs.pool_members(experiment, use.student, pool) if pool else []
    read = [*checkpoints, *(layout.detector(name, "weights.pth") for name in members)]
    before = {trained_by[path] for path in read if path in trained_by}
    made = set(trained_by)
    if use.chain.parent:
        parent = layout.stage(use.student, use.recipe, use.chain.parent, use.seed)
        before.add(parent)
        made.add(f"{parent}/student.pth")
    return Node(
        key,
        *which,
        epochs=use.chain.last.epochs,
        candidates=candidates,
        checkpoints=checkpoints,
        given=[path for path in checkpoints if path not in made],
        waits_for=before,
        users=list(dict.fromkeys(other.user for other in uses)),
        pool=pool,
    )
