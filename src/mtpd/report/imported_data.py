"""What the report page says of data that an import has made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mtpd import files

WHAT = {"put_right": "put right", "left_out": "left out"}


def described(report: Path) -> dict:
    """Tables of what went into an experiment, and the notes of the import.

    Args:
        report: ``import.json``, as ``mtpd.datasets.importing`` writes it.

    Returns:
        ``splits``, ``classes`` (objects in each split) and ``changes`` (by kind) as tables, and ``notes``.
    """
    found = files.read_json(report)
    own = [f"{split}: {note}" for split, one in found["changes"].items() for note in one["notes"]]
    return {
        "splits": _splits(found["splits"]),
        "classes": _classes(found["splits"]),
        "changes": _changes(found["changes"]),
        "notes": [*found["notes"], *own],
    }


def _splits(splits: dict[str, dict]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "split": name,
                "images": one["images"],
                "objects": one["objects"],
                "form": one["form"],
                "read from": one["source"],
            }
            for name, one in splits.items()
        ]
    )


def _classes(splits: dict[str, dict]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"class": label, **{name: one["classes"].get(label, 0) for name, one in splits.items()}}
            for label in splits["train"]["classes"]
        ]
    )


def _changes(changes: dict[str, dict]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "split": split,
                "what": words,
                "kind": kind,
                "number": entry["count"],
                "examples": "; ".join(entry["examples"]),
            }
            for split, one in changes.items()
            for what, words in WHAT.items()
            for kind, entry in one[what].items()
        ],
        columns=["split", "what", "kind", "number", "examples"],
    )
