"""What data loaders need of a machine: open files and shared memory. Needs no torch."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable
from contextlib import suppress

SHARED = "/dev/shm"  # where data loaders put their batches
PREFETCHED = 2  # batches that torch lets a data loader have ready
CHANNELS = 3  # of an image, a byte each
BYTES_AUGMENTED = 4  # of each, where a transform may give float32
# Of what loaders fill at most: each has at least one batch, and most images at least half of a size's pixels.
CLEARLY_TOO_SMALL = 1 / 4


def allow_open_files() -> None:
    """Raise the limit of open files as far as this process may; those that it starts inherit it.

    torch keeps a file open for every tensor (image, boxes, labels) of every batch that a data loader has
    ready: at 15 loaders and a batch of 16, more than the usual limit of 1024.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems have a lower limit of their own
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def bytes_of_batches(loaders: int, recipe: dict, dataset: dict, detectors: Iterable[dict]) -> int:
    """Shared memory that the data loaders of a stage fill at most.

    Args:
        loaders: of each process.
        recipe: of the stage; its ``batch_size`` counts the images of all processes.
        dataset: with the ``scale`` that images are resized to fit into.
        detectors: student and teachers; a batch has every image at each ``image_scale`` of theirs.
    """
    largest = max(width * height for width, height in recipe["scales"] or [dataset["scale"]])
    pixels = largest * sum(scale**2 for scale in {found["image_scale"] for found in detectors})
    size = BYTES_AUGMENTED if recipe.get("augment") else 1
    return round(loaders * PREFETCHED * recipe["batch_size"] * CHANNELS * size * pixels)


def require_shared_memory(needed: int, warn: Callable[[str], None]) -> None:
    """Check that this machine's shared memory has room for what data loaders fill.

    Args:
        needed: of ``bytes_of_batches``.
        warn: takes a line where the room may be too small.

    Raises:
        RuntimeError: it is far too small. A data loader would end with a bus error, which says nothing.
    """
    if not os.path.isdir(SHARED):
        return
    status = os.statvfs(SHARED)
    size = status.f_frsize * status.f_blocks
    if size >= needed:
        return
    text = (
        f"{SHARED} has {size / 2**20:.0f} MiB, but the data loaders of a stage fill up to "
        f"{needed / 2**20:.0f} MiB, and end with a bus error where there is no more: start the container "
        "with more (docker run --shm-size=..., or --ipc=host), or lower compute.workers"
    )
    if size < needed * CLEARLY_TOO_SMALL:
        raise RuntimeError(text)
    warn(text)
