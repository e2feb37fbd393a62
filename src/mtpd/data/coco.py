"""COCO annotation files: their classes and images."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

from mtpd import files

KEPT = Path("work/categories")


def categories_of(annotations: str | Path) -> list[dict]:
    """The categories (``id`` and ``name``) of a COCO annotation file, in its order.

    Those of a large file are kept in ``work/categories``, so that not every job parses all its objects.
    """
    status = os.stat(annotations)
    if status.st_size < files.LARGE:
        return _parsed_categories(annotations)
    version = [os.path.abspath(annotations), status.st_size, status.st_mtime_ns]
    kept = KEPT / f"{files.fingerprint(version)}.json"
    if not kept.exists():
        files.write_json(kept, _parsed_categories(annotations))
    return files.read_json(kept)


def _parsed_categories(annotations: str | Path) -> list[dict]:
    categories = files.read_json(annotations)["categories"]
    return [{"id": category["id"], "name": category["name"]} for category in categories]


def classes_of(annotations: str | Path) -> tuple[str, ...]:
    """Class names of a COCO annotation file, in its order."""
    return tuple(category["name"] for category in categories_of(annotations))


def count_listed(annotations: str | Path) -> int:
    """The images of a COCO annotation file, in a second for COCO: what has a file name, without parsing."""
    if not os.path.getsize(annotations):
        return 0  # an empty file cannot be mapped
    with (
        open(annotations, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return sum(1 for _ in re.finditer(rb'"file_name"\s*:', content))


def classes_to_draw(annotations: str) -> tuple[str, ...]:
    """The classes of a rehearsal's generated images: those of the annotation file.

    If the file is not there, COCO's: most published checkpoints know these.
    """
    if Path(annotations).exists():
        return classes_of(annotations)
    from mmdet.datasets import CocoDataset  # takes seconds

    return CocoDataset.METAINFO["classes"]
