"""A stage of the demo's pair, to measure with."""

from __future__ import annotations

from pathlib import Path

from benchmarks.models import PROJECT
from mtpd.datasets import shapes

TEACHER = PROJECT / "config/zoo/swin32.pth"
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


def spec(folder: Path, train: int = 200, val: int = 100) -> dict:
    """The settings of a stage of one epoch; its images are drawn into the folder."""
    splits = {}
    for split, images in (("train", train), ("val", val)):
        (folder / split).mkdir()
        shapes.write(shapes.generate(folder / split, split, images, 96, 0), folder / f"{split}.json")
        splits[split] = {"annotations": str(folder / f"{split}.json"), "images": str(folder / split)}
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
    found = {"dataset": {**dataset, **splits}, "student": own, "recipe": RECIPE, "epochs": 1, "seed": 0}
    return {**found, "teachers": [its], "inherits": its, "backbones": {}, "pretrained": True}
