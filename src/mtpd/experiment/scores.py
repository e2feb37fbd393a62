"""The AP of ``metrics.json``: whether it is a result at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

KINDS = {"bbox": "boxes", "segm": "masks"}


class NoResultError(ValueError):
    """An AP that is no number of AP points."""


def read(path: str | Path) -> dict:
    """The content of a ``metrics.json``.

    Raises:
        NoResultError: an AP is COCO's -1, "no such object" (-100 there), so nothing was scored.
    """
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    require({f"{path}, {words}": found[kind]["AP"] for kind, words in KINDS.items() if kind in found})
    return found


def require(ap: Mapping[str, float]) -> None:
    """Check AP, by what it is of: a number below 0 must not be averaged, compared or ranked.

    Raises:
        NoResultError: one of them is no result.
    """
    wrong = {what: value for what, value in ap.items() if not value >= 0}  # NaN neither
    if wrong:
        listed = "; ".join(f"{what}: found AP {value:g}" for what, value in wrong.items())
        raise NoResultError(
            f"{listed}; expected 0 to 100. -100 stands for COCO's -1: the validation split has no object "
            "that is scored (all are crowds, or there are none). Correct its annotations and run again"
        )
