"""What the report page tells about the detectors and stages of an experiment, read once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mtpd import files
from mtpd.experiment import scores
from mtpd.job import took
from mtpd.report import tables

NOTHING = -1  # the row and column of no object


@dataclass(frozen=True)
class Findings:
    """Results by subject: the detectors, then each stage of the shown arms ("direct, stage 1").

    Args:
        settings: of ``mtpd.experiment.outputs.report_page``.
        folders: of the results of each subject.
        metrics: content of ``metrics.json``; each has an AP.
        analyses: content of ``analysis.json`` (``mtpd.evaluation.analysis``).
    """

    settings: dict
    folders: dict[str, Path]
    metrics: dict[str, dict]
    analyses: dict[str, dict]

    @classmethod
    def read(cls, settings: dict) -> Findings:
        stages = {
            _stage_name(row, number): stage["folder"]
            for row in settings["shown"]
            for number, stage in enumerate(row["stages"], 1)
        }
        folders = {name: Path(folder) for name, folder in (settings["detectors"] | stages).items()}
        metrics = {name: scores.read(folder / "metrics.json") for name, folder in folders.items()}
        analyses = {name: files.read_json(folder / "analysis.json") for name, folder in folders.items()}
        return cls(settings, folders, metrics, analyses)

    @property
    def student(self) -> str:
        """The student of the shown arms."""
        return self.settings["shown"][-1]["student"]

    @property
    def arm(self) -> str:
        """The label of the arm that is compared with the others."""
        return list(self.ends)[-1]

    @property
    def ends(self) -> dict[str, str]:
        """The last stage of each shown arm, by the arm's label: its name, unless a detector has this name."""
        taken = self.settings["detectors"]
        return {
            f"arm {row['arm']}" if row["arm"] in taken else row["arm"]: _stage_name(row, len(row["stages"]))
            for row in self.settings["shown"]
        }

    @property
    def best_control(self) -> str | None:
        """The shown arm with the highest AP, apart from ``arm``."""
        others = [arm for arm in self.ends if arm != self.arm]
        return max(others, key=lambda arm: self.metrics[self.ends[arm]]["bbox"]["AP"], default=None)

    @property
    def strongest(self) -> str | None:
        """The teacher with the highest AP."""
        return max(self.settings["teachers"], key=lambda name: self.metrics[name]["bbox"]["AP"], default=None)

    def predictions(self, subject: str) -> list[dict]:
        return files.read_json(self.folders[subject] / "predictions.json")

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their category ids."""
        return self.analyses[self.student]["classes"]

    def ap_by_class(self) -> pd.DataFrame:
        """AP (points) of the student alone and of each stage (rows); NaN where a class has no objects."""
        lines = {name: self.analyses[name]["class_ap"] for name in self._compared}
        return pd.DataFrame.from_dict(lines, orient="index", columns=self.classes, dtype=float)

    def ap_by_size(self) -> pd.DataFrame:
        """AP of small, medium and large objects: ``APs``, ``APm``, ``APl``."""
        lines = {name: tables.shown(self.metrics[name]["bbox"]) for name in self._compared}
        return pd.DataFrame.from_dict(lines, orient="index")[["APs", "APm", "APl"]]

    @property
    def _compared(self) -> list[str]:
        """The student alone and each stage."""
        return [self.student, *(name for name in self.folders if name not in self.settings["detectors"])]

    def confusion(self, subject: str) -> np.ndarray:
        """Counts by true class (rows) and predicted class (columns), and last of both, nothing."""
        counts = np.zeros((len(self.classes) + 1,) * 2, int)
        for true, said, count in self.analyses[subject]["confusion"]:
            counts[NOTHING if true is None else true, NOTHING if said is None else said] = count
        return counts

    def stage_costs(self) -> pd.DataFrame:
        """Seconds and memory of each stage of the shown rows, where its jobs left a record."""
        lines = []
        for row in self.settings["shown"]:
            for stage in row["stages"]:
                spent = took.read(Path(stage["folder"])) or took.Took(math.nan, None)
                costs = {"seconds": spent.seconds, "memory (MB)": spent.peak_mb}
                lines.append({"arm": row["arm"], "stage": stage["chain"], "seed": row["seed"], **costs})
        return pd.DataFrame(lines)


def _stage_name(row: dict, number: int) -> str:
    return f"{row['arm']}, stage {number}"
