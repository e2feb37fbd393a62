"""Numbers of an imported split, which the sizes of an experiment are chosen from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median

from mtpd import files


def of_split(annotations: Path) -> dict:
    """What a split has.

    Args:
        annotations: a file that ``importing.import_dataset`` wrote.

    Returns:
        ``count`` of images, ``size`` (medians of their longer and shorter sides, pixels), ``object_side``
        (median square root of a box's area, pixels; 0 without objects), ``most_objects`` (of an image).
    """
    content = files.read_json(annotations)
    sides = [(image["width"], image["height"]) for image in content["images"]]
    areas = [item["bbox"][2] * item["bbox"][3] for item in content["annotations"]]
    of_images = Counter(item["image_id"] for item in content["annotations"] if not item["iscrowd"])
    return {
        "count": len(sides),
        "size": (median(map(max, sides)), median(map(min, sides))),
        "object_side": median(areas) ** 0.5 if areas else 0,
        "most_objects": max(of_images.values(), default=0),
    }
