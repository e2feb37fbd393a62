"""Images that both splits have: a student is then scored on what it was trained with."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from mtpd import files
from mtpd.data import coco


def same_images(train: dict[str, str], val: dict[str, str]) -> list[str]:
    """Validation images whose bytes are those of a training image; files of other sizes are not read.

    Args:
        train, val: ``annotations`` and ``images`` of a split whose files are there.
    """
    trained, validated = _by_size(train), _by_size(val)
    return sorted(
        str(path)
        for size in trained.keys() & validated.keys()
        for path in _with_content_of(validated[size], trained[size])
    )


def _by_size(split: dict[str, str]) -> dict[int, list[Path]]:
    found = defaultdict(list)
    for image in coco.parsed(split["annotations"])["images"]:
        path = Path(split["images"], image["file_name"])
        found[path.stat().st_size].append(path)
    return found


def _with_content_of(paths: list[Path], others: list[Path]) -> list[Path]:
    known = set(map(files.sha256, others))
    return [path for path in paths if files.sha256(path) in known]
