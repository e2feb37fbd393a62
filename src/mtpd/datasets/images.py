"""What OpenCV, which reads for training, sees in image files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2


@dataclass(frozen=True)
class Look:
    """Width and height in pixels (after EXIF turning), what is wrong, and a hash of the bytes."""

    size: tuple[int, int] | None
    problem: str | None
    digest: str


def look(paths: list[Path], decode: str, say: Callable[[str], None]) -> dict[Path, Look]:
    """Read image files; ``decode`` and ``say`` are for many images."""
    return {path: _look(path) for path in paths}


def _look(path: Path) -> Look:
    try:
        content = path.read_bytes()
        image = cv2.imread(str(path))
    except (OSError, cv2.error) as error:
        return Look(None, f"cannot be opened ({error})", str(path))
    digest = hashlib.sha256(content).hexdigest()
    if image is None:
        return Look(None, "cannot be decoded by OpenCV", digest)
    return Look((image.shape[1], image.shape[0]), None, digest)
