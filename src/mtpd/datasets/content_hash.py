"""What identifies an imported split: a hash of all that counts of it. Results of jobs hold it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mtpd import files
from mtpd.images import CONVERTED


def of_split(name: str, content: dict, path: Path, digests: list[str] | None) -> str:
    """The hash of a split.

    For training, that are classes, objects, and what images show. Where predictions are scored, names and ids
    count too: predictions belong to one annotation file.

    Args:
        name: ``train``, ``val`` or ``test``.
        content: in COCO's form.
        path: the file that it was written to.
        digests: hashes of the images, in their order; None if they were not opened. Then the file is all.
    """
    if digests is None:
        return files.sha256(path)
    if name != "train":
        return files.fingerprint([files.sha256(path), digests])
    return files.fingerprint_of(*_trained_with(content, digests))


def _trained_with(content: dict, digests: list[str]) -> Iterator[object]:
    """What training makes of a split: no ids, no names of files."""
    classes = {category["id"]: number for number, category in enumerate(content["categories"])}
    images = {image["id"]: number for number, image in enumerate(content["images"])}
    yield [category["name"] for category in content["categories"]]
    for image, digest in zip(content["images"], digests, strict=True):
        yield [image["width"], image["height"], digest, image.get(CONVERTED)]
    for item in content["annotations"]:
        place = images[item["image_id"]], classes[item["category_id"]]
        kind = item["iscrowd"], bool(item.get("ignore"))
        yield [place, item["bbox"], item.get("segmentation") or None, kind]
