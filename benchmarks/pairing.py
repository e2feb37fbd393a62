"""Measuring two ways of doing something side by side."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Row:
    """A line of the table: ``what`` was measured ``against`` what, the median over rounds and their range."""

    what: str
    against: str
    ratios: list[float]
    bar: str = ""  # what the project aims at
    unit: str = ""

    def __str__(self) -> str:
        low, middle, high = (f"{f(self.ratios):.3g}" for f in (min, median, max))
        spread = f"{low} to {high}" if len(self.ratios) > 1 else ""
        return f"| {self.what} | {self.against} | {middle}{self.unit} | {spread} | {self.bar} |"


def operators(work: Callable[[], object]) -> tuple[int, int]:
    """How many operators of torch run, and how many elements they are given; both are the same each time."""
    with Counting() as seen:
        work()
    return seen.operators, seen.elements


class Counting(TorchDispatchMode):
    """Sees every operator, also those of the backward pass."""

    def __init__(self):
        super().__init__()
        self.operators = self.elements = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.operators += 1
        self.elements += sum(x.numel() for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor))
        return operator(*args, **(kwargs or {}))


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process. Other programs on the machine disturb it less than the time on a clock."""
    before = time.process_time()
    work()
    return time.process_time() - before


def cpu_seconds_of(command: list, **options) -> float:
    """CPU time of a command and its children; it must succeed."""
    before = os.times()
    done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", **options)
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def side_by_side(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> list[float]:
    """Ratio of both measures in each round."""
    return in_rounds(lambda: ours() / theirs(), rounds)


def in_rounds(measure: Callable[[], float], rounds: int) -> list[float]:
    """What each round gives, after one round that counts only if there is no other."""
    found = [measure() for _ in range(rounds + 1)]
    return found[1:] or found
