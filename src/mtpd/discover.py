"""What a folder with a data set in COCO format has: its splits, and what is in them."""

from __future__ import annotations

import codecs
import glob
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from mtpd import files

# Files of COCO 2017 that are no boxes.
OTHER_TASKS = re.compile("captions|keypoints|panoptic|stuff|image_info")
SPLITS = {"train": re.compile("train"), "val": re.compile("val"), "test": re.compile("test")}
LOOKED_AT = 20  # images that tell the folder of a split's images


class NoDataset(Exception):
    """The folder has no data set that can be used; the text says what was found and what to do."""


@dataclass(frozen=True)
class Split:
    """A COCO annotation file, and the folder of its images."""

    annotations: Path
    images: Path

    @cached_property
    def _content(self) -> dict:
        return files.read_json(self.annotations)

    @property
    def count(self) -> int:
        """Of images."""
        return len(self._content["images"])

    @property
    def files(self) -> set[Path]:
        """Paths of the images."""
        return {self.images / image["file_name"] for image in self._content["images"]}

    @property
    def objects(self) -> dict[str, int]:
        """Objects of each class, in the order of the file."""
        counts = Counter(item["category_id"] for item in self._content["annotations"])
        return {category["name"]: counts[category["id"]] for category in self._content["categories"]}

    @property
    def size(self) -> tuple[float, float]:
        """Medians of the longer and of the shorter sides of the images, pixels."""
        sides = [(image["width"], image["height"]) for image in self._content["images"]]
        return median(map(max, sides)), median(map(min, sides))

    @property
    def object_side(self) -> float:
        """Median side of the objects (square root of the box's area), pixels; 0 without objects."""
        areas = [max(0, item["bbox"][2] * item["bbox"][3]) for item in self._content["annotations"]]
        return median(areas) ** 0.5 if areas else 0


def annotation_files(folder: Path) -> dict[str, Path]:
    """Those of the splits ``train`` and ``val`` below a folder; ``test`` stands in for a missing ``val``.

    Raises:
        NoDataset: one is missing or not unique.
    """
    if not folder.is_dir():
        raise NoDataset(f"{folder}: no such folder")
    found = _by_split(folder)
    if missing := [name for name in ("train", "val") if name not in found]:
        expected = f"expected a COCO annotation file for {' and one for '.join(missing)}"
        raise NoDataset(f"{folder}: {_what_is_there(folder)}; {expected}")
    return found


def splits(folder: Path, found: dict[str, Path]) -> dict[str, Split]:
    """The splits of a folder.

    Args:
        folder: of the data set.
        found: by ``annotation_files``; sound in form (``checks.annotations.malformed``).

    Raises:
        NoDataset: the images of one are not there, or both have the same image.
    """
    both = {name: Split(path, _images_of(path, name, folder)) for name, path in found.items()}
    if shared := both["train"].files & both["val"].files:
        raise NoDataset(f"{folder}: train and val share images, or those of one are missing: {min(shared)}")
    return both


def _by_split(folder: Path) -> dict[str, Path]:
    """The annotation file of each split, told by the words in its path."""
    by_split: dict[str, list[Path]] = {}
    for path in _all_annotation_files(folder):
        for name, word in SPLITS.items():
            if word.search(_below(path, folder)):
                by_split.setdefault(name, []).append(path)
                break
    if "val" not in by_split and "test" in by_split:
        by_split["val"] = by_split["test"]
    by_split.pop("test", None)
    for name, paths in by_split.items():
        if len(paths) > 1:
            several = ", ".join(map(str, paths))
            raise NoDataset(f"{folder}: several annotation files for {name}: {several}; expected one")
    return {name: paths[0] for name, paths in by_split.items()}


def _all_annotation_files(folder: Path) -> list[Path]:
    candidates = (path for path in sorted(folder.rglob("*.json")) if not OTHER_TASKS.search(path.name))
    return [path for path in candidates if _is_coco(path)]


def _is_coco(path: Path) -> bool:
    """Raises NoDataset if it would be, but mmdet and pycocotools could not read it."""
    try:
        text = path.read_bytes()
        content = json.loads(text)  # reads a byte order mark too
    except (OSError, ValueError):
        return False
    if not isinstance(content, dict) or not content.keys() >= {"images", "annotations", "categories"}:
        return False
    if text.startswith(codecs.BOM_UTF8):
        raise NoDataset(f"{path}: begins with a byte order mark; save it as UTF-8 without one")
    return True


def _what_is_there(folder: Path) -> str:
    """What a message says of a folder without the expected files."""
    if found := _all_annotation_files(folder):
        return f"found only {', '.join(map(str, found))}"
    for pattern, form in (("*.xml", "Pascal VOC"), ("*.yaml", "YOLO"), ("labels", "YOLO")):
        if next(folder.rglob(pattern), None):
            return f"found no COCO annotation file, but what looks like {form}: see docs/own-experiment.md"
    return "found no COCO annotation file"


def _roots(name: Path, folder: Path) -> list[Path]:
    """The folders in which an image of this name is; any, if the name is a whole path."""
    if name.is_absolute():
        return [folder]
    hits = sorted(folder.rglob(glob.escape(name.name)))
    return [hit.parents[len(name.parts) - 1] for hit in hits if hit.parts[-len(name.parts) :] == name.parts]


def _images_of(annotations: Path, split: str, folder: Path) -> Path:
    """The folder in which the first images of a split are."""
    names = [image["file_name"] for image in files.read_json(annotations)["images"][:LOOKED_AT]]
    roots = _roots(Path(names[0]), folder)
    complete = [root for root in roots if all((root / name).exists() for name in names)]
    if not complete:
        raise NoDataset(f"{annotations}: no folder below {folder} has its images ({names[0]}, ...)")
    # Two splits may use the same names: their folders then tell them apart.
    telling = (root for root in complete if SPLITS[split].search(_below(root, folder)))
    return next(telling, complete[0])


def _below(path: Path, folder: Path) -> str:
    """The part of a path that tells the split: names above the folder of the data set do not."""
    return str(path.relative_to(folder)).lower()
