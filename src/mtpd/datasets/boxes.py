"""Boxes: four finite numbers x, y, width, height in pixels, inside their image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np

from mtpd.datasets.changes import Changes

ROUNDING = 0.5  # pixels over the border that exporters' rounding makes; such boxes stay as they are
BORDER = 2.0  # pixels over the border that still say: the box is meant to end there
FITS = 0.98  # share of the boxes that another reading must explain
SUSPECT = 0.05  # share of boxes outside from which on other readings are tried
FRACTIONS = "fractions of the image"
NUMBERS = frozenset({int, float})
NOTHING = (math.nan,) * 4

# What four numbers can mean: (a, b, c, d) to x, y, width, height.
CORNERS = {
    "x y width height": lambda a, b, c, d: (a, b, c, d),
    "x1 y1 x2 y2 (corners)": lambda a, b, c, d: (a, b, c - a, d - b),
    "cx cy width height (centres)": lambda a, b, c, d: (a - c / 2, b - d / 2, c, d),
}


def tidy(content: dict, form: str, changes: Changes) -> None:
    """Make each object's ``bbox``, ``area`` and ``iscrowd`` sound, or leave the object out.

    Stops if the boxes as a whole mean something else. The images need their sizes.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    items = content["annotations"]
    for item in items:
        _tidy_numbers(item, changes)
    found = [(item["bbox"], sizes[item["image_id"]]) for item in items]
    boxes, limits = _arrays(found)
    if text := _other_meaning(found, boxes, limits, form):
        changes.stop(text)
        return
    quickly = (boxes[:, 2:].min(axis=1) > 0) & (_over_border(boxes, limits) <= 0)
    pairs = zip(items, found, quickly.tolist(), strict=True)
    content["annotations"] = [
        item for item, (_, size), inside in pairs if inside or _is_kept(item, size, changes)
    ]
    for item in content["annotations"]:
        _tidy_area(item, changes)
        _tidy_crowd(item, changes)
    _drop_doubled(content, changes)
    crowd = sum(item["iscrowd"] for item in content["annotations"])
    if crowd > len(content["annotations"]) / 2:
        total = len(content["annotations"])
        changes.note(f"{crowd} of {total} objects are crowds (iscrowd 1): they are neither learnt nor scored")


def _tidy_numbers(item: dict, changes: Changes) -> None:
    box = item.get("bbox")
    if isinstance(box, list) and NUMBERS.issuperset(map(type, box)):
        return
    item["bbox"] = _numbers(box)
    if item["bbox"] is not None:
        changes.put_right("boxes written as text", box)


