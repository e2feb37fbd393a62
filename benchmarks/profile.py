"""Where the time of a stage and of a step goes, as a picture.

Called as python -m benchmarks.profile PICTURE.svg [--small]. It needs py-spy (pip install py-spy), which
looks at a running process 100 times a second. With --small, stage and step are small: to see that it runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from benchmarks import models, stages
from benchmarks.distillation_step import REAL, Parts, smallest
from benchmarks.models import PROJECT
from mtpd.report import plots

# What a process does, by the first of these that is in its stack.
PHASES = {
    "importing packages": "_find_and_load (",
    "building detectors, reading files": (
        "student_and_teachers (",
        "resolved (",
        "load_config (",
        "build_dataloader (",
    ),
    "saving and results": ("SaveState.", "_write_results ("),
    "validation": "ValLoop.",
    "loading and normalising images": ("_BaseDataLoaderIter.__next__", "Preprocessor.forward"),
    "teacher's forward pass": "Distiller._teacher_features",
    "distillation loss": "TeacherLink.forward",
    "student's forward pass, detection loss": "BaseDetector.forward",
    "backward pass": "backward (torch/_tensor.py",
    "optimiser": "OptimWrapper.",
    "other": "",
}
STAGE = "a stage of the demo:\n3 epochs of 1,200 images,\n1,000 validation images"
STEP = "a step of RetinaNet R50\nunder X101-32x4d, 416 x 256,\nbatch of 2, without optimiser"


def main(picture: str, *options: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shares = pd.DataFrame(
            {
                STAGE: recorded(folder, stage(folder, *((16, 8) if options else (1200, 1000)))),
                STEP: recorded(folder, [__file__, "steps", *options]),
            }
        )
    shares = shares.reindex(list(PHASES)).fillna(0).T
    plots.write([picture, Path(picture).with_suffix(".csv")], shares.T.reset_index(), draw, shares)


def stage(folder: Path, train: int, val: int) -> list:
    spec = stages.spec(folder, train, val) | {"epochs": 3}
    spec["recipe"] = {**spec["recipe"], "batch_size": 8, "validate_every": 6}
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    paths = ["--teachers", stages.TEACHER, "--inherit", stages.TEACHER, "--student", "out/student.pth"]
    return [PROJECT / "workflow/scripts/stage.py", "--spec", "spec.json", *paths, "--progress", "said"]


def steps(*options: str) -> None:
    _, student, teacher, size, *_ = smallest(REAL) if options else REAL
    parts = Parts(models.detector(student), models.detector(teacher), "pkd", models.batch(*size))
    for _ in range(2 if options else 8):
        parts.whole()


def recorded(folder: Path, program: list) -> pd.Series:
    """The share of each phase in the time of a program, in percent."""
    stacks = folder / "stacks"
    watch = ["py-spy", "record", "--format", "raw", "--output", stacks, "--"]
    path = os.pathsep.join(map(str, (PROJECT, PROJECT / "src")))
    subprocess.run(
        list(map(str, [*watch, sys.executable, *program])),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    lines = [line.rsplit(" ", 1) for line in stacks.read_text(encoding="utf-8").splitlines()]
    lines = [(stack, count) for stack, count in lines if "Thread._bootstrap (" not in stack]  # they wait
    if "steps" in program:
        lines = [(stack, count) for stack, count in lines if "Parts.whole" in stack]
    counts = pd.DataFrame({"phase": phase(stack), "count": int(count)} for stack, count in lines)
    return 100 * counts.groupby("phase")["count"].sum() / counts["count"].sum()


def phase(stack: str) -> str:
    for name, marks in PHASES.items():
        if any(mark in stack for mark in ((marks,) if isinstance(marks, str) else marks)):
            return name
    raise AssertionError("the mark of the last phase is in every stack")


def draw(shares: pd.DataFrame) -> Figure:
    """A bar for each program, a part for each phase."""
    figure, axis = plt.subplots(figsize=(6.2, 3.1))
    colours = ["#999999", "#CCCCCC", *plots.COLOURS, "#D55E00", "#666666", "#EEEEEE"]
    left = pd.Series(0.0, shares.index)
    for name, colour in zip(PHASES, colours, strict=True):
        bars = axis.barh(shares.index, shares[name], left=left, color=colour, label=name, height=0.6)
        labels = [f"{share:.0f}" if share >= 4 else "" for share in shares[name]]
        axis.bar_label(bars, labels, label_type="center", fontsize=8)
        left += shares[name]
    axis.set(xlabel="share of the time (%)", xlim=(0, 100))
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


if __name__ == "__main__":
    steps(*sys.argv[2:]) if sys.argv[1] == "steps" else main(*sys.argv[1:])
