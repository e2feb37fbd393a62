"""The same validation images as several detectors see them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mtpd import images
from mtpd.report.plots import COLOURS

LEAST_SCORE = 0.3  # of the boxes that are drawn
SIDE = 2.4  # inches of a picture


def choose(
    counts: dict[str, list[int]], before: dict[str, list[int]], each: int, seed: int
) -> dict[str, str]:
    """Images by the difference in F1 between two detectors: largest gains, largest losses, and at random.

    Args:
        counts: objects found, reported falsely and missed, by image id.
        before: the same of the detector that it is compared with.
        each: how many images of each sort; fewer gains or losses are made up for by random ones.
        seed: of the random ones.

    Returns:
        Why each image was chosen, by image id. An image is chosen once.
    """
    nothing = [0, 0, 0]  # no objects, and nothing reported
    both = counts.keys() | before.keys()
    gains = {image: _f1(counts.get(image, nothing)) - _f1(before.get(image, nothing)) for image in both}
    ranked = sorted(gains, key=lambda image: (-gains[image], int(image)))
    better = [image for image in ranked if gains[image] > 0][:each]
    worse = [image for image in ranked[::-1] if gains[image] < 0][:each]
    chosen = {image: f"largest gain ({gains[image]:+.2f} F1)" for image in better}
    chosen |= {image: f"largest loss ({gains[image]:+.2f} F1)" for image in worse}
    rest = sorted(gains.keys() - chosen.keys(), key=int)
    drawn = random.Random(seed).sample(rest, min(3 * each - len(chosen), len(rest)))
    return chosen | {image: f"at random ({gains[image]:+.2f} F1)" for image in drawn}


def _f1(counts: list[int]) -> float:
    found, false, missed = counts
    return 2 * found / (2 * found + false + missed) if found + false + missed else 1.0


def draw(
    chosen: dict[str, str],
    annotations: dict,
    path_of: Callable[[dict], Path],
    predictions: dict[str, list[dict]],
) -> Figure:
    """A row for each image: the annotated objects, then what each detector finds.

    Args:
        chosen: of ``choose``.
        annotations: content of the COCO annotation file.
        path_of: gives the file of an image.
        predictions: COCO results by detector.
    """
    names = {category["id"]: category["name"] for category in annotations["categories"]}
    colours = {number: COLOURS[i % len(COLOURS)] for i, number in enumerate(names)}
    files = {str(image["id"]): path_of(image) for image in annotations["images"]}
    columns = [("annotated", _by_image(annotations["annotations"], chosen))]
    for name, rows in predictions.items():
        columns.append((name, _by_image([row for row in rows if row["score"] >= LEAST_SCORE], chosen)))
    figure, axes = plt.subplots(
        len(chosen), len(columns), figsize=(SIDE * len(columns) + 1, SIDE * len(chosen) + 0.4), squeeze=False
    )
    for axes_of_row, (image, why) in zip(axes, chosen.items(), strict=True):
        pixels = images.read(files[image])[:, :, ::-1]
        for axis, (title, boxes) in zip(axes_of_row, columns, strict=True):
            axis.imshow(pixels)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if axis in axes[0]:
                axis.set_title(title, fontsize=8)
            for row in boxes[image]:
                _draw_box(axis, row, names, colours)
        axes_of_row[0].set_ylabel(why.replace(" (", "\n("), fontsize=7)
    return figure


def _by_image(rows: list[dict], wanted: dict[str, str]) -> dict[str, list[dict]]:
    found = defaultdict(list)
    for row in rows:
        if str(row["image_id"]) in wanted:
            found[str(row["image_id"])].append(row)
    return found


def _draw_box(axis, row: dict, names: dict[int, str], colours: dict[int, str]) -> None:
    x, y, width, height = row["bbox"]
    colour = colours[row["category_id"]]
    axis.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=1.2))
    score = f" {row['score']:.2f}" if "score" in row else ""
    label = f"{names[row['category_id']]}{score}"
    axis.text(x, y, label, fontsize=5, va="bottom", color="white", bbox={"color": colour, "pad": 0.5})
