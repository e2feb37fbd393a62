"""What predictions get right and wrong: AP by class, precision and recall, confusions, counts by image."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from pycocotools import mask

from mtpd.evaluation.truth import Truth

ALL_SIZES, MOST_DETECTIONS = 0, 2  # indices in pycocotools' precision: any area, 100 detections an image
LEAST_SCORE = 0.3  # of the detections that count as objects found, in confusions and by image
LEAST_IOU = 0.5


def analyse(annotations: str | Path, predictions: list[dict]) -> dict:
    """Where the boxes of a detector are right and wrong.

    Args:
        annotations: COCO annotation file.
        predictions: COCO results of one detector.

    Returns:
        ``classes``: their names; all else refers to them by their place in this list;
        ``class_ap``: COCO's AP (points) of each class, None where the split has no object of it;
        ``precision``: at IoU 0.5, for the recalls 0, 0.01, ... 1, mean over the classes that have objects;
        ``confusion``: triples (true class, predicted class, count), None for nothing, see ``match``;
        ``images``: by image id, how many objects were found, reported falsely, and missed.
    """
    truth = Truth(annotations)
    evaluation = truth.evaluated(predictions, "bbox")
    precision = evaluation.eval["precision"][:, :, :, ALL_SIZES, MOST_DETECTIONS]  # IoU x recall x class
    known = (precision > -1).all((0, 1))
    class_ap = zip(100 * precision.mean((0, 1)), known, strict=True)
    names = {number: name for name, number in truth.category_ids.items()}
    numbers = list(evaluation.params.catIds)
    confusion, images = _compare(truth.annotations, predictions)
    return {
        "classes": [names[number] for number in numbers],
        "class_ap": [float(ap) if there else None for ap, there in class_ap],
        "precision": precision[0][:, known].mean(1).round(5).tolist() if known.any() else [],
        "confusion": [
            [None if number is None else numbers.index(number) for number in pair] + [count]
            for pair, count in confusion.items()
        ],
        "images": images,
    }


def _compare(annotations: list[dict], predictions: list[dict]) -> tuple[Counter, dict]:
    """Confusions over all images, by pairs of category ids, and counts by image."""
    objects, found = defaultdict(list), defaultdict(list)
    for item in annotations:
        objects[item["image_id"]].append(item)
    for row in predictions:
        if row["score"] >= LEAST_SCORE:
            found[row["image_id"]].append(row)
    confusion, images = Counter(), {}
    for image in sorted(objects.keys() | found.keys()):
        pairs = match(objects[image], found[image])
        confusion.update(pairs)
        right = sum(true == said for true, said in pairs)
        false = sum(said is not None for _, said in pairs) - right
        missed = sum(true is not None for true, _ in pairs) - right
        images[str(image)] = [right, false, missed]
    return confusion, images


def match(objects: list[dict], found: list[dict]) -> list[tuple[int | None, int | None]]:
    """Pairs (true category, predicted category) of one image; None stands for nothing.

    In the order of their scores, detections take the free object with the largest IoU, whatever its class, if
    that is at least 0.5. As in COCO, crowds are no objects, and a detection that lies in a crowd counts as
    nothing at all.
    """
    crowds = [item for item in objects if item.get("iscrowd")]
    objects = [item for item in objects if not item.get("iscrowd")]
    found = sorted(found, key=lambda row: -row["score"])
    overlaps, in_crowds = _overlaps(found, objects, 0), _overlaps(found, crowds, 1)
    pairs, free = [], set(range(len(objects)))
    for row, own, crowded in zip(found, overlaps, in_crowds, strict=True):
        best = max(free, key=own.__getitem__, default=None)
        if best is not None and own[best] >= LEAST_IOU:
            free.remove(best)
            pairs.append((objects[best]["category_id"], row["category_id"]))
        elif not (crowded >= LEAST_IOU).any():
            pairs.append((None, row["category_id"]))
    return pairs + [(objects[index]["category_id"], None) for index in sorted(free)]


def _overlaps(found: list[dict], objects: list[dict], crowd: int) -> np.ndarray:
    """IoU of each detection (rows) with each object; of crowds, the part of the detection that is inside."""
    if not found or not objects:
        return np.zeros((len(found), len(objects)))
    return np.asarray(
        mask.iou(*([row["bbox"] for row in side] for side in (found, objects)), [crowd] * len(objects))
    )
