"""The start of a stage (Python, torch, mmdet, building, loading) against importing torch and mmdet alone."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import pairing, stages
from benchmarks.models import PROJECT

# The stage's own program, up to its first iteration.
START = """
import os, runpy, sys
from mmengine.runner import Runner
Runner.train = lambda self: os._exit(0)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
IMPORT = "import torch, mmdet.models, mmdet.datasets, mmengine.runner"


def measure(small: bool = False):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        stage = command(folder, *((8, 4) if small else (200, 100)))
        environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"}
        ratios = pairing.side_by_side(
            lambda: pairing.cpu_seconds_of(stage, cwd=folder, env=environment),
            lambda: pairing.cpu_seconds_of([sys.executable, "-c", IMPORT], cwd=folder, env=environment),
            rounds=0 if small else 3,
        )
        yield pairing.Row("a stage until its first iteration", "importing torch and mmdet", ratios, "1.3")


def command(folder, *images):
    (folder / "spec.json").write_text(json.dumps(stages.spec(folder, *images)), encoding="utf-8")
    program = [sys.executable, "-c", START, PROJECT / "workflow/scripts/stage.py", "--spec", "spec.json"]
    paths = ["--teachers", stages.TEACHER, "--inherit", stages.TEACHER, "--student", "out/student.pth"]
    return [*program, *paths, "--progress", "said"]
