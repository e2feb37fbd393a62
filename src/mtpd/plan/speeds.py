"""How long stages take: speeds that were measured, from a table or from finished stages; never a guess."""

from __future__ import annotations

import csv
import statistics
from dataclasses import dataclass
from pathlib import Path

from mtpd.experiment import chains
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.folders import STAGE
from mtpd.job import took

COLUMNS = ("student", "teachers", "seconds_per_image")


@dataclass(frozen=True)
class Speed:
    seconds_per_image: float  # of a stage, with validation and start, over images times epochs
    peak_mb: float | None = None


Speeds = dict[tuple[str, tuple[str, ...]], Speed]  # by student and its teachers, sorted


def key(student: str, teachers: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    return student, tuple(sorted(teachers))


def read(path: str | Path) -> Speeds:
    """A CSV file with the columns student, teachers (as in a chain: ``r101~x101``, ``none``),
    seconds_per_image and, where known, peak_mb.

    Raises:
        ConfigError: a column is missing, or a value is not a positive number.
    """
    with open(path, newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    found: Speeds = {}
    for number, row in enumerate(table, 2):
        if missing := [name for name in COLUMNS if not row.get(name)]:
            raise ConfigError(f"{path}: line {number}: missing: {', '.join(missing)}")
        names = () if row["teachers"] == chains.NO_TEACHER else tuple(row["teachers"].split("~"))
        try:
            peak = float(row["peak_mb"]) if row.get("peak_mb") else None
            speed = Speed(float(row["seconds_per_image"]), peak)
        except ValueError as error:
            raise ConfigError(f"{path}: line {number}: {error}") from None
        if not 0 < speed.seconds_per_image < float("inf"):
            raise ConfigError(f"{path}: line {number}: seconds_per_image: expected a number above 0")
        found[key(row["student"], names)] = speed
    return found


def of_finished_stages(dataset: str, images: int) -> Speeds:
    """Medians over the finished stages on this data set: what their jobs took.

    Snakemake measures the memory of the process on the host, not that of a GPU.
    """
    seconds: dict[tuple, list[float]] = {}
    peaks: dict[tuple, list[float]] = {}
    pattern = STAGE.format(dataset=dataset, student="*", recipe="*", chain="*", seed="*")
    for path in Path().glob(f"{pattern}/benchmark.tsv"):
        if not (path.parent / "student.pth").exists():
            continue
        student, _, chain, _ = path.parent.parts[-4:]
        last = chains.parse(chain).last
        measured = took.read(path.parent)
        which = key(student, last.teachers)
        seconds.setdefault(which, []).append(measured.seconds / (images * last.epochs))
        if measured.peak_mb is not None:
            peaks.setdefault(which, []).append(measured.peak_mb)
    return {
        which: Speed(statistics.median(found), max(peaks.get(which, []), default=None))
        for which, found in seconds.items()
    }
