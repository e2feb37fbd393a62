"""Ids: whole numbers, each once, that JSON, pycocotools and arrays keep exactly."""

from __future__ import annotations

from mtpd.datasets.changes import Changes

LARGEST = 2**53 - 1  # pycocotools keeps ids in floats
# pycocotools reads annotation id 0 as "no match"; images and categories may have it.
LEAST = {"images": 0, "categories": 0, "annotations": 1}


def tidy(content: dict, changes: Changes) -> None:
    """Number images, categories and objects anew where their ids cannot be kept; references follow.

    Objects of images or categories that are not listed are left out.
    """
    _join_doubled(content, "images", "file_name", changes)
    _join_doubled(content, "categories", "name", changes)
    images = _numbered(content["images"], "images", changes)
    categories = _numbered(content["categories"], "categories", changes)
    kept = []
    for item in content["annotations"]:
        image, category = plain(item.get("image_id")), plain(item.get("category_id"))
        if image is None or image not in images:
            changes.leave_out("objects", "of images that are not listed", f"image {image!r}")
        elif category is None or category not in categories:
            changes.leave_out("objects", "of unknown categories", f"category {category!r}")
        else:
            _refer(item, "image_id", images[image])
            _refer(item, "category_id", categories[category])
            kept.append(item)
    content["annotations"] = kept
    _numbered(kept, "annotations", changes)


def _refer(item: dict, key: str, target: int) -> None:
    if item[key] != target or type(item[key]) is not int:
        item[key] = target


def plain(value):
    """An id as a whole number, if it stands for one; else as text. None stays None."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if value is None else str(value).strip()


def _numbered(items: list[dict], part: str, changes: Changes) -> dict:
    """Give items sound ids; returns the new one by the old."""
    old = [plain(item.get("id")) for item in items]
    sound = len(set(old)) == len(old)
    sound &= {int}.issuperset(map(type, old))
    sound = sound and (not old or (LEAST[part] <= min(old) and max(old) <= LARGEST))
    new = {}
    for number, (item, key) in enumerate(zip(items, old, strict=True), start=1):
        target = key if sound else number
        if item.get("id") != target or type(item["id"]) is not int:
            changes.put_right(f"ids of {part}", f"{item.get('id')!r} -> {target}")
            item["id"] = target
        new[key] = target
    return new


def _join_doubled(content: dict, part: str, label: str, changes: Changes) -> None:
    """Keep one of the items with one id and one name; stop if objects of one id could belong to two names."""
    first: dict = {}
    kept, unclear = [], {}
    for item in content[part]:
        key = plain(item.get("id"))
        other = first.setdefault(key, item)
        if other is item or key is None:
            kept.append(item)
        elif other.get(label) == item.get(label):
            changes.put_right(f"{part} that are listed twice", item.get(label))
        else:
            kept.append(item)
            unclear[key] = (other.get(label), item.get(label))
    content[part] = kept
    reference = {"images": "image_id", "categories": "category_id"}[part]
    used = {plain(item.get(reference)) for item in content["annotations"]} if unclear else set()
    if told := [f"{key} ({one!r}, {two!r})" for key, (one, two) in unclear.items() if key in used]:
        changes.stop(f"{len(told)} ids of {part} that objects refer to stand for two: {', '.join(told[:3])}")
