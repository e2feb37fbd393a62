"""Counts of an imported data set, and their plot."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import ScalarFormatter

from mtpd import files, fonts

SPLITS = {"train": "#0072B2", "val": "#E69F00", "test": "#009E73"}
BARS, LEAST_BARS = 30, 4  # classes; with fewer, the bars do not become thicker
LONGEST_NAME = 24  # characters, of a class beside its bar
BINS = 2.0 ** np.arange(0, 13.5, 0.5)  # pixels
SMALL, LARGE = 32, 96  # pixels: COCO's limits


@dataclass(frozen=True)
class Counts:
    """What ``plot`` shows of a split: little, where its annotations are large.

    ``objects``: by class. ``sides``: of each object, the square root of its box's area, in pixels.
    ``images``: how many there are of each width and height.
    """

    objects: dict[str, int]
    sides: np.ndarray
    images: dict[tuple[int, int], int]


def count(content: dict) -> Counts:
    """Count the objects and images of a split, which is in COCO's form."""
    own = Counter(item["category_id"] for item in content["annotations"])
    boxes = np.array([item["bbox"][2:] for item in content["annotations"]], np.float32).reshape(-1, 2)
    return Counts(
        {category["name"]: own[category["id"]] for category in content["categories"]},
        np.sqrt(boxes.prod(axis=1)),
        dict(Counter((image["width"], image["height"]) for image in content["images"])),
    )


def plot(counts: dict[str, Counts], target: Path) -> None:
    """Write a PNG file: objects by class, sizes of objects and of images; each split has its colour."""
    totals = Counter()
    for one in counts.values():
        totals.update(one.objects)
    # Counter.update keeps classes without objects.
    classes = [name for name, _ in totals.most_common(BARS)]
    style = {"font.family": fonts.families("".join(classes)), "font.size": 9, "text.parse_math": False}
    with matplotlib.rc_context(style):
        figure = Figure((11, max(3.4, 1.4 + 0.22 * len(classes))), layout="constrained")
        by_class, by_side, by_size = figure.subplots(1, 3)
        _plot_classes(by_class, counts, classes, len(totals))
        _plot_sides(by_side, counts)
        _plot_images(by_size, counts)
        for axes in (by_class, by_side, by_size):
            axes.spines[["top", "right"]].set_visible(False)
        told = [Patch(color=SPLITS[split], label=_told(split, one)) for split, one in counts.items()]
        figure.legend(handles=told, loc="outside upper left", ncols=len(told), frameon=False)
        encoded = io.BytesIO()
        figure.savefig(encoded, format="png", dpi=110, metadata={"Software": None})
    files.write_bytes(target, encoded.getvalue())


def _told(split: str, one: Counts) -> str:
    return f"{split}: {sum(one.images.values()):,} images, {sum(one.objects.values()):,} objects"


def _plot_classes(axes: Axes, counts: dict[str, Counts], classes: list[str], number: int) -> None:
    """Bars of these classes. Args: ``number``, of all classes."""
    height = 0.8 / len(counts)
    for place, (split, one) in enumerate(counts.items()):
        places = np.arange(len(classes)) + (place - (len(counts) - 1) / 2) * height
        axes.barh(places, [one.objects.get(name, 0) for name in classes], height, color=SPLITS[split])
    half = LONGEST_NAME // 2 - 1
    shown = [
        name if len(name) <= LONGEST_NAME else f"{name[: half - 1]}...{name[-half:]}" for name in classes
    ]
    axes.set_yticks(range(len(classes)), shown)
    axes.set_ylim(max(len(classes), LEAST_BARS) - 0.5, -0.5)
    rest = f" (the {len(classes)} most frequent of {number})" if len(classes) < number else ""
    axes.set(title=f"objects by class{rest}", xlabel="objects")


def _plot_sides(axes: Axes, counts: dict[str, Counts]) -> None:
    for split, one in counts.items():
        share = np.full(len(one.sides), 100 / max(1, len(one.sides)))
        axes.hist(
            np.clip(one.sides, BINS[0], BINS[-1]), BINS, weights=share, color=SPLITS[split], histtype="step"
        )
    found = np.clip(
        np.concatenate([[SMALL, LARGE], *(one.sides for one in counts.values())]), BINS[0], BINS[-1]
    )
    axes.set_xscale("log", base=2)
    axes.set_xlim(found.min() / 2, found.max() * 2)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    for limit in (SMALL, LARGE):
        axes.axvline(limit, color="grey", linewidth=0.8, linestyle=":")
    axes.set(
        title="size of objects",
        xlabel=f"square root of the area, pixels\n(COCO: small below {SMALL}, large above {LARGE})",
        ylabel="% of a split's objects",
    )


def _plot_images(axes: Axes, counts: dict[str, Counts]) -> None:
    for number, (split, one) in enumerate(counts.items()):
        sizes = np.array(list(one.images)).reshape(-1, 2)
        share = np.array(list(one.images.values())) / max(1, sum(one.images.values()))
        area = (12 + 300 * share) * 0.6**number  # rings that do not hide each other
        axes.scatter(*sizes.T, area, "none", edgecolors=SPLITS[split], linewidths=1.5)
    largest = np.array([size for one in counts.values() for size in one.images]).reshape(-1, 2).max(axis=0)
    axes.set(
        title="size of images",
        xlabel="width, pixels\n(a larger ring: more of the images)",
        ylabel="height, pixels",
        xlim=(0, 1.1 * largest[0]),
        ylim=(0, 1.1 * largest[1]),
    )
