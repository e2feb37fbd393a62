"""Masks: polygons or runs that pycocotools draws, not empty, near their box."""

from __future__ import annotations

import json
import math
from array import array
from itertools import chain
from operator import mul, sub

import numpy as np
from pycocotools import mask as drawing

from mtpd.datasets.changes import Changes

FEWEST = 6  # numbers of a polygon: three points
NEAR = 0.1  # least share that the box of a mask and the object's box have in common (intersection over union)
# Polygons that are sound without being drawn: the same share, and the share of their own box that they fill.
PLAINLY_NEAR, FILLED = 0.5, 0.1
LEAST_SIDE = 2  # pixels
FAR = 10  # sides of an image
AT_ONCE = 10_000  # masks


def tidy_form(content: dict, changes: Changes) -> None:
    """Make each ``segmentation`` a list of polygons or a run; fill in boxes and areas that only it tells."""
    for item in content["annotations"]:
        found = item.get("segmentation")
        if not found:
            continue
        if isinstance(found, str):
            found = _from_text(found, item, changes)
        if isinstance(found, list) and found and all(type(value) in (int, float) for value in found):
            changes.put_right("masks whose polygon is in no list", f"object {item.get('id')}")
            item["segmentation"] = [found]
        _fill_in(item, changes)


def _from_text(text: str, item: dict, changes: Changes):
    try:
        item["segmentation"] = json.loads(text)
    except ValueError:
        return text
    changes.put_right("masks written as text", f"object {item.get('id')}")
    return item["segmentation"]


def _fill_in(item: dict, changes: Changes) -> None:
    polygons = item["segmentation"]
    known = item.get("bbox") is not None and item.get("area") is not None
    if known or not _are_polygons(polygons):
        return
    if item.get("bbox") is None:
        points = [value for polygon in polygons for value in polygon]
        xs, ys = points[::2], points[1::2]
        item["bbox"] = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        changes.put_right("boxes that only the mask tells", f"object {item.get('id')}: {item['bbox']}")
    if item.get("area") is None:
        item["area"] = sum(map(polygon_area, polygons))
        changes.put_right("areas", f"object {item.get('id')}: that of its mask")


def _are_polygons(found) -> bool:
    return isinstance(found, list) and all(_is_polygon(polygon) for polygon in found)


def _is_polygon(polygon) -> bool:
    if not isinstance(polygon, list) or len(polygon) < FEWEST or len(polygon) % 2:
        return False
    try:
        return math.isfinite(sum(polygon))  # quick; what is no number raises
    except (TypeError, OverflowError):
        return False


def polygon_area(polygon: list[float]) -> float:
    """The area of a polygon x1, y1, x2, y2, ..., pixels."""
    xs, ys = polygon[::2], polygon[1::2]
    ahead, back = map(mul, xs, ys[1:] + ys[:1]), map(mul, xs[1:] + xs[:1], ys)
    return abs(sum(map(sub, ahead, back))) / 2


