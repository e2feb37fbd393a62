"""Chains: the stages a student has gone through, written as one path component.

``r101@12+x101@12`` is a stage of 12 epochs with teacher r101, then one with x101; ``none@24`` has no teacher;
``r101~x101@24`` has both teachers at once. Only this module parses and writes chains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
NAME_IN_WORDS = "letters (without accents), digits, '_', '.' and '-', with a letter or digit at the beginning"
STAGE = rf"{NAME}(?:~{NAME})*@[1-9][0-9]*"
CHAIN = rf"{STAGE}(?:\+{STAGE})*"
NO_TEACHER = "none"


@dataclass(frozen=True)
class Stage:
    """One stage: its teachers (none, one, or several at once) and its epochs."""

    teachers: tuple[str, ...]
    epochs: int

    def __str__(self) -> str:
        return f"{'~'.join(self.teachers) or NO_TEACHER}@{self.epochs}"


@dataclass(frozen=True)
class Chain:
    """The stages from the first one on, in order."""

    stages: tuple[Stage, ...]

    def __str__(self) -> str:
        return "+".join(map(str, self.stages))

    @property
    def last(self) -> Stage:
        return self.stages[-1]

    @property
    def parent(self) -> Chain | None:
        """The chain without its last stage; None for the first stage."""
        return Chain(self.stages[:-1]) if len(self.stages) > 1 else None

    @property
    def prefixes(self) -> list[Chain]:
        """The chains from the first stage to this one."""
        return [Chain(self.stages[:end]) for end in range(1, len(self.stages) + 1)]

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)

    @property
    def teachers(self) -> tuple[str, ...]:
        return tuple(name for stage in self.stages for name in stage.teachers)


@cache
def parse(text: str) -> Chain:
    """Read a chain.

    Raises:
        ValueError: the text is not a chain, or ``none`` is combined with a teacher.
    """
    if not re.fullmatch(CHAIN, text):
        raise ValueError(
            f"{text!r} is not a chain: expected stages like 'r101@12+x101@12', 'none@24' or 'r101~x101@24'"
        )
    return Chain(tuple(_parse_stage(part) for part in text.split("+")))


def _parse_stage(text: str) -> Stage:
    names, _, epochs = text.rpartition("@")
    teachers = tuple(names.split("~"))
    if teachers == (NO_TEACHER,):
        teachers = ()
    if NO_TEACHER in teachers or len(set(teachers)) < len(teachers):
        raise ValueError(f"{text!r} combines 'none' with a teacher, or names one teacher twice")
    return Stage(teachers, int(epochs))


def alone(epochs: int) -> Chain:
    """The chain of one stage without a teacher."""
    return Chain((Stage((), epochs),))


def in_words(student: str, recipe: str, chain: str, seed: int | str) -> str:
    """The last stage of a chain, for people."""
    found = parse(chain)
    teachers = " and ".join(found.last.teachers) or "no teacher"
    after = f" after {found.parent}" if found.parent else ""
    epochs = "1 epoch" if found.last.epochs == 1 else f"{found.last.epochs} epochs"
    return f"stage {len(found.stages)}{after}: {student} with {teachers}, {epochs}, {recipe}, seed {seed}"


def split_evenly(teachers: list[str], epochs: int) -> Chain:
    """One stage per teacher, ``epochs`` divided evenly (later stages get the remainder).

    Raises:
        ValueError: fewer epochs than stages.
    """
    if not teachers:
        return alone(epochs)
    short, rest = divmod(epochs, len(teachers))
    if short < 1:
        raise ValueError(f"{epochs} epochs do not give one to each of {len(teachers)} stages")
    lengths = [short + (i >= len(teachers) - rest) for i in range(len(teachers))]
    return Chain(tuple(Stage((t,), n) for t, n in zip(teachers, lengths, strict=True)))
