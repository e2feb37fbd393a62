"""COCO metrics, computed from the predictions that are written to disk."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from pycocotools import mask as rle
from torch import Tensor

from mtpd.evaluation.truth import DEFAULT, Truth

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def score(annotations: Truth | str | Path, predictions: list[dict], kind: str) -> dict[str, float]:
    """The twelve COCO numbers, times 100; -100 where the split has no such object (-1 in COCO).

    Args:
        annotations: COCO annotation file, or what was read from it.
        predictions: COCO results.
        kind: ``bbox`` or ``segm``.
    """
    values = Truth.of(annotations).stats(predictions, kind)
    return {name: 100 * value for name, value in zip(NAMES, values, strict=True)}


class CocoPredictions(BaseMetric):
    """Collects predictions as COCO results and scores them.

    ``predictions`` and ``scores`` (of the boxes) are those of the last pass; ``truth`` is what was read from
    the annotation file, once for all passes.

    Args:
        annotations: COCO annotation file.
        classes: the detector's. Detections of classes that the file does not have are left out.
        evaluator: ``pycocotools`` or ``faster-coco-eval``.

    Raises:
        ValueError: the file has none of the classes, so that every AP would be 0; or it has no object that is
            scored, so that there is no AP.
    """

    def __init__(self, annotations: str | Path, classes: tuple[str, ...], evaluator: str = DEFAULT):
        super().__init__()
        self.truth, self.classes = Truth(annotations, evaluator), classes
        ids = self.truth.category_ids
        self.category_ids = [ids.get(name) for name in classes]
        if not any(name in ids for name in classes):
            own, others = (", ".join(map(repr, names)) for names in (classes, ids))
            raise ValueError(f"{annotations}: has none of the detector's classes ({own}), but {others}")
        if all(row.get("iscrowd") for row in self.truth.annotations):
            count = len(self.truth.annotations)
            raise ValueError(f"{annotations}: found no object that is scored (no crowd) among {count}")
        self.predictions: list[dict] = []
        self.scores: dict[str, float] = {}
        self.masks = False  # whether the detector gives masks, also where it finds nothing

    def process(self, data_batch, data_samples) -> None:
        for sample in data_samples:
            self.results.append(self._coco_results(sample))

    def compute_metrics(self, results: list) -> dict[str, float]:
        self.predictions = [item for image in results for item in image]
        self.scores = score(self.truth, self.predictions, "bbox")
        return self.scores

    def summary(self, dataset: str) -> dict:
        """The content of ``metrics.json`` for the last pass, whose boxes are not scored again."""
        return summary(self.truth, self.predictions, dataset, {"bbox": self.scores}, self.masks)

    def _coco_results(self, sample: dict) -> list[dict]:
        found = sample["pred_instances"]
        self.masks = self.masks or "masks" in found
        boxes = found["bboxes"].cpu().double().numpy().reshape(-1, 4)
        corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).round(3).tolist()
        rows = [
            {
                "image_id": int(sample["img_id"]),
                "category_id": self.category_ids[label],
                "bbox": box,
                "score": round(value, 5),
            }
            for box, value, label in zip(
                corners, found["scores"].tolist(), found["labels"].tolist(), strict=True
            )
        ]
        if "masks" in found:
            for row, mask in zip(rows, encoded(found["masks"]), strict=True):
                row["segmentation"] = mask
        return [row for row in rows if row["category_id"] is not None]


def encoded(masks: Tensor) -> list[dict]:
    """An image's masks (N x H x W) in COCO's run-length encoding; they leave the GPU together."""
    found = [rle.encode(np.asfortranarray(mask)) for mask in masks.to(torch.uint8).cpu().numpy()]
    return [{"size": mask["size"], "counts": mask["counts"].decode()} for mask in found]


def summary(
    annotations: Truth | str | Path,
    predictions: list[dict],
    dataset: str,
    known: dict[str, dict[str, float]] | None = None,
    masks: bool = False,
) -> dict:
    """The content of ``metrics.json``.

    Args:
        annotations: COCO annotation file, or what was read from it.
        predictions: COCO results.
        dataset: name of the data set.
        known: scores of these predictions that were computed before, by kind.
        masks: whether masks are scored although no prediction has one.
    """
    truth = Truth.of(annotations)
    kinds = ["bbox"] + ["segm"] * (masks or any("segmentation" in row for row in predictions))
    known = known or {}
    return {
        **{kind: known.get(kind) or score(truth, predictions, kind) for kind in kinds},
        "dataset": dataset,
        "annotations": truth.path,
        "annotations_sha256": truth.sha256,
        "images": len(truth.images),
        "evaluator": truth.evaluator,
        "versions": {name: version(name) for name in ("mtpd", "torch", "onedl-mmdetection")},
    }
