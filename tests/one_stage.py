"""A small experiment of one stage, and its file."""

import yaml


def experiment(dataset, **recipe):
    """A student that is trained alone for an epoch. Args: ``dataset``, besides its name and scale."""
    alone = {"optimizer": {"type": "AdamW", "lr": 1e-3}, "batch_size": 4, "schedule": {"kind": "one-cycle"}}
    detector = {"config": "config/detectors/r18_w8.py", "train": {"recipe": "alone", "epochs": 1}}
    return {
        "experiment": "one",
        "dataset": {"name": "cells", "scale": [64, 64], **dataset},
        "detectors": {"student": detector},
        "students": ["student"],
        "recipes": {"alone": alone | recipe},
        "arms": {"alone": {"recipe": "alone", "chain": "none@1"}},
    }


def write(folder, content, name="one"):
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path
