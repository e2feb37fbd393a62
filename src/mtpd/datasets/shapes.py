"""The generated data set: textured shapes on cluttered backgrounds, in COCO format.

The same seed gives the same bytes. Shapes range from a few pixels to half the image. They overlap: a hidden
shape is dropped, a partly hidden one keeps its whole outline. Some images have a crowd, some are empty.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle

CLASSES = ("disc", "square", "triangle", "star", "cross", "ring")
# Standard deviation of an object's hue around that of its class, in turns: colour alone is not the class.
HUE_SPREAD = 0.13
EMPTY_SHARE = 0.04
CROWD_SHARE = 0.06
VISIBLE_SHARE = 0.3


def generate(
    folder: Path, split: str, images: int, size: int, seed: int, classes: tuple[str, ...] = CLASSES
) -> dict:
    """Draw one split into ``folder`` (PNG files) and return its COCO annotations.

    Args:
        folder: where the images go; must exist.
        split: ``train`` or ``val``; part of the seed and of the file names.
        images: how many.
        size: side of an image in pixels.
        seed: of the whole data set.
        classes: their names; with more names than shapes, several classes share a shape.
    """
    coco = {
        "info": {"description": f"shapes, seed {seed}", "version": "1"},
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes, 1)],
        "images": [],
        "annotations": [],
    }
    for image_id in range(1, images + 1):
        rng = np.random.default_rng([seed, int.from_bytes(split.encode(), "big"), image_id])
        canvas, objects = draw_image(rng, size, len(classes))
        name = f"{split}_{image_id:06d}.png"
        if not cv2.imwrite(str(folder / name), canvas):
            raise OSError(f"cannot write {folder / name}")
        coco["images"].append({"id": image_id, "file_name": name, "width": size, "height": size})
        for item in objects:
            coco["annotations"].append({"id": len(coco["annotations"]) + 1, "image_id": image_id, **item})
    return coco


def write(coco: dict, path: Path) -> None:
    path.write_text(json.dumps(coco, sort_keys=True) + "\n", encoding="utf-8")


def draw_image(rng: np.random.Generator, size: int, classes: int) -> tuple[np.ndarray, list[dict]]:
    """One image, (size, size, 3) uint8 BGR, and its COCO annotations without ids, of that many classes."""
    canvas = _background(rng, size)
    if rng.random() < EMPTY_SHARE:
        return canvas, []
    objects = [_draw_object(rng, canvas, classes) for _ in range(rng.integers(1, 6))]
    if rng.random() < CROWD_SHARE:
        objects.append(_draw_crowd(rng, canvas, classes))
    return canvas, _drop_hidden(objects)


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    coarse = rng.integers(60, 196, (rng.integers(2, 7), rng.integers(2, 7), 3), dtype=np.uint8)
    canvas = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    canvas += rng.integers(-14, 15, (size, size, 1), dtype=np.int16)
    canvas = np.clip(canvas, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 6)):  # clutter: strokes of no class
        start, end = rng.integers(0, size, (2, 2)).tolist()
        cv2.line(canvas, start, end, rng.integers(0, 256, 3).tolist(), int(rng.integers(1, 3)))
    return canvas


def _draw_object(rng: np.random.Generator, canvas: np.ndarray, classes: int) -> dict:
    size = canvas.shape[0]
    category = int(rng.integers(classes))
    radius = size * 0.07 * 4.5 ** rng.random()
    centre = rng.uniform(radius * 0.7, size - radius * 0.7, 2)
    outline = _outline(_shape(category), radius, rng.uniform(0, 2 * np.pi)) + centre
    mask = _paint(rng, canvas, outline, category)
    return {"category_id": category + 1, "outline": outline, "mask": mask, "iscrowd": 0}


def _draw_crowd(rng: np.random.Generator, canvas: np.ndarray, classes: int) -> dict:
    """Many small shapes of one class, annotated as one crowd region (uncompressed RLE)."""
    size = canvas.shape[0]
    category = int(rng.integers(classes))
    middle = rng.uniform(0.3 * size, 0.7 * size, 2)
    region = np.zeros((size, size), bool)
    for _ in range(rng.integers(8, 14)):
        outline = _outline(_shape(category), size * 0.05, rng.uniform(0, 2 * np.pi))
        outline = outline + middle + rng.normal(0, size * 0.08, 2)
        region |= _paint(rng, canvas, outline, category)
    return {"category_id": category + 1, "outline": None, "mask": region, "iscrowd": 1}


def _shape(category: int) -> str:
    return CLASSES[category % len(CLASSES)]


def _outline(name: str, radius: float, turn: float) -> np.ndarray:
    """Corners of a shape around the origin, (n, 2) in pixels."""
    corners = {"disc": 24, "ring": 24, "square": 4, "triangle": 3}
    if name in corners:
        angles = turn + np.linspace(0, 2 * np.pi, corners[name], endpoint=False)
        return radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    if name == "star":
        angles = turn + np.linspace(0, 2 * np.pi, 10, endpoint=False)
        spokes = radius * np.where(np.arange(10) % 2, 0.45, 1.0)
        return spokes[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    a = 0.33  # a cross, half an arm's width
    half = [(a, 1), (a, a), (1, a), (1, -a), (a, -a), (a, -1)]
    points = np.array(half + [(-x, -y) for x, y in half]) * radius
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return points @ rotation.T


def _paint(rng: np.random.Generator, canvas: np.ndarray, outline: np.ndarray, category: int) -> np.ndarray:
    """Fill a shape with a noisy, striped or plain colour; returns its mask, (size, size) bool."""
    mask = _mask(outline, len(canvas))
    inside = mask
    if _shape(category) == "ring":
        middle = outline.mean(0)
        inside = mask & ~_mask((outline - middle) * 0.55 + middle, len(canvas))
    colour = _colour(rng, category)
    texture = np.zeros((*mask.shape, 1), np.int16)
    kind = rng.integers(3)
    if kind == 1:
        texture += rng.integers(-40, 41, texture.shape, dtype=np.int16)
    elif kind == 2:
        rows, columns = np.indices(mask.shape)
        texture += (45 * np.sin((rows * rng.uniform(-1, 1) + columns) * 1.2))[..., None].astype(np.int16)
    painted = np.clip(colour + texture, 0, 255).astype(np.uint8)
    canvas[inside] = painted[inside]
    return mask


def _polygon(outline: np.ndarray, size: int) -> list[float]:
    """The outline in COCO's form, clipped at the image border."""
    return [round(float(v), 2) for v in np.clip(outline, 0, size).ravel()]


