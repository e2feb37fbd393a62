"""Importing annotations of the size of COCO 2017, without opening images, against json.load of the files."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import pairing
from benchmarks.models import PROJECT
from mtpd import files

SPLITS = {"train2017": (118_287, 860_001), "val2017": (5_000, 36_781)}  # images, objects
SMALL = {"train2017": (30, 100), "val2017": (10, 30)}
CLASSES = 80
WIDTH, HEIGHT = 640, 480
POINTS = 22  # of a polygon, on average: the file is then as large as COCO's
LOAD = """
import json
for path in sorted(folder.rglob("*.json")):
    with open(path, encoding="utf-8") as file:
        json.load(file)
"""
IMPORT = """
from mtpd.datasets.importing import import_dataset
settings = {"source": str(folder), "decode": "none", "strict": True}
import_dataset(settings, folder.parent / "out", lambda line: None)
"""
# The peak is not ``ru_maxrss``: that counts the process that started this one.
MEASURE = """
import sys, time
from pathlib import Path
folder = Path(sys.argv[1])
import mtpd.datasets.importing
before = time.process_time()
exec(sys.argv[2])
seconds = time.process_time() - before
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(seconds, int(status["VmHWM"].split()[0]) / 2**20)
"""


def measure(small: bool = False):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "coco"
        for split, (images, objects) in (SMALL if small else SPLITS).items():
            write(folder, split, images, objects)
        size = sum(path.stat().st_size for path in folder.rglob("*.json")) / 2**20
        pairs = [(of_process(LOAD, folder), of_process(IMPORT, folder)) for _ in range(1 if small else 2)]
    what, against = f"importing {size:.0f} MiB of COCO annotations, no image opened", "json.load of them"
    yield pairing.Row(what, against, [ours[0] / load[0] for load, ours in pairs], "at most 2")
    load, ours = ([both[which][1] for both in pairs] for which in (0, 1))
    yield pairing.Row("the same: peak of memory", f"{against}: {load[0]:.2f} GiB", ours, "", " GiB")


def of_process(work: str, folder: Path) -> tuple[float, float]:
    """CPU seconds and peak of memory (GiB) of a process that only does this."""
    command = [sys.executable, "-c", MEASURE, folder, work]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=PROJECT)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def write(folder: Path, split: str, images: int, objects: int) -> None:
    """A split as COCO's, with polygons around points; its images are empty files."""
    chance = random.Random(split)
    names = [f"{number * 5:012}.jpg" for number in range(1, images + 1)]
    content = {
        "info": {"description": "as large as COCO 2017"},
        "images": [
            {"license": 1, "file_name": name, "height": HEIGHT, "width": WIDTH, "id": int(name[:12])}
            for name in names
        ],
        "annotations": [one_object(number, images, chance) for number in range(1, objects + 1)],
        "categories": [
            {"supercategory": "thing", "id": number, "name": f"class {number}"}
            for number in range(1, CLASSES + 1)
        ],
    }
    files.write_json(folder / f"annotations/instances_{split}.json", content, indent=None)
    (folder / split).mkdir()
    for name in names:
        (folder / split / name).touch()


def one_object(number: int, images: int, chance: random.Random) -> dict:
    points = chance.randint(POINTS // 2, POINTS * 3 // 2)
    radius = chance.uniform(4, 100)
    x, y = chance.uniform(radius, WIDTH - radius), chance.uniform(radius, HEIGHT - radius)
    polygon = []
    for point in range(points):
        angle, far = 2 * math.pi * point / points, radius * chance.uniform(0.7, 1)
        polygon += [round(x + far * math.cos(angle), 2), round(y + far * math.sin(angle), 2)]
    xs, ys = polygon[::2], polygon[1::2]
    width, height = round(max(xs) - min(xs), 2), round(max(ys) - min(ys), 2)
    return {
        "segmentation": [polygon],
        "area": round(width * height * 0.7, 4),
        "iscrowd": 0,
        "image_id": chance.randint(1, images) * 5,
        "bbox": [min(xs), min(ys), width, height],
        "category_id": number % CLASSES + 1,  # so that training has every class
        "id": number,
    }
