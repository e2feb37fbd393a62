"""Measuring two ways of doing something side by side."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


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
    """Ratio of both measures in each round, after one round that is not counted."""
    found = []
    for number in range(rounds + 1):
        pair = ours(), theirs()
        if number:
            found.append(pair[0] / pair[1])
    return found
