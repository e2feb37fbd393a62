"""Masks: polygons or runs that pycocotools draws, not empty, near their box."""

from __future__ import annotations

import json
import math

from pycocotools import mask as drawing

from mtpd.datasets.changes import Changes

FEWEST = 6  # numbers of a polygon: three points
NEAR = 0.1  # least share that the box of a mask and the object's box have in common (intersection over union)


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
    if not _are_polygons(polygons):
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
    return all(type(value) in (int, float) and math.isfinite(value) for value in polygon)


def polygon_area(polygon: list[float]) -> float:
    """Of a polygon x1, y1, x2, y2, ..."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    following = points[1:] + points[:1]
    return abs(sum(a * d - c * b for (a, b), (c, d) in zip(points, following, strict=True))) / 2


def tidy(content: dict, few: float, changes: Changes) -> None:
    """Keep the masks that can be used.

    Where most objects have a usable mask, an object without one would stop the training of a mask head: it is
    left out, if such objects are ``few`` (a share). Else only the masks are dropped: the boxes can be used.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    masked = [item for item in content["annotations"] if item.get("segmentation")]
    wrong = {id(item): why for item in masked if (why := _fault(item, sizes[item["image_id"]], changes))}
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


def _fault(item: dict, size: tuple[int, int], changes: Changes) -> str | None:
    """What is wrong with a mask; None if it can be used."""
    if isinstance(item["segmentation"], list):
        _drop_slivers(item, changes)
        if not item["segmentation"] or not _are_polygons(item["segmentation"]):
            return "of fewer than three points, or not finite"
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
