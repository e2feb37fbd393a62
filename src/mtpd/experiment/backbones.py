"""The pretrained checkpoints that detectors start from, found in their mmdet configs without running these.

Only what a config says in plain values is found: ``dict(...)``, names of values above, ``_base_``. A stage
fetches anything else itself when it starts.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mtpd.experiment import chains, rows
from mtpd.experiment.detector_schema import MMDET, Detector
from mtpd.experiment.folders import BACKBONE
from mtpd.experiment.plain_values import plain_value
from mtpd.experiment.schema import Experiment

SCHEMES = ("https://", "http://", "torchvision://", "modelzoo://", "open-mmlab://", "openmmlab://", "timm://")


def path(name: str) -> str:
    """Where the checkpoint that configs call so is kept, like ``torchvision://resnet50``."""
    file = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
    return BACKBONE.format(backbone=file if "." in file else f"{file}.pth")


def of_stage(experiment: Experiment, student: str, recipe: str, chain: str) -> dict[str, str]:
    """The checkpoints that a chain's last stage starts from because the student's config names them.

    Returns:
        Their paths, by the names in the config. There are none if the stage starts from a checkpoint, and in
        a rehearsal.
    """
    if experiment.rehearsal or chains.parse(chain).parent or experiment.recipes[recipe].start == "student":
        return {}
    return _of_detector(experiment.detectors[student])


def by_user(experiment: Experiment) -> dict[str, dict[str, str]]:
    """All checkpoints that the experiment's stages start from, by detector: paths by name."""
    if experiment.rehearsal:
        return {}
    users = {name for name, detector in experiment.detectors.items() if detector.train}
    for name, arm in experiment.arms.items():
        if experiment.recipes[arm.recipe].start != "student":
            users |= set(rows.students(experiment, name))
    return {name: _of_detector(experiment.detectors[name]) for name in sorted(users)}


def _of_detector(detector: Detector) -> dict[str, str]:
    if detector.initial:  # the weights that it starts from in place of these
        return {}
    return {name: path(name) for name in named(detector.config, detector.overrides)}


def named(config: str, overrides: dict[str, Any]) -> list[str]:
    """The addresses of pretrained checkpoints that a config names after its overrides."""
    return list(_named(config, json.dumps(overrides, sort_keys=True, default=str)))


@cache  # a plan asks for the same config at each stage
def _named(config: str, overrides: str) -> tuple[str, ...]:
    try:
        values = copy.deepcopy(_values(_file(config)))
    except (OSError, SyntaxError, TypeError, ValueError):  # nothing plain; the checks say what is wrong
        return ()
    model = _merged(values, _nested(json.loads(overrides))).get("model")
    return tuple(sorted({name for name in _pretrained(model) if name.startswith(SCHEMES)}))


def _pretrained(node: Any) -> Iterator[str]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    for child in children:
        yield from _pretrained(child)
    if isinstance(node, dict):
        found = [node.get("pretrained")]
        if node.get("type") == "Pretrained":
            found.append(node.get("checkpoint"))
        yield from (name for name in found if isinstance(name, str))


def _file(config: str) -> Path:
    """The file of a config.

    Raises:
        ValueError: it comes with mmdet, which is not installed here (with --sdm conda, only jobs have it).
    """
    if not config.startswith(MMDET):
        return Path(config)
    package = importlib.util.find_spec("mmdet")  # does not import it
    if not package or not package.submodule_search_locations:
        raise ValueError("mmdet is not installed")
    return Path(package.submodule_search_locations[0], ".mim/configs", config.removeprefix(MMDET))


@cache
def _values(file: Path) -> dict[str, Any]:
    """The plain values of a config file, on top of those of the files it builds on."""
    base: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        value = plain_value(node.value, {**own, "_base_": base})
        if name != "_base_":
            own[name] = value
            continue
        for other in [value] if isinstance(value, str) else value:
            base |= copy.deepcopy(_values(_file(other) if other.startswith(MMDET) else file.parent / other))
    return _merged(base, own)


def _nested(overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides by dotted key, as dictionaries in dictionaries."""
    nested: dict[str, Any] = {}
    for key, value in overrides.items():
        *parents, last = key.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = copy.deepcopy(value)
    return nested


def _merged(base: Any, changes: dict) -> dict:
    """The changes on top of a base, by mmengine's rules: dictionaries are merged unless they say _delete_."""
    if isinstance(base, list):  # overrides name its items by their position
        base = dict(enumerate(base))
        changes = {int(key): value for key, value in changes.items() if str(key).isdigit()}
    for key, change in changes.items():
        below = base.get(key) if isinstance(change, dict) and not change.pop("_delete_", False) else None
        base[key] = _merged(below, change) if isinstance(below, (dict, list)) else change
    return base
