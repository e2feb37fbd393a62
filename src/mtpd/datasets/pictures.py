"""Pictures of an imported data set: some images with their objects, and counts."""

from __future__ import annotations

import io
import random
from collections import Counter
from pathlib import Path

import cv2
from PIL import Image, ImageDraw, ImageFont

from mtpd import files, fonts, images
from mtpd.datasets import counts

SHEET, PLOT = "train_samples.jpg", "counts.png"
IMAGES, COLUMNS = 12, 4
SIDE, TITLE, GAP = 320, 20, 6  # pixels: the square that an image is made to fit, the line above it, between
FONT_SIZE = 12  # pixels
LONGEST_LABEL = SIDE // 2  # pixels, of a class
MANY = 12  # objects of an image; from there on, a class with a colour of its own is named once
CROWDED = 40  # objects of an image; from there on, boxes are thin
# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
DARK = "#0072B2"  # names on it are white


def sheet(content: dict, root: Path, beside: Path, target: Path) -> None:
    """Write up to 12 images with boxes and class names, the same ones each time; rare classes are among them.

    Args:
        content: the objects, in COCO's form. There must be an image.
        root: the folder of the images.
        beside: the folder of the annotations, where those images are that were converted.
        target: the picture, JPEG or PNG by its name.
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
    labels = {number: _fitted(name, LONGEST_LABEL, font) for number, name in names.items()}
    paths = [images.path_of(image, root, beside) for image in chosen]
    tiles = [
        _tile(image, path, objects[image["id"]], labels, colours, font)
        for image, path in zip(chosen, paths, strict=True)
    ]
    encoded = io.BytesIO()
    _in_rows(tiles).save(encoded, "PNG" if target.suffix == ".png" else "JPEG", quality=90)
    files.write_bytes(target, encoded.getvalue())


def _in_rows(tiles: list[Image.Image]) -> Image.Image:
    rows = [tiles[first : first + COLUMNS] for first in range(0, len(tiles), COLUMNS)]
    heights = [max(tile.height for tile in row) + GAP for row in rows]
    picture = Image.new("RGB", (len(rows[0]) * (SIDE + GAP) + GAP, sum(heights) + GAP), "white")
    for number, row in enumerate(rows):
        for column, tile in enumerate(row):
            picture.paste(tile, (GAP + column * (SIDE + GAP), GAP + sum(heights[:number])))
    return picture


def _chosen(content: dict) -> list[dict]:
    """Images to show: in each turn, one with the class that was chosen least often."""
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


def _tile(image: dict, path: Path, items: list[dict], labels: dict, colours: dict, font) -> Image.Image:
    """An image below its name; as wide as SIDE, and at most TITLE + SIDE high."""
    pixels = images.read(path)[:, :, ::-1]
    scale = SIDE / max(pixels.shape[:2])
    width, height = (max(1, round(side * scale)) for side in pixels.shape[1::-1])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = Image.new("RGB", (SIDE, TITLE + height), "white")
    tile.paste(Image.fromarray(cv2.resize(pixels, (width, height), interpolation=way)), (0, TITLE))
    draw = ImageDraw.Draw(tile)
    draw.text((0, 2), _fitted(image["file_name"], SIDE, font), "black", font)
    boxes, line = [], 2 if len(items) < CROWDED else 1
    for item in items:
        x, y, w, h = (value * scale for value in item["bbox"])
        boxes.append((x, y + TITLE, x + w, y + h + TITLE))
        draw.rectangle(boxes[-1], outline=colours[item["category_id"]], width=line)
    taken = []
    for number in _named(items, colours):
        label, colour = labels[items[number]["category_id"]], colours[items[number]["category_id"]]
        taken.append(_free_place(label, boxes[number], taken, tile.height, font))
        draw.rectangle(taken[-1], fill=colour)
        draw.text((taken[-1][0] + 1, taken[-1][1]), label, "white" if colour == DARK else "black", font)
    return tile


def _named(items: list[dict], colours: dict) -> list[int]:
    """Which objects of an image get the name of their class: all; of many, those that no colour tells."""
    if len(items) < MANY:
        return list(range(len(items)))
    first = {item["category_id"]: number for number, item in reversed(list(enumerate(items)))}
    own = Counter(colours[category] for category in first)
    return [
        number
        for number, item in enumerate(items)
        if own[colours[item["category_id"]]] > 1 or first[item["category_id"]] == number
    ]


def _fitted(name: str, width: float, font) -> str:
    """A name without its middle where it is wider than this, in pixels: its ends tell it from others."""
    short, kept = name, len(name)
    while kept > 2 and font.getlength(short) > width:
        kept -= 1
        short = f"{name[: kept // 2]}...{name[-(kept - kept // 2) :]}"
    return short


def _free_place(name: str, box: tuple, taken: list[tuple], bottom: int, font) -> tuple:
    """Where the name of a box stands: above it, in it or below it, away from other names if possible.

    Args: ``taken``: the places of other names; ``bottom``: where the picture ends.
    """
    width, height = (side + 2 for side in font.getbbox(name)[2:])
    left = min(box[0], max(0, SIDE - width))
    places = [(left, top, left + width, top + height) for top in (box[1] - height, box[1], box[3])]
    inside = [place for place in places if place[1] >= TITLE and place[3] <= bottom] or places[1:2]
    free = [place for place in inside if not any(_overlap(place, other) for other in taken)]
    return (free or inside)[0]


def _overlap(one: tuple, other: tuple) -> bool:
    return all(one[n] < other[n + 2] and other[n] < one[n + 2] for n in (0, 1))


def of_import(kept: Path, root: Path, folder: Path) -> None:
    """Draw the pictures of an imported data set.

    Args:
        kept: folder of its ``train.json``, ``val.json`` and perhaps ``test.json``.
        root: the folder that names of images begin at.
        folder: gets the pictures, ``SHEET`` and ``PLOT``.
    """
    found = {}
    for split in counts.SPLITS:
        if not (kept / f"{split}.json").exists():
            continue
        content = files.read_json(kept / f"{split}.json")  # one of them in memory: they may be large
        found[split] = counts.count(content)
        if split == "train":
            sheet(content, root, kept, folder / SHEET)
    counts.plot(found, folder / PLOT)
