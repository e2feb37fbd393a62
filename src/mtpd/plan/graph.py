"""The stages that an experiment trains, as a graph: which there are, who shares them, what each waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

from mtpd.experiment import chains, rows, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.rows import Orders
from mtpd.experiment.schema import SEVERAL_CHAINS, Experiment

NOT_CHOSEN = "?"  # begins what stands in a chain for a teacher that a policy has not chosen yet
Known = Callable[[str, str], Orders | None]  # gives the orders of a (student, pool), if they are known


@dataclass
class Node:
    """A stage.

    Several ``candidates`` mean that the policy has not chosen yet; each is the teachers of a stage.
    """

    key: str  # the folder of its results; of a stage that is not known yet, a name like it
    student: str
    recipe: str
    chain: str
    seed: int
    epochs: int
    candidates: list[tuple[str, ...]]
    waits_for: set[str] = field(default_factory=set)
    detectors: set[str] = field(default_factory=set)  # whose weights it needs, as far as they are known
    users: list[str] = field(default_factory=list)  # arms, and detectors that have ``train``
    pool: str | None = None  # whose order is not known yet, and has to be

    @property
    def known(self) -> bool:
        return NOT_CHOSEN not in self.chain


def known_orders(experiment: Experiment, layout: Layout) -> Known:
    """Gives the orders on disk, unless they were made from other settings."""

    def known(student: str, pool: str) -> Orders | None:
        return layout.written_orders(student, pool, specs.order(experiment, layout, student, pool))

    return known


def stages(experiment: Experiment, layout: Layout, orders: Known) -> dict[str, Node]:
    """Every stage by its key.

    Where an order is not known yet, an arm gets as many stages as it can have at most.
    """
    graph = _Graph(experiment, layout)
    for name, detector in experiment.detectors.items():
        if train := detector.train:
            graph.add(name, train.recipe, _alone(train.epochs), train.seed, f"detector {name}")
    for name, arm in experiment.arms.items():
        for student in rows.students(experiment, name):
            known = orders(student, arm.pool) if arm.policy else None
            waiting = arm.pool if arm.policy and known is None else None
            for chain in _chains(experiment, name, student, known):
                for seed in rows.seeds(experiment, name):
                    graph.add(student, arm.recipe, chain, seed, name, waiting)
    return graph.nodes


def to_train(nodes: Iterable[Node]) -> list[Node]:
    """Those without scores: while a stage runs again, its earlier student is still there."""
    return [node for node in nodes if not (node.known and Path(node.key, "metrics.json").exists())]


def shortest_stages(nodes: Iterable[Node]) -> dict[str, int]:
    """Epochs of the shortest stage, by recipe."""
    shortest: dict[str, int] = {}
    for node in nodes:
        shortest[node.recipe] = min(node.epochs, shortest.get(node.recipe, node.epochs))
    return shortest


def _alone(epochs: int) -> chains.Chain:
    return chains.Chain((chains.Stage((), epochs),))


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


class _Graph:
    def __init__(self, experiment: Experiment, layout: Layout):
        self.experiment, self.layout = experiment, layout
        self.nodes: dict[str, Node] = {}

    def add(
        self,
        student: str,
        recipe: str,
        chain: chains.Chain,
        seed: int,
        user: str,
        pool: str | None = None,
    ) -> None:
        """Add the stages of a chain. Args: ``pool``, whose order they wait for."""
        for prefix in chain.prefixes:
            key = self.layout.stage(student, recipe, prefix, seed)
            if key not in self.nodes:
                self.nodes[key] = self._node(key, student, recipe, prefix, seed, pool)
            node = self.nodes[key]
            if node.pool and not pool:  # another user has this chain without any order
                node.pool = None
                node.waits_for = self._waits_for(node, prefix)
            if user not in node.users:
                node.users.append(user)

    def _node(
        self, key: str, student: str, recipe: str, chain: chains.Chain, seed: int, pool: str | None
    ) -> Node:
        node = Node(
            key, student, recipe, str(chain), seed, chain.last.epochs, [chain.last.teachers], pool=pool
        )
        if node.known:
            node.detectors = self._detectors(node, chain)
        else:
            node.candidates = [(name,) for name in self.experiment.pools[pool] if name != student]
        node.waits_for = self._waits_for(node, chain)
        return node

    def _waits_for(self, node: Node, chain: chains.Chain) -> set[str]:
        """The stages without which a stage cannot start, those of its pool's order too."""
        members = specs.pool_members(self.experiment, node.student, node.pool) if node.pool else ()
        needed = node.detectors.union(members)
        before = {self._trained(name) for name in needed if self.experiment.detectors[name].train}
        if chain.parent:
            before.add(self.layout.stage(node.student, node.recipe, chain.parent, node.seed))
        return before

    def _detectors(self, node: Node, chain: chains.Chain) -> set[str]:
        """The detectors whose weights a stage needs."""
        inherited = specs.inherited_detector(self.experiment, node.recipe, node.chain)
        own = self.experiment.recipes[node.recipe].start == "student" and not chain.parent
        return {*chain.last.teachers, *([inherited] if inherited else []), *([node.student] if own else [])}

    def _trained(self, detector: str) -> str:
        """The stage that trains a detector."""
        train = self.experiment.detectors[detector].train
        return self.layout.stage(detector, train.recipe, _alone(train.epochs), train.seed)
