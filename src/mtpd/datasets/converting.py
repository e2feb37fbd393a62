"""Images that OpenCV reads otherwise than people see them: written once more, as people see them."""

from __future__ import annotations

from pathlib import Path

from mtpd.datasets import listing, pixels
from mtpd.datasets.changes import Changes
from mtpd.datasets.images import on_all_cores
from mtpd.images import CONVERTED, FOLDER

SOURCE = "_convert"  # key of an image in memory: its file if it is to be converted, and what to say


def convert(content: dict, folder: Path, changes: Changes) -> None:
    """Write PNG files below a folder, and name them in the content; leave out what cannot be converted.

    Their names are hashes of the bytes that they are made of, so that equal images share one.
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
    image[CONVERTED] = f"{FOLDER}/{image['_digest'][:16]}.png"
    try:
        pixels.convert(image[SOURCE][0], folder / image[CONVERTED])
    except (OSError, ValueError) as error:
        return str(error)
    return None
