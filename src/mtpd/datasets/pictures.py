"""Pictures of an imported data set: some images with their objects, and counts."""

from __future__ import annotations

import io
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from PIL import Image, ImageDraw, ImageFont

from mtpd import files, fonts, images

IMAGES, COLUMNS = 12, 4
SIDE, TITLE, GAP = 320, 20, 6  # pixels: the square that an image is made to fit, the line above it, between
FONT_SIZE = 12  # pixels
MANY = 12  # objects of an image; from there on, each class is named once
# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
SPLITS = {"train": "#0072B2", "val": "#E69F00", "test": "#009E73"}
BARS = 30  # classes
BINS = 2.0 ** np.arange(0, 13.5, 0.5)  # pixels
SMALL, LARGE = 32, 96  # pixels: COCO's limits


def sheet(content: dict, root: Path, target: Path) -> None:
    """Write up to 12 images with boxes and class names, the same ones each time; rare classes are among them.

    Args:
        content: the objects, in COCO's form. There must be an image.
        root: the folder of the images.
        target: the picture, JPEG or PNG by its name; it lies beside the annotations.
    """
    names = {category["id"]: category["name"] for category in content["categories"]}
    chosen = _chosen(content)
    objects = {image["id"]: [] for image in chosen}
    for item in content["annotations"]:
        if item["image_id"] in objects:
            objects[item["image_id"]].append(item)
    text = "".join([*names.values(), *(image["file_name"] for image in chosen)])
    font = ImageFont.truetype(fonts.best(text), FONT_SIZE)
    colours = {number: COLOURS[n % len(COLOURS)] for n, number in enumerate(names)}
    paths = [images.path_of(image, root, target.parent) for image in chosen]
    tiles = [
        _tile(image, path, objects[image["id"]], names, colours, font)
        for image, path in zip(chosen, paths, strict=True)
    ]
    columns, height = min(COLUMNS, len(tiles)), max(tile.height for tile in tiles) + GAP
    rows = -(-len(tiles) // columns)
    picture = Image.new("RGB", (columns * (SIDE + GAP) + GAP, rows * height + GAP), "white")
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        picture.paste(tile, (GAP + column * (SIDE + GAP), GAP + row * height))
    encoded = io.BytesIO()
    picture.save(encoded, "PNG" if target.suffix == ".png" else "JPEG", quality=90)
    files.write_bytes(target, encoded.getvalue())


def _chosen(content: dict) -> list[dict]:
    """In each turn, an image with the class that was chosen least often."""
    images = {image["id"]: image for image in content["images"]}
    classes = {}
    for item in content["annotations"]:
        classes.setdefault(item["category_id"], {})[item["image_id"]] = None
    chance = random.Random(0)
    waiting = {number: chance.sample(list(own), min(IMAGES, len(own))) for number, own in classes.items()}
    shown, chosen = Counter(), {}
    while waiting and len(chosen) < IMAGES:
        rarest = min(waiting, key=lambda number: (shown[number], len(classes[number])))
        image = waiting[rarest].pop()
        if not waiting[rarest]:
            del waiting[rarest]
        if image not in chosen:
            chosen[image] = images[image]
            shown.update(number for number, own in classes.items() if image in own)
    return list(chosen.values()) or content["images"][:IMAGES]


def _tile(image: dict, path: Path, items: list[dict], names: dict, colours: dict, font) -> Image.Image:
    """An image below its name; as wide as SIDE, and at most TITLE + SIDE high."""
    pixels = images.read(path)[:, :, ::-1]
    scale = SIDE / max(pixels.shape[:2])
    width, height = (max(1, round(side * scale)) for side in pixels.shape[1::-1])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = Image.new("RGB", (SIDE, TITLE + height), "white")
    tile.paste(Image.fromarray(cv2.resize(pixels, (width, height), interpolation=way)), (0, TITLE))
    draw = ImageDraw.Draw(tile)
    draw.text((0, 2), _fitted(image["file_name"], font), "black", font)
    for item in items:
        x, y, w, h = (value * scale for value in item["bbox"])
        draw.rectangle((x, y + TITLE, x + w, y + h + TITLE), outline=colours[item["category_id"]], width=2)
    named = items if len(items) < MANY else {item["category_id"]: item for item in reversed(items)}.values()
    for item in named:
        place = (item["bbox"][0] * scale, item["bbox"][1] * scale + TITLE)
        _label(draw, names[item["category_id"]], place, colours[item["category_id"]], font)
    return tile


def _fitted(name: str, font) -> str:
    """A name without its beginning where it is too long."""
    short = name
    while font.getlength(short) > SIDE:
        name = name[1:]
        short = f"...{name}"
    return short


def _label(draw: ImageDraw.ImageDraw, name: str, place: tuple[float, float], colour: str, font) -> None:
    """The name of a class above the corner of its box, or below it at the border of the image."""
    _, _, right, bottom = font.getbbox(name)
    x = min(place[0], max(0, SIDE - right - 2))
    y = place[1] - bottom - 2 if place[1] - bottom - 2 >= TITLE else place[1]
    draw.rectangle((x, y, x + right + 2, y + bottom + 2), fill=colour)
    draw.text((x + 1, y), name, "black", font)


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
        figure = Figure((11, max(3.2, 1.2 + 0.22 * len(classes))), layout="constrained")
        by_class, by_side, by_size = figure.subplots(1, 3)
        _plot_classes(by_class, counts, classes, len(totals) - len(classes))
        _plot_sides(by_side, counts)
        _plot_images(by_size, counts)
        for axes in (by_class, by_side, by_size):
            axes.spines[["top", "right"]].set_visible(False)
        encoded = io.BytesIO()
        figure.savefig(encoded, format="png", dpi=110, metadata={"Software": None})
    files.write_bytes(target, encoded.getvalue())


def _plot_classes(axes: Axes, counts: dict[str, Counts], classes: list[str], others: int) -> None:
    height = 0.8 / len(counts)
    for number, (split, one) in enumerate(counts.items()):
        places = np.arange(len(classes)) + (number - (len(counts) - 1) / 2) * height
        numbers = [one.objects.get(name, 0) for name in classes]
        axes.barh(places, numbers, height, color=SPLITS[split], label=f"{split}: {sum(one.objects.values())}")
    axes.set_yticks(range(len(classes)), [name if len(name) <= 24 else f"{name[:22]}..." for name in classes])
    axes.invert_yaxis()
    axes.set_title("objects by class" + (f" (without {others} rarer classes)" if others else ""))
    axes.legend(frameon=False)


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
        xlabel="square root of the area, pixels\n(dotted: 32 and 96, as in COCO)",
        ylabel="% of a split's objects",
    )


def _plot_images(axes: Axes, counts: dict[str, Counts]) -> None:
    for number, (split, one) in enumerate(counts.items()):
        sizes = np.array(list(one.images)).reshape(-1, 2)
        share = np.array(list(one.images.values())) / max(1, sum(one.images.values()))
        label = f"{split}: {sum(one.images.values())}"
        area = (12 + 300 * share) * 0.6**number  # rings that do not hide each other
        axes.scatter(*sizes.T, area, "none", edgecolors=SPLITS[split], linewidths=1.5, label=label)
    axes.set(
        title="size of images",
        xlabel="width, pixels",
        ylabel="height, pixels",
        xlim=(0, None),
        ylim=(0, None),
    )
    for handle in axes.legend(frameon=False).legend_handles:
        handle.set_sizes([30])