def _mask(outline: np.ndarray, size: int) -> np.ndarray:
    """The pixels that COCO counts as inside an outline, (size, size) bool."""
    return np.asarray(rle.decode(rle.frPyObjects([_polygon(outline, size)], size, size)))[..., 0].astype(bool)


def _colour(rng: np.random.Generator, category: int) -> np.ndarray:
    """A BGR colour, (3,) int16, with a hue near that of the class."""
    hue = (category / len(CLASSES) + rng.normal(0, HUE_SPREAD)) % 1
    hsv = np.array([[[hue * 180, rng.integers(90, 256), rng.integers(90, 256)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(np.int16)


def _drop_hidden(objects: list[dict]) -> list[dict]:
    """The objects that later shapes do not hide, as COCO annotations."""
    kept: list[dict] = []
    covered = np.zeros_like(objects[0]["mask"])
    for item in reversed(objects):
        visible = (item["mask"] & ~covered).sum() / max(item["mask"].sum(), 1)
        covered |= item["mask"]
        if visible >= VISIBLE_SHARE:
            kept.append(_annotation(item))
    return kept[::-1]


def _annotation(item: dict) -> dict:
    mask = item["mask"]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    if item["iscrowd"]:
        segmentation = {"size": list(mask.shape), "counts": _run_lengths(mask)}
    else:
        segmentation = [_polygon(item["outline"], len(mask))]
    return {
        "category_id": item["category_id"],
        "bbox": [int(v) for v in box],
        "area": int(mask.sum()),
        "iscrowd": item["iscrowd"],
        "segmentation": segmentation,
    }


def _run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run lengths: columns first, starting with zeros."""
    flat = np.concatenate([[0], mask.ravel(order="F"), [0]]).astype(np.int8)
    changes = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return [int(v) for v in (runs[:-1] if changes.size and changes[-1] == mask.size else runs)]
