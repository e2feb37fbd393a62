"""COCO metrics, computed by pycocotools from the predictions that are written to disk."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def score(annotations: str | Path, predictions: list[dict], kind: str) -> dict[str, float]:
    """The twelve COCO numbers, times 100; -100 where the split has no such object (-1 in COCO).

    Args:
        annotations: COCO annotation file.
        predictions: COCO results.
        kind: ``bbox`` or ``segm``.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, _detections(truth, predictions, kind), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: 100 * float(value) for name, value in zip(NAMES, evaluation.stats, strict=True)}


def _detections(truth: COCO, predictions: list[dict], kind: str) -> COCO:
    # Where a row has a box, pycocotools takes the mask's area from it; so the box is removed, as in mmdet.
    unwanted = {"segm": "bbox", "bbox": "segmentation"}[kind]
    rows = [{key: value for key, value in row.items() if key != unwanted} for row in predictions]
    if rows:
        return truth.loadRes(rows)
    nothing = COCO()  # loadRes fails on an empty list
    nothing.dataset = {**truth.dataset, "annotations": []}
    nothing.createIndex()
    return nothing


class CocoPredictions(BaseMetric):
    """Collects predictions as COCO results and scores them; ``predictions`` holds those of the last pass.

    Args:
        annotations: COCO annotation file.
        classes: the detector's. Detections of classes that the file does not have are left out.
    """

    def __init__(self, annotations: str | Path, classes: tuple[str, ...]):
        super().__init__()
        self.annotations = annotations
        ids = {c["name"]: c["id"] for c in json.loads(Path(annotations).read_text())["categories"]}
        self.category_ids = [ids.get(name) for name in classes]
        self.predictions: list[dict] = []

    def process(self, data_batch, data_samples) -> None:
        for sample in data_samples:
            self.results.append(self._coco_results(sample))

    def compute_metrics(self, results: list) -> dict[str, float]:
        self.predictions = [item for image in results for item in image]
        return score(self.annotations, self.predictions, "bbox")

    def _coco_results(self, sample: dict) -> list[dict]:
        found = sample["pred_instances"]
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
        for row, mask in zip(rows, found.get("masks", ()), strict=False):
            encoded = rle.encode(np.asfortranarray(mask.cpu().numpy().astype(np.uint8)))
            row["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}
        return [row for row in rows if row["category_id"] is not None]


def summary(annotations: str | Path, predictions: list[dict], dataset: str) -> dict:
    """The content of ``metrics.json``."""
    kinds = ["bbox"] + ["segm"] * any("segmentation" in row for row in predictions)
    content = Path(annotations).read_bytes()
    return {
        **{kind: score(annotations, predictions, kind) for kind in kinds},
        "dataset": dataset,
        "annotations": str(annotations),
        "annotations_sha256": hashlib.sha256(content).hexdigest(),
        "images": len(json.loads(content)["images"]),
        "evaluator": f"pycocotools {version('pycocotools')}",
        "versions": {name: version(name) for name in ("mtpd", "torch", "onedl-mmdetection")},
    }
