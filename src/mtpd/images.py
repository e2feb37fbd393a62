"""The image files of a split: where they are, and their pixels as training reads them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

# Key of an image in an annotation file: the PNG file that an import made of it, relative to that file. So it
# is found wherever the annotations are copied to, and ``file_name`` stays the name that people know.
CONVERTED = "converted"
FOLDER = "images"  # of converted ones, beside the annotations


def path_of(image: dict, folder: str | Path, beside: str | Path) -> Path:
    """The file that training reads.

    Args:
        image: as in a COCO annotation file.
        folder: of the images.
        beside: the folder of the annotation file.
    """
    if converted := image.get(CONVERTED):
        return Path(beside, converted)
    return Path(folder, image["file_name"])


def read(path: str | Path) -> np.ndarray:
    """Height x width x 3, BGR, turned as EXIF says.

    Not ``cv2.imread``: it cannot read turned TIFFs.

    Raises:
        ValueError: OpenCV cannot read it.
    """
    pixels = cv2.imdecode(np.frombuffer(Path(path).read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{path}: no picture that OpenCV can read")
    return pixels
