"""Small COCO data sets in several layouts, and ``make new`` for them."""

import hashlib
import json
import subprocess
import sys

from conftest import PROJECT
from PIL import Image

LAYOUTS = {
    "annotations beside the splits": ("annotations/{split}.json", "{split}", ("train", "val")),
    "COCO 2017": ("annotations/instances_{split}2017.json", "{split}2017", ("train", "val")),
    "annotations among the images": ("{split}/_annotations.coco.json", "{split}", ("train", "valid")),
    "images in a folder of their own": ("{split}.json", "images/{split}", ("train", "val")),
    "no val, but test": ("{split}.json", "{split}", ("train", "test")),
}


def draw(folder, annotations, images, names, box=(2, 2, 20, 10), size=(64, 48)):
    """A split of these images, all of them different, each with one object."""
    for name in names:
        (folder / images / name).parent.mkdir(parents=True, exist_ok=True)
        colour = tuple(hashlib.sha256(f"{images}/{name}".encode()).digest()[:3])
        Image.new("RGB", size, colour).save(folder / images / name)
    listed = [
        {"id": i, "file_name": name, "width": size[0], "height": size[1]} for i, name in enumerate(names)
    ]
    objects = [
        {"id": i + 1, "image_id": i, "category_id": 1, "bbox": list(box), "area": 200.0, "iscrowd": 0}
        for i in range(len(names))
    ]
    categories = [{"id": 1, "name": "cell"}, {"id": 7, "name": "platelet"}]
    content = {"images": listed, "annotations": objects, "categories": categories}
    (folder / annotations).parent.mkdir(parents=True, exist_ok=True)
    (folder / annotations).write_text(json.dumps(content), encoding="utf-8")


def laid_out(folder, layout, **options):
    """A data set of 8 and 3 images; the splits have files of the same names."""
    annotations, images, splits = LAYOUTS[layout]
    for split, count in zip(splits, (8, 3), strict=True):
        names = [f"{number}.png" for number in range(count)]
        draw(folder, annotations.format(split=split), images.format(split=split), names, **options)
    return folder


def new(place, *arguments):
    """Exit status, and all that the script said."""
    command = [sys.executable, PROJECT / "workflow/scripts/new.py", *arguments]
    done = subprocess.run(list(map(str, command)), cwd=place, capture_output=True, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr
