"""Write an experiment file for a data set in COCO format."""

import argparse
import os
import sys
from pathlib import Path

import yaml

from mtpd import discover, files, gpus
from mtpd.checks import annotations, counts
from mtpd.experiment import starter
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.reading import load_with_files

PROJECT = Path(__file__).resolve().parents[2]
CORES_OF_A_GPU = 8  # of another machine; a guess
LEAST_SIDE = 32  # pixels, the default of dataset.min_image_side
LEAST_IMAGES = 4  # to train with, of order.probe_images


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the experiment; letters, digits, - and _")
    parser.add_argument("data", type=Path, help="folder with the images and their COCO annotation files")
    parser.add_argument("--gpus", type=int, help="of the machine that will train; by default, of this one")
    args = parser.parse_args()
    target = Path(f"{args.name}.yaml")
    if target.exists():
        sys.exit(f"{target} is there already: choose another NAME, or remove it")
    try:
        found = discover.annotation_files(args.data)
        stop_at([line for path in found.values() for line in annotations.malformed(str(path))])
        splits = discover.splits(args.data, found)
    except discover.NoDataset as error:
        sys.exit(str(error))
    bad_boxes = look_at(splits)
    count = len(gpus.visible()) if args.gpus is None else args.gpus
    described = {name: describe(split) for name, split in splits.items()}
    cores, classes = threads(args.gpus, count), len(splits["train"].objects)
    text, numbers = starter.write(
        args.name, **described, classes=classes, bad_boxes=bad_boxes, gpus=count, threads=cores
    )
    try:
        load_with_files(yaml.safe_load(text), str(target), PROJECT)
    except ConfigError as error:
        sys.exit(f"{error}\nnothing was written")
    files.write_text(target, text)
    width, height = numbers["scale"]
    machine = f"{count} GPUs" if count else "no GPU"
    print(f"{target}: images of {width} x {height} pixels, {numbers['epochs']} epochs a stage, {machine}")
    print(f"next: make check, make plan and make rehearsal, with CONFIG={target}; docs/own-experiment.md")


def stop_at(problems):
    if problems:
        sys.exit("\n".join(problems))


def look_at(splits):
    """Say what the splits have; stop at what would stop the experiment. Whether some boxes are bad."""
    found = []
    for name, split in splits.items():
        print(f"{name}: {split.annotations}, {split.count} images in {split.images}")
        side = LEAST_SIDE if name == "train" else None
        found += annotations.problems(str(split.annotations), str(split.images), side, skip_bad_boxes=True)
    stop_at(found)
    split = splits["train"]
    if split.count < LEAST_IMAGES:
        sys.exit(f"{split.annotations}: found {split.count} images, expected at least {LEAST_IMAGES}")
    train, val = (splits[name].objects for name in ("train", "val"))
    if strange := sorted(val.keys() - train.keys()):
        sys.exit(annotations.unknown_categories(str(splits["val"].annotations), strange))
    for label in train:
        print(f"  {label}: {train[label]} objects in train, {val.get(label, 0)} in val")
    paths = [str(split.annotations) for split in splits.values()]
    bad = [line for path in paths for line in annotations.accepted_boxes(path)]
    for line in [*bad, *(line for path in paths for line in annotations.too_small(path))]:
        print(line)
    return bool(bad)


def describe(split):
    return {
        "annotations": str(split.annotations),
        "images": str(split.images),
        "count": split.count,
        "size": split.size,
        "object_side": split.object_side,
        "most_objects": counts.most(str(split.annotations))["objects"],
    }


def threads(asked, gpus):
    """CPU cores of a job: shared between the GPUs; without any, one, so that stages run side by side.

    Where ``asked`` says that another machine will train, its cores are not known.
    """
    if not gpus:
        return 1
    return CORES_OF_A_GPU if asked else max(1, (os.cpu_count() or 1) // gpus)


main()
