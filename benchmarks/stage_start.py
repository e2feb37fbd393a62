"""The start of a stage (Python, torch, mmdet, building, loading) against importing torch and mmdet alone."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import pairing
from benchmarks.models import PROJECT
from mtpd.data import shapes

# The stage's own program, up to its first iteration.
START = """
import os, runpy, sys
from mmengine.runner import Runner
Runner.train = lambda self: os._exit(0)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
IMPORT = "import torch, mmdet.models, mmdet.datasets, mmengine.runner"
RECIPE = {
    "loss": {"name": "pkd", "options": {"weight": 4.0}, "adaptors": "where-needed"},
    "inherit": "first",
    "optimizer": {"type": "AdamW", "lr": 1e-3},
    "clip_grad": 35,
    "paramwise": None,
    "scales": None,
    "precision": "float32",
    "batch_size": 4,
    "micro_batch_size": None,
    "schedule": {"kind": "one-cycle"},
    "validate_every": 2,
}


def measure():
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        stage = command(folder)
        environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"}
        ratios = pairing.side_by_side(
            lambda: pairing.cpu_seconds_of(stage, cwd=folder, env=environment),
            lambda: pairing.cpu_seconds_of([sys.executable, "-c", IMPORT], cwd=folder, env=environment),
            rounds=3,
        )
        yield pairing.Row("a stage until its first iteration", "importing torch and mmdet", ratios, "1.3")


def command(folder):
    splits = {}
    for split, images in (("train", 200), ("val", 100)):
        (folder / split).mkdir()
        shapes.write(shapes.generate(folder / split, split, images, 96, 0), folder / f"{split}.json")
        splits[split] = {"annotations": str(folder / f"{split}.json"), "images": str(folder / split)}
    teacher = PROJECT / "config/zoo/swin32.pth"
    own, its = (
        {"config": str(PROJECT / f"config/detectors/{n}.py"), "overrides": {}, "image_scale": 1, "taps": None}
        for n in ("r18_w4", "zoo_swin_w32")
    )
    dataset = {
        "name": "few",
        "scale": [96, 96],
        "flip": 0.5,
        "skip_empty_images": False,
        "min_image_side": 32,
    }
    spec = {"dataset": {**dataset, **splits}, "student": own, "recipe": RECIPE, "epochs": 1, "seed": 0}
    spec |= {"teachers": [its], "inherits": its, "backbones": {}, "pretrained": True}
    (folder / "spec.json").write_text(json.dumps(spec))
    program = [sys.executable, "-c", START, PROJECT / "workflow/scripts/stage.py", "--spec", "spec.json"]
    paths = ["--teachers", teacher, "--inherit", teacher, "--student", "out/student.pth"]
    return [*program, *paths, "--progress", "said"]