def tidy(content: dict, few: float, draw_all: bool, changes: Changes) -> None:
    """Keep the masks that can be used.

    With ``draw_all``, pycocotools draws all of them; else all but polygons that plainly fill their box.

    Where most objects have a usable mask, an object without one would stop the training of a mask head: it is
    left out, if such objects are ``few`` (a share). Else only the masks are dropped: the boxes can be used.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    masked = [item for item in content["annotations"] if item.get("segmentation")]
    doubtful = masked if draw_all else _doubtful(masked)
    wrong = {id(item): why for item in doubtful if (why := _fault(item, sizes[item["image_id"]], changes))}
    total = len(content["annotations"])
    drop_objects = len(masked) - len(wrong) > total / 2 and len(wrong) <= few * total
    for item in masked:
        if (why := wrong.get(id(item))) is None:
            continue
        which = f"object {item['id']}"
        if drop_objects:
            changes.leave_out("objects", f"masks {why}", which)
        else:
            changes.put_right(f"masks {why}, dropped (the box is kept)", which)
            del item["segmentation"]
    if drop_objects:
        content["annotations"] = [item for item in content["annotations"] if id(item) not in wrong]
    _tell_without(content, changes)


def _tell_without(content: dict, changes: Changes) -> None:
    """Some tools draw a box for what they cannot outline."""
    without = sum(not item.get("segmentation") for item in content["annotations"])
    if 0 < without < len(content["annotations"]):
        changes.note(
            f"{without} of {len(content['annotations'])} objects have no mask, only a box: detectors with a"
            " mask head cannot be trained with these data, detectors of boxes can"
        )


def _doubtful(items: list[dict]) -> list[dict]:
    """All but the masks of polygons that, unless they cover themselves twice, plainly fill their box."""
    plain = [item for item in items if _are_polygons(item["segmentation"])]
    filling: set[int] = set()
    for start in range(0, len(plain), AT_ONCE):
        some = plain[start : start + AT_ONCE]
        filling.update(id(item) for item, fills in zip(some, _fill_their_boxes(some), strict=True) if fills)
    return [item for item in items if id(item) not in filling]


def _fill_their_boxes(items: list[dict]) -> list[bool]:
    polygons = [polygon for item in items for polygon in item["segmentation"]]
    points = np.array(array("d", chain.from_iterable(polygons))).reshape(-1, 2)
    ends = np.cumsum([len(polygon) // 2 for polygon in polygons])
    starts = np.concatenate([[0], ends[:-1]])
    following = np.roll(points, -1, axis=0)
    following[ends - 1] = points[starts]
    turned = points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]
    parts = np.cumsum([0, *(len(item["segmentation"]) for item in items[:-1])])
    areas = np.add.reduceat(np.abs(np.add.reduceat(turned, starts)) / 2, parts)
    low = np.minimum.reduceat(points, starts[parts])
    sides = np.maximum.reduceat(points, starts[parts]) - low
    boxes = np.array([item["bbox"] for item in items], float)
    shared = np.minimum(low + sides, boxes[:, :2] + boxes[:, 2:]) - np.maximum(low, boxes[:, :2])
    shared = shared.clip(0).prod(axis=1)
    near = shared >= PLAINLY_NEAR * (sides.prod(axis=1) + boxes[:, 2:].prod(axis=1) - shared)
    return (near & (sides.min(axis=1) >= LEAST_SIDE) & (areas >= FILLED * sides.prod(axis=1))).tolist()


def _fault(item: dict, size: tuple[int, int], changes: Changes) -> str | None:
    """What is wrong with a mask; None if it can be used."""
    if isinstance(item["segmentation"], list):
        _drop_slivers(item, changes)
        if not item["segmentation"] or not _are_polygons(item["segmentation"]):
            return "of fewer than three points, or not finite"
        if max(abs(value) for polygon in item["segmentation"] for value in polygon) > FAR * max(size):
            return "that are far outside of their image"  # pycocotools would take memory for all of the way
    elif not isinstance(item["segmentation"], dict) or item["segmentation"].get("size") != [size[1], size[0]]:
        return "that are not of the size of their image"
    run = _run(item["segmentation"], size)
    if run is None:
        return "that pycocotools cannot draw"
    if not drawing.area(run):
        return "that are empty"
    shared = float(drawing.iou([drawing.toBbox(run).tolist()], [list(map(float, item["bbox"]))], [0])[0][0])
    return None if shared >= NEAR else "that are far from their box"


def _drop_slivers(item: dict, changes: Changes) -> None:
    """Parts of one or two points beside others have no area."""
    parts = item["segmentation"]
    kept = [part for part in parts if not (isinstance(part, list) and len(part) < FEWEST)]
    if kept and len(kept) < len(parts):
        changes.put_right("parts of masks with one or two points, dropped", f"object {item['id']}")
        item["segmentation"] = kept


def _run(mask: list | dict, size: tuple[int, int]):
    """A mask as pycocotools draws it (COCO.annToRLE); None if it does not."""
    width, height = size
    try:
        if isinstance(mask, list):
            return drawing.merge(drawing.frPyObjects(mask, height, width))
        if isinstance(mask["counts"], list):
            counts = mask["counts"]
            if sum(counts) != width * height or min(counts) < 0:
                return None
            return drawing.frPyObjects(mask, height, width)
        run = {**mask, "counts": mask["counts"].encode()}
        drawing.decode(run)  # raises where the runs do not fill the image
        return run
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
