"""What a finished stage took: seconds and memory, in all its jobs."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Took:
    """What a finished stage took, in all its jobs."""

    seconds: float
    peak_mb: float | None  # of the last job


def read(folder: Path) -> Took | None:
    """What the stage took whose results are in ``folder``; None if it left no benchmark.

    The benchmark is that of the last job; ``jobs.json`` has the seconds of those that were interrupted.
    """
    benchmark, jobs = folder / "benchmark.tsv", folder / "jobs.json"
    if not benchmark.exists():
        return None
    with open(benchmark, newline="", encoding="utf-8") as file:
        last = next(csv.DictReader(file, delimiter="\t"))
    earlier = (
        json.loads(jobs.read_text(encoding="utf-8"))["seconds_of_earlier_jobs"] if jobs.exists() else 0.0
    )
    peak = None if last["max_rss"] in ("-", "NA") else float(last["max_rss"])
    return Took(float(last["s"]) + earlier, peak)