def _numbers(box) -> list[float] | None:
    try:
        values = json.loads(box) if isinstance(box, str) else box
        return [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        return None


def _is_box(box: list | None) -> bool:
    return box is not None and len(box) == 4 and all(map(math.isfinite, box))


def over_border(box: tuple[float, ...], size: tuple[int, int]) -> float:
    """How far a box reaches over the border of its image, pixels; 0 or less inside."""
    x, y, width, height = box
    return max(-x, -y, x + width - size[0], y + height - size[1])


def overlap(one, two) -> float:
    """Intersection over union of two boxes; 0 where one is none."""
    try:
        across = min(one[0] + one[2], two[0] + two[2]) - max(one[0], two[0])
        down = min(one[1] + one[3], two[1] + two[3]) - max(one[1], two[1])
        shared = max(across, 0) * max(down, 0)
        return shared / (one[2] * one[3] + two[2] * two[3] - shared)
    except (TypeError, IndexError, ZeroDivisionError):
        return 0.0


def _arrays(found: list[tuple[list | None, tuple]]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and sizes of images as rows; NaN where a box has not four numbers."""
    boxes = [box if box is not None and len(box) == 4 else NOTHING for box, _ in found]
    sizes = [size for _, size in found]
    return np.array(boxes, float).reshape(-1, 4), np.array(sizes, float).reshape(-1, 2)


def _over_border(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """``over_border`` of each row."""
    return np.maximum(-boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - sizes).max(axis=1)


def _other_meaning(
    found: list[tuple[list | None, tuple]], boxes: np.ndarray, sizes: np.ndarray, form: str
) -> str | None:
    """What to say if most boxes are wrong as they are read, and another reading is right."""
    known = np.isfinite(boxes).all(axis=1)
    if not known.any():
        return None
    outside = (_over_border(boxes, sizes)[known] > BORDER).mean()
    tiny = ((np.abs(boxes).max(axis=1) <= 1.01) & (sizes.min(axis=1) > 8))[known].mean()
    if outside <= SUSPECT and tiny < FITS:
        return None
    found = [pair for pair, is_box in zip(found, known, strict=True) if is_box]
    fitting = [name for name, boxes in _readings(found, form) if _share_inside(boxes, found) >= FITS]
    if not fitting and outside <= 0.5:
        return None
    what = f"{outside:.0%} of the boxes reach out of their images" if outside > SUSPECT else "boxes are tiny"
    would = f"they would fit as {' or '.join(fitting)}" if fitting else "no usual reading of them fits"
    return (
        f"{what} ({found[0][0]} in an image of {found[0][1][0]} x {found[0][1][1]}); {would};"
        f" expected {'fractions cx cy width height' if form == 'YOLO' else 'x y width height in pixels'}:"
        " convert them, or check that the images are those that were annotated"
    )


def _readings(found: list[tuple[list, tuple]], form: str) -> Iterator[tuple[str, list]]:
    raw = [_as_written(box, size) if form == "YOLO" else box for box, size in found]
    for name, meaning in CORNERS.items():
        if form == "YOLO" or name != "x y width height":
            yield f"{name} in pixels", [meaning(*box) for box in raw]
        if form != "YOLO" or "centres" not in name:
            scaled = (_scaled(meaning(*box), size) for box, (_, size) in zip(raw, found, strict=True))
            yield f"{name} as {FRACTIONS}", list(scaled)


def _as_written(box: list, size: tuple[int, int]) -> list[float]:
    """The numbers of a YOLO line that gave a box."""
    (x, y, width, height), (across, down) = box, size
    return [(x + width / 2) / across, (y + height / 2) / down, width / across, height / down]


def _scaled(box: tuple, size: tuple[int, int]) -> tuple:
    return tuple(value * size[number % 2] for number, value in enumerate(box))


def _share_inside(boxes: list[tuple], found: list[tuple[list, tuple]]) -> float:
    inside = (
        over_border(box, size) <= BORDER and min(box[2:]) >= 1
        for box, (_, size) in zip(boxes, found, strict=True)
    )
    return sum(inside) / len(found)


def _is_kept(item: dict, size: tuple[int, int], changes: Changes) -> bool:
    box, which = item["bbox"], f"object {item['id']}: {item['bbox']}"
    if not _is_box(box):
        changes.leave_out("objects", "boxes that are not four finite numbers", which)
    elif min(box[2:]) <= 0:
        changes.leave_out("objects", "boxes without area", which)
    elif min(_clipped(box, size)[2:]) <= 0:
        changes.leave_out("objects", "boxes outside their image", which)
    else:
        _clip(item, size, changes)
        return True
    return False


def _clipped(box: list, size: tuple[int, int]) -> list[float]:
    x, y, width, height = box
    left, top = max(x, 0), max(y, 0)
    return [left, top, min(x + width, size[0]) - left, min(y + height, size[1]) - top]


def _clip(item: dict, size: tuple[int, int], changes: Changes) -> None:
    box = item["bbox"]
    over = over_border(box, size)
    if over <= ROUNDING:
        return
    kind = f"by up to {BORDER:g} pixels" if over <= BORDER else f"by more than {BORDER:g} pixels"
    changes.put_right(f"boxes over the border {kind}, clipped", f"object {item['id']}: {box}")
    item["bbox"] = _clipped(box, size)
    if _number(item.get("area")) == box[2] * box[3]:
        item["area"] = item["bbox"][2] * item["bbox"][3]


def _number(value) -> float:
    """A number that may be written as text; NaN if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _tidy_area(item: dict, changes: Changes) -> None:
    area = item.get("area")
    if type(area) in NUMBERS and 0 < area < math.inf:
        return
    changes.put_right("areas", f"object {item['id']}: {area!r}")
    value = _number(area)
    item["area"] = value if math.isfinite(value) and value > 0 else item["bbox"][2] * item["bbox"][3]


def _tidy_crowd(item: dict, changes: Changes) -> None:
    crowd = item.get("iscrowd")
    if type(crowd) is int and 0 <= crowd <= 1:
        return
    item["iscrowd"] = int(str(crowd).strip().lower() in ("true", "1", "1.0"))
    changes.put_right("iscrowd", f"object {item['id']}: {crowd!r} -> {item['iscrowd']}")


def _drop_doubled(content: dict, changes: Changes) -> None:
    seen, kept = {}, []
    for item in content["annotations"]:
        key = (item["image_id"], item["category_id"], item["iscrowd"], *item["bbox"])
        if key in seen and _have_one_mask(seen[key], item):
            changes.put_right(
                "objects that are listed twice, one kept", f"object {item['id']}: {item['bbox']}"
            )
            continue
        seen.setdefault(key, item)
        kept.append(item)
    content["annotations"] = kept


def _have_one_mask(one: dict, other: dict) -> bool:
    """Whether two objects with the same box have the same mask, or the second none."""
    return not other.get("segmentation") or one.get("segmentation") == other["segmentation"]
