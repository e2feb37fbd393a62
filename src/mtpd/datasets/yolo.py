"""YOLO: a text file for each image, a line for each object, in fractions of the image.

supervision reads this form and VOC too, but it ends at the first wrong line, names no file, keeps boxes in 32
bits and brings a video decoder; datumaro needs an older Pillow than ours.
"""

from __future__ import annotations

import filecmp
import math
from itertools import islice
from pathlib import Path, PurePosixPath

from mtpd.datasets.changes import NAMED, Changes
from mtpd.datasets.tree import Labels, Tree
from mtpd.datasets.yolo_settings import CLASS_FILES, Settings

DECIMALS = 3  # of pixels: labels have six decimals of the image
FIRST_ID = 1  # of the class that label files call 0
MOST = 0.5  # of the images
LINES = 100  # of a text file, which tell whether it is a label file


def labels_of(tree: Tree, changes: Changes) -> dict[str, str]:
    """The label file of each image that has one."""
    partners = Labels(path for path in tree.of_kind(".txt") if _is_label(tree.folder / path))
    found = {image: label for image in tree.images if (label := partners.of(image))}
    _tell_doubles(found, partners.doubles, tree, changes)
    return found


def _tell_doubles(labels: dict[str, str], doubles: dict[str, str], tree: Tree, changes: Changes) -> None:
    """Say which of two label files was taken, and which images share one; stop if the two differ."""
    images: dict[str, list[str]] = {}
    for image, label in labels.items():
        images.setdefault(label, []).append(image)
    if shared := [f"{label}: {' and '.join(own)}" for label, own in images.items() if len(own) > 1]:
        changes.note(f"{len(shared)} label files fit several images ({', '.join(shared[:NAMED])})")
    pairs = [(label, doubles[label]) for label in images if label in doubles]
    unlike = [
        f"{one} and {other}"
        for one, other in pairs
        if not filecmp.cmp(tree.folder / one, tree.folder / other, shallow=False)
    ]
    if unlike:
        changes.stop(
            f"{len(unlike)} images have two label files that differ: {', '.join(unlike[:NAMED])}; take the"
            f" wrong ones out of {tree.folder}"
        )
    elif pairs:
        told = [f"{one}, not {other}" for one, other in pairs[:NAMED]]
        changes.note(f"{len(pairs)} images have two equal label files: took {'; '.join(told)}")


def _is_label(path: Path) -> bool:
    """Whether a line of its beginning has numbers only; an empty file labels an image without objects."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = [line for line in islice(file, LINES) if line.strip()]
    return not lines or any(map(_has_numbers, lines))


def _has_numbers(line: str) -> bool:
    try:
        return len(list(map(float, line.replace(",", " ").split()))) >= 5
    except ValueError:
        return False


def lonely_labels(tree: Tree, labels: dict[str, str]) -> list[str]:
    """Label files in folders for labels, without an image."""
    used = set(labels.values())
    return [
        path
        for path in tree.of_kind(".txt")
        if path not in used
        and any(part.lower() in ("labels", "label") for part in PurePosixPath(path).parts[:-1])
        and PurePosixPath(path).name.lower() not in CLASS_FILES
        and _is_label(tree.folder / path)
    ]


def read(
    images: list[str], labels: dict[str, str], settings: Settings, folder: Path, changes: Changes
) -> dict:
    """The objects of images; each ``bbox`` as in the file, until the sizes are known (``to_pixels``)."""
    content = {"images": [], "annotations": [], "categories": []}
    for number, path in enumerate(images, start=1):
        content["images"].append({"id": number, "file_name": path})
        if path not in labels:
            continue
        lines = (folder / labels[path]).read_text(encoding="utf-8-sig", errors="replace").splitlines()
        for line in filter(str.strip, lines):
            _read_line(line, number, f"{labels[path]}: {line[:60]!r}", settings, content, changes)
    content["categories"] = [{"id": n, "name": name} for n, name in enumerate(settings.names, FIRST_ID)]
    return content


def check_labels(images: list[str], labels: dict[str, str], tree: Tree, allowed: float, changes: Changes):
    """Stop if most images of a split have no label file: that more likely is a mistake than background.

    Args:
        images: of the split; also those of label files whose image is missing.
        labels: by image.
        allowed: the share of images that may be without, if it is larger than half.
    """
    there = set(tree.images)
    present = [path for path in images if path in there]
    without = [path for path in present if path not in labels]
    if len(without) <= max(MOST, allowed) * len(present):
        return
    lonely = len(images) - len(present)
    changes.stop(
        f"{len(without)} of {len(present)} images have no label file ({', '.join(without[:NAMED])})"
        + (f", and {lonely} label files have no image" if lonely else "")
        + ": a label file has the name of its image and the suffix .txt, beside it or in labels/ in place of"
        " images/. If these images have no objects, write empty label files for them, or set"
        f" dataset.allowed_share to {math.ceil(100 * len(without) / len(present)) / 100:g}"
    )


def _read_line(
    line: str, image: int, which: str, settings: Settings, content: dict, changes: Changes
) -> None:
    problem, count = None, len(settings.names)
    try:
        label, *numbers = map(float, line.replace(",", " ").split())
        box, polygon = _shape(numbers, settings.keypoints)
        if label not in range(count):
            names = f"{settings.named_in or 'no file of names'}: {count} names, for 0 to {count - 1}"
            problem = f"of class numbers without a name ({names})"
    except ValueError:
        problem = "lines that are neither a box nor a polygon"
    if problem:
        changes.totals["objects"] += 1
        changes.leave_out("objects", problem, which)
        return
    item = {"id": len(content["annotations"]) + 1, "image_id": image, "category_id": label + FIRST_ID}
    item |= {"bbox": box, "iscrowd": 0}
    if polygon:
        item["segmentation"] = [polygon]
    content["annotations"].append(item)


def _shape(numbers: list[float], keypoints: int) -> tuple[list[float], list[float] | None]:
    """Centre, width and height, and the polygon if the line has one; a sixth number is a confidence."""
    if len(numbers) in (4, 5) or (keypoints and len(numbers) == 4 + keypoints):
        return numbers[:4], None
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError
    xs, ys = numbers[::2], numbers[1::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], numbers


def numbered_classes(labels: dict[str, str], folder: Path) -> list[str]:
    """Names for classes that have none: ``class-0`` and so on, up to the last one that a label file has."""
    last = -1
    for path in labels.values():
        for line in (folder / path).read_text(encoding="utf-8-sig", errors="replace").splitlines():
            first = line.replace(",", " ").split()[:1]
            last = max(
                last, *(int(float(text)) for text in first if text.replace(".", "", 1).isdecimal()), -1
            )
    return [f"class-{number}" for number in range(last + 1)]


def to_pixels(content: dict) -> None:
    """Make boxes and polygons those of COCO, once the images have their sizes."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    for item in content["annotations"]:
        width, height = sizes[item["image_id"]]
        x, y, w, h = item["bbox"]
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        item["bbox"] = [round(value, DECIMALS) for value in box]
        if polygons := item.get("segmentation"):
            scaled = (value * (height if n % 2 else width) for n, value in enumerate(polygons[0]))
            item["segmentation"] = [[round(value, DECIMALS) for value in scaled]]
        else:
            item["area"] = item["bbox"][2] * item["bbox"][3]
