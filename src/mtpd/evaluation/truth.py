"""The annotated objects of a split, read once, and the program that compares predictions with them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from importlib import metadata
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

DEFAULT = "pycocotools"


class Truth:
    """A COCO annotation file, for any number of scorings.

    Args:
        annotations: COCO annotation file.
        evaluator: ``pycocotools`` or ``faster-coco-eval``, as in the experiment file.
    """

    def __init__(self, annotations: str | Path, evaluator: str = DEFAULT):
        content = Path(annotations).read_bytes()
        self.path = str(annotations)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.evaluator = f"{evaluator} {metadata.version(evaluator)}"
        self._coco_class, self._eval_class = _classes(evaluator)
        self._coco = self._index(json.loads(content))

    @classmethod
    def of(cls, annotations: Truth | str | Path) -> Truth:
        """The annotations that were read before, or those of a file, with the default evaluator."""
        return annotations if isinstance(annotations, Truth) else cls(annotations)

    @property
    def version(self) -> str:
        """The beginning of the file's hash."""
        return self.sha256[:12]

    @property
    def images(self) -> list[dict]:
        return self._coco.dataset["images"]

    @property
    def category_ids(self) -> dict[str, int]:
        """Category ids by class name."""
        return {category["name"]: category["id"] for category in self._coco.dataset["categories"]}

    @property
    def annotations(self) -> list[dict]:
        """Every annotated object, crowds too."""
        return self._coco.dataset["annotations"]

    def mask(self, row: dict) -> np.ndarray:
        """The mask of an annotation or prediction, 0 or 1, in the size of its image."""
        return self._coco.annToMask(row)

    def stats(self, predictions: list[dict], kind: str) -> list[float]:
        """The twelve COCO numbers (0 to 1, or -1) of COCO results, which stay as they are."""
        evaluation = self.evaluated(predictions, kind)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.summarize()
        return [float(value) for value in evaluation.stats]

    def evaluated(self, predictions: list[dict], kind: str):
        """The evaluator's ``COCOeval`` after ``accumulate``: precision by IoU, recall, class, size, count."""
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = self._eval_class(self._coco, self._detections(predictions, kind), kind)
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation

    def _detections(self, predictions: list[dict], kind: str):
        # Where a row has a box, the mask's area is taken from it; so the box is removed, as in mmdet.
        unwanted = {"segm": "bbox", "bbox": "segmentation"}[kind]
        rows = [{key: value for key, value in row.items() if key != unwanted} for row in predictions]
        if rows:
            return self._coco.loadRes(rows)
        return self._index({**self._coco.dataset, "annotations": []})  # loadRes fails on an empty list

    def _index(self, content: dict):
        coco = self._coco_class()
        coco.dataset = content
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        return coco


def _classes(evaluator: str) -> tuple[type, type]:
    """An evaluator's COCO and COCOeval."""
    if evaluator == DEFAULT:
        return COCO, COCOeval
    import faster_coco_eval  # only where it is asked for

    return faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster
