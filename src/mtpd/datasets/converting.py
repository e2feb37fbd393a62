"""Images that OpenCV reads otherwise than people see them: written once more, as people see them."""

from __future__ import annotations

import uuid
from pathlib import Path

from mtpd import files
from mtpd.datasets import listing, pixels
from mtpd.datasets.changes import Changes
from mtpd.datasets.images import on_all_cores
from mtpd.images import CONVERTED, FOLDER

SOURCE = "_convert"  # key of an image in memory: its file if it is to be converted, and what to say


def convert(content: dict, folder: Path, changes: Changes) -> None:
    """Write PNG files below a folder, and name them in the content; leave out what cannot be converted.

    Their names are hashes of their own bytes, so that one that is there is the same.
    """
    chosen = [image for image in content["images"] if SOURCE in image]
    faults = on_all_cores(lambda image: _convert(image, folder), chosen)
    unusable = set()
    for image, fault in zip(chosen, faults, strict=True):
        _, why = image.pop(SOURCE)
        if fault:
            changes.leave_out("images", "that cannot be trained with", fault)
            unusable.add(image["id"])
        else:
            changes.put_right("images converted to PNG", why)
    if unusable:
        listing.keep(content, [image for image in content["images"] if image["id"] not in unusable])


def _convert(image: dict, folder: Path) -> str | None:
    """Why an image cannot be converted; None if it is."""
    partial = folder / FOLDER / f"{uuid.uuid4().hex}.png"
    try:
        pixels.convert(image[SOURCE][0], partial)
    except (OSError, ValueError) as error:
        return str(error)
    image[CONVERTED] = f"{FOLDER}/{files.sha256(partial)[:16]}.png"
    partial.replace(folder / image[CONVERTED])
    return None
