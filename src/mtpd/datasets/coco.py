"""COCO annotation files of any exporter, as far as reading them; what is in them is judged elsewhere."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path, PurePosixPath

from mtpd.datasets import texts
from mtpd.datasets.changes import Changes

PARTS = ("images", "annotations", "categories")
# Files of COCO 2017 and of exporters that have no boxes to train with.
OTHER_TASKS = re.compile("(?<![a-z])(captions|keypoints|panoptic|stuff|image_info)(?![a-z])")


def is_coco(path: Path) -> bool:
    """Whether a JSON file has the parts of one, without parsing it."""
    if not path.stat().st_size:
        return False
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return all(text.find(f'"{part}"'.encode()) >= 0 for part in ("images", "annotations"))


def read(path: Path, changes: Changes) -> dict | None:
    """The content of a file, with the three lists that it needs; None after a stop."""
    content = _parsed(path, changes)
    if content is None:
        return None
    if not isinstance(content, dict):
        changes.stop(f"{path}: expected an object with images, annotations and categories")
        return None
    for part in PARTS:
        found = content.get(part)
        if isinstance(found, dict):
            changes.put_right(f"{part} as a mapping", path.name)
            found = list(found.values())
        if not isinstance(found, list | None):
            changes.stop(f"{path}: expected a list of {part}, found {found!r:.40}")
            return None
        content[part] = [item for item in found or () if isinstance(item, dict)]
    if not content["images"]:
        changes.stop(f"{path}: lists no images")
        return None
    if not content["categories"]:
        _name_categories(content, changes)
    return content


def _parsed(path: Path, changes: Changes):
    try:
        text = path.read_bytes()
        if text.startswith(b"\xef\xbb\xbf"):
            changes.put_right("byte order marks", path.name)
        text = text.decode(json.detect_encoding(text), "surrogatepass")  # UTF-8, -16 or -32, as json does
        return texts.parsed(text)
    except OSError as error:
        changes.stop(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        changes.stop(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8")
    except ValueError as error:
        second = "has a second document after its end" if "Extra data" in str(error) else "is not a JSON file"
        changes.stop(f"{path}: {second}: {error}; export it again, or cut off what is too much")
    return None


def _name_categories(content: dict, changes: Changes) -> None:
    used = {item.get("category_id") for item in content["annotations"]}
    content["categories"] = [{"id": key, "name": f"class-{key}"} for key in sorted(used, key=str)]
    for category in content["categories"]:
        changes.put_right("classes without names", category["name"])


def objects_of(content: dict) -> set[int]:
    """Hashes of the objects and images of a file, whatever their ids and their order."""
    images = {image.get("id"): _last(str(image.get("file_name"))) for image in content["images"]}
    names = {category.get("id"): str(category.get("name")).strip() for category in content["categories"]}
    objects = {
        (
            images.get(item.get("image_id")),
            names.get(item.get("category_id")),
            str(_rounded(item.get("bbox"))),
        )
        for item in content["annotations"]
    }
    return set(map(hash, objects)) | set(map(hash, images.values()))


def _last(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name


def _rounded(box):
    try:
        return [round(float(value), 1) + 0.0 for value in box]
    except (TypeError, ValueError):
        return box
