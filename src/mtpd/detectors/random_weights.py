"""Random weights, for a rehearsal in place of a checkpoint that is not there."""

from __future__ import annotations

from pathlib import Path

import torch

from mtpd.detectors import checkpoints, configs


def save(path: Path, spec: dict, classes: tuple[str, ...]) -> None:
    """Write a checkpoint of a freshly initialised detector, without pretrained parts, always the same one."""
    config = configs.load_config(spec["config"], spec["overrides"], classes)
    config = configs.without_pretraining(config)
    torch.manual_seed(0)
    detector = configs.build(config)
    detector.init_weights()
    checkpoints.save_student(path, detector, config, classes, {"weights": "random"})
