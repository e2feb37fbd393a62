"""Class names of the generated images that a rehearsal has in place of a data set on disk."""

from __future__ import annotations

from pathlib import Path

from mtpd.data import coco


def classes(annotations: str) -> tuple[str, ...]:
    """Those of the annotation file; if it is not there, COCO's: most published checkpoints know these."""
    if Path(annotations).exists():
        return coco.classes_of(annotations)
    from mmdet.datasets import CocoDataset  # takes seconds

    return CocoDataset.METAINFO["classes"]
