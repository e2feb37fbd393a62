"""What made a result: the settings of its job, without what cannot change it, such as where files lie.

It stands in the result itself. So a result that was copied, or made by another experiment file of the same
name, is recognised whatever Snakemake remembers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mtpd import files

# Of a part of a spec that has its ``content``: where it lies does not count then.
PATHS = ("annotations", "images", "config", "source")
KEY = "made_with"  # in metrics.json and order.json
NAMED = 3  # differences in a message
UNSET = "nothing"
# Of the spec of a stage: these change its scores or the curve of its epochs, and no weight.
ONLY_SCORING = {"dataset": ("name", "val", "evaluator"), "recipe": ("validate_every",)}


def made_with(spec: dict) -> dict:
    """A spec of ``mtpd.experiment.specs`` without the places of its files, as JSON gives it back."""
    return json.loads(json.dumps(_without_paths(spec)))


def trained_with(spec: dict) -> dict:
    """The settings that decide the weights of a stage: ``made_with`` without what only scores."""
    return {
        name: {key: value for key, value in part.items() if key not in ONLY_SCORING[name]}
        if name in ONLY_SCORING
        else part
        for name, part in made_with(spec).items()
    }


def digest(spec: dict) -> str:
    """Twelve hex digits of the hash of what a spec makes."""
    return files.fingerprint(made_with(spec))


def _without_paths(node: Any) -> Any:
    if isinstance(node, (list, tuple)):
        return [_without_paths(item) for item in node]
    if not isinstance(node, dict):
        return node
    left_out = PATHS if "content" in node else ()
    return {
        key: sorted(value) if key == "backbones" else _without_paths(value)
        for key, value in node.items()
        if key not in left_out
    }


def misfit(result: str | Path, spec: Callable[[], dict], product: str | Path | None = None) -> str | None:
    """Why the job of a result has to run again; None if it fits, or if there is nothing yet.

    Args:
        result: JSON file that says what it was made with.
        spec: gives what it has to be made with; not asked while there is no result.
        product: what the same job makes, too; without the result, nobody knows what made it.
    """
    if not Path(result).exists():
        return f"missing beside {Path(product).name}" if product and Path(product).exists() else None
    try:
        found = files.read_json(result).get(KEY)
    except ValueError:
        return "cannot be read"
    return "; ".join(differences(found, made_with(spec()))[:NAMED]) or None


def differences(found: dict | None, expected: dict) -> list[str]:
    """What differs between two results of ``made_with``, like ``recipe.clip_grad: found 35, expected 5``."""
    if found is None:
        return ["does not say which settings it was made with"]
    return list(_differences(found, expected, ()))


def _differences(found: Any, expected: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in dict.fromkeys([*expected, *found]):
            yield from _differences(found.get(key, UNSET), expected.get(key, UNSET), (*path, key))
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for number, pair in enumerate(zip(found, expected, strict=True)):
            yield from _differences(*pair, (*path, str(number)))
    elif found != expected:
        yield f"{'.'.join(path)}: found {_shown(found)}, expected {_shown(expected)}"


def _shown(value: Any) -> str:
    return value if value is UNSET else json.dumps(value)
