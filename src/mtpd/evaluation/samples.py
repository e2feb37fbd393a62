"""``val_samples.jpg``: a few validation images as annotated and as a student sees them, for a quick look."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from mmdet.visualization import get_palette
from mmengine.logging import print_log
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks, make_grid

from mtpd import files, fonts, images
from mtpd.data.resizing import fitted
from mtpd.evaluation.analysis import LEAST_SCORE
from mtpd.evaluation.truth import Truth

FILE = "val_samples.jpg"
IMAGES, COLUMNS = 8, 4  # an image takes two columns: annotated, found
SIDE, TITLE = 320, 22  # pixels: the square that an image is resized to fit into, the line above it
WHITE = 255
FONT_SIZE = 11  # pixels


def draw(truth: Truth, folder: Path, predictions: list[dict], path: Path) -> None:
    """Write the picture: 8 images, the same ones for every student of a data set.

    Args:
        truth: the annotated objects.
        folder: of the images.
        predictions: COCO results; those with a score of at least 0.3 are drawn.
        path: the picture, a JPEG file.
    """
    found = [row for row in predictions if row["score"] >= LEAST_SCORE]
    if lacking := fonts.warning("".join(truth.category_ids)):
        print_log(f"{FILE}: {lacking}", "current", logging.WARNING)
    with_masks = any("segmentation" in row for row in predictions)
    tiles = []
    for image in _chosen(truth):
        pixels = images.read(images.path_of(image, folder, Path(truth.path).parent))
        for title, rows in (("annotated", truth.annotations), ("found", found)):
            own = [row for row in rows if row["image_id"] == image["id"]]
            tiles.append(_tile(truth, pixels, own, with_masks, f"{image['file_name']}: {title}"))
    grid = make_grid(tiles, nrow=COLUMNS, padding=4, pad_value=WHITE)
    _, encoded = cv2.imencode(".jpg", grid.permute(1, 2, 0).numpy())
    files.write_bytes(path, encoded.tobytes())


def _chosen(truth: Truth) -> list[dict]:
    """Drawn with a fixed seed from the images that have objects; from all if none has."""
    with_objects = {row["image_id"] for row in truth.annotations}
    candidates = [image for image in truth.images if image["id"] in with_objects] or truth.images
    return random.Random(0).sample(candidates, min(IMAGES, len(candidates)))


def _tile(truth: Truth, pixels: np.ndarray, rows: list[dict], with_masks: bool, title: str) -> Tensor:
    """An image with objects, 3 x (TITLE + SIDE) x SIDE, in OpenCV's order of colours."""
    size = pixels.shape[1::-1]
    _, scale = mmcv.rescale_size(size, (SIDE, SIDE), return_scale=True)
    small = mmcv.imresize(pixels, fitted(size, (SIDE, SIDE)))
    picture = torch.from_numpy(small).permute(2, 0, 1)
    if rows:
        picture = _with_objects(truth, picture, scale, rows, with_masks)
    tile = Image.new("RGB", (SIDE, TITLE + SIDE), "white")
    tile.paste(Image.fromarray(picture.permute(1, 2, 0).numpy()), (0, TITLE))
    # OpenCV would write only ASCII.
    ImageDraw.Draw(tile).text((2, 4), title, "black", ImageFont.truetype(fonts.best(title), FONT_SIZE))
    return torch.from_numpy(np.array(tile)).permute(2, 0, 1)


def _with_objects(truth: Truth, picture: Tensor, scale: float, rows: list[dict], with_masks: bool) -> Tensor:
    """Boxes with class and score, and masks."""
    names = {number: name for name, number in truth.category_ids.items()}
    palette = dict(zip(names, get_palette("random", len(names)), strict=True))
    colours = [palette[row["category_id"]] for row in rows]
    if with_masks:
        size = picture.shape[:0:-1]  # width and height
        masks = [mmcv.imresize(truth.mask(row), size, interpolation="nearest") for row in rows]
        picture = draw_segmentation_masks(picture, torch.from_numpy(np.stack(masks)).bool(), 0.4, colours)
    corners = torch.tensor([row["bbox"] for row in rows]) * scale
    corners[:, 2:] += corners[:, :2]
    labels = [names[row["category_id"]] + (f" {row['score']:.2f}" if "score" in row else "") for row in rows]
    text = ["black" if sum(colour) > 3 * 128 else "white" for colour in colours]
    path = str(fonts.best("".join(labels)))
    font = {"font": path, "font_size": FONT_SIZE, "label_colors": text, "fill_labels": True}
    return draw_bounding_boxes(picture, corners, labels, colours, width=2, **font)
