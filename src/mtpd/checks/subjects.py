"""What is checked, one subject at a time, and what has passed: only what has changed is checked again."""

from __future__ import annotations

import importlib.util
import os
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from mtpd import files

PACKAGES = ("mtpd", "torch", "timm", "onedl-mmcv", "onedl-mmdetection")  # whose versions decide, too
Subject = tuple[str, ...]  # its kind and the names that it concerns


class Kind(StrEnum):
    """The kinds of subjects; ``mtpd.checks.problems.ROUNDS`` has the check of each."""

    SPLIT = "split"
    MASKS = "masks"
    DETECTOR = "detector"
    RECIPE = "recipe"
    PAIR = "pair"
    INHERITING = "inheriting"
    OPERATORS = "operators"


def keys(spec: dict) -> dict[Subject, str]:
    """Every subject, in the order of checking, with a hash of all that its check depends on.

    Args:
        spec: of ``mtpd.experiment.specs.checks``; every detector also has ``files``, those it is made of.
    """
    dataset, specs = spec["dataset"], spec["detectors"]
    detectors = {name: [found, _changed(found["files"])] for name, found in specs.items()}
    depends: dict[Subject, object] = {}
    classes = None
    if not dataset["generated"]:
        splits = {name: dataset[name]["content"] for name in ("train", "val")}
        used = [dataset["skip_empty_images"], dataset["min_image_side"]]
        depends |= {(Kind.SPLIT, name): [split, used] for name, split in splits.items()}
        depends |= {(Kind.MASKS, name): [split, detectors] for name, split in splits.items()}
        classes = splits["train"]
    if path := dataset.get("stands_in_for"):
        classes = _changed([path]) if os.path.exists(path) else path
    depends |= {(Kind.DETECTOR, name): [found, classes] for name, found in detectors.items()}
    depends |= {(Kind.RECIPE, name): recipe for name, recipe in spec["recipes"].items()}
    for kind, pairs in ((Kind.PAIR, spec["pairs"]), (Kind.INHERITING, spec["inherits"])):
        depends |= {(kind, *pair): [*(detectors[name] for name in pair), classes] for pair in pairs}
    if spec["gpus"]:
        depends[(Kind.OPERATORS,)] = _changed(_operators())
    versions = {name: version(name) for name in PACKAGES}
    return {subject: files.fingerprint([subject, found, versions]) for subject, found in depends.items()}


def _operators() -> list[Path]:
    """mmcv's compiled operators."""
    folder = Path(importlib.util.find_spec("mmcv").origin).parent
    return sorted(folder.glob("_ext*"))


def _changed(paths) -> list:
    """Files and folders with their time and size."""
    found = [(str(path), os.stat(path)) for path in paths]
    return [(path, status.st_mtime_ns, status.st_size) for path, status in found]


class Passed:
    """The subjects that have passed: a file each in ``folder``, with facts that later checks need."""

    def __init__(self, spec: dict, folder: Path):
        self._files = {subject: folder / f"{key}.json" for subject, key in keys(spec).items()}

    def to_check(self) -> list[Subject]:
        return [subject for subject, file in self._files.items() if not file.exists()]

    def add(self, subject: Subject, facts: dict) -> None:
        files.write_json(self._files[subject], facts)

    def facts(self, *subject: str) -> dict:
        """What the check of a subject remembered; nothing if it has not passed."""
        file = self._files.get(subject)
        return files.read_json(file) if file and file.exists() else {}
