"""Classes that only the validation split has objects of. Needs no torch."""

from __future__ import annotations

from collections import Counter

from mtpd.data import coco


def untrained(train: str, val: str) -> str:
    """A line, if detections are scored for classes that no object is trained of; else ''.

    Args:
        train: COCO annotation file of the training split; sound.
        val: that of the validation split.
    """
    trained, scored = _objects(train), _objects(val)
    found = [f"{name!r} ({count} objects)" for name, count in scored.items() if not trained[name]]
    if not found:
        return ""
    return f"{val}: {train} has no object of {', '.join(found)}: such classes are not learnt, and lower AP"


def _objects(annotations: str) -> Counter:
    """How many objects each class has, without crowds."""
    content = coco.parsed(annotations)
    names = {category["id"]: category["name"] for category in content["categories"]}
    return Counter(names[item["category_id"]] for item in content["annotations"] if not item["iscrowd"])
