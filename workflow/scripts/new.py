"""Write an experiment file for the data set in a folder."""

import argparse
import os
import re
import shlex
import sys
from pathlib import Path

import yaml

from mtpd import files, gpus
from mtpd.datasets import choosing, numbers, pictures
from mtpd.datasets.changes import ImportStopped
from mtpd.datasets.importing import REPORT, images_of, import_dataset
from mtpd.detectors.obtainable import is_obtainable
from mtpd.experiment import chains, data_specs, folders, starter, yaml_files
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.reading import load_dataset, load_with_files

PROJECT = Path(__file__).resolve().parents[2]
CORES_OF_A_GPU = 8  # of another machine; a guess
LEAST_IMAGES = 4  # to train with, of order.probe_images
SMALL_BACKBONES = [f"timm://tf_efficientnet_lite{size}" for size in (0, 1, 2)]  # of config/detectors/lite*.py


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the experiment; letters, digits, - and _")
    parser.add_argument("data", type=Path, help="folder of a data set: COCO, YOLO or Pascal VOC")
    parser.add_argument("--gpus", type=int, help="of the machine that will train; by default, of this one")
    args = parser.parse_args()
    if not re.fullmatch(chains.NAME, args.name):
        sys.exit(f"NAME: found {args.name!r}; expected {chains.NAME_IN_WORDS}\nnothing was written")
    target, source = Path(f"{args.name}.yaml"), str(args.data)
    if stop := choosing.no_folder(args.data):
        sys.exit(f"DATA: {stop}\nnothing was written")
    try:
        given = asked(target, args.name, source)
        report, described, kept = imported(load_dataset(given, str(target)))
    except ConfigError as error:
        sys.exit(f"{error}\nnothing was written")
    except ImportStopped as error:
        sys.exit("\n".join([*error.stops, how_to_go_on(target, args, error.stops)]))
    count = len(gpus.visible()) if args.gpus is None else args.gpus
    text, chosen = starter.write(
        args.name,
        given,
        **described,
        classes=list(report["splits"]["train"]["classes"]),
        one_set=len({split["source"] for split in report["splits"].values()}) == 1,
        gpus=count,
        pretrained=(pretrained := not count and all(map(is_obtainable, SMALL_BACKBONES))),
        threads=threads(args.gpus, count),
    )
    try:
        load_with_files(yaml.safe_load(text), str(target), PROJECT)
    except ConfigError as error:
        sys.exit(f"{error}\nnothing was written")
    files.write_text(target, text)
    width, height = chosen["scale"]
    print(f"{target}: images of {width} x {height} pixels, {chosen['epochs']} epochs a stage")
    print(f"written for {machine(args.gpus, count)}")
    if not count and not pretrained:
        print(
            "the detectors start from random weights, because those of ImageNet are not here and cannot be "
            "fetched. With them, AP on photographs is several times as high: start again with a network, or "
            "after: make lite-weights"
        )
    print("look at these pictures of the data before you train:")
    print(f"  {kept / pictures.SHEET}: training images with their boxes")
    print(f"  {kept / pictures.PLOT}: objects by class, sizes")
    print(f"next: make check, make plan and make rehearsal, with CONFIG={target}; docs/own-experiment.md")


def asked(target, name, source):
    """The keys of the data set: those in the file that an import stopped with before, if there is one."""
    if not target.exists():
        return {"name": name, "source": source}
    content = yaml_files.read(target)
    given = content.get("dataset") if isinstance(content, dict) else None
    if not isinstance(given, dict) or content.keys() != {"experiment", "dataset"}:
        sys.exit(f"{target} is there already: choose another NAME, or remove it")
    print(f"{target}: has the data set only, so its keys are taken: {', '.join(given)}")
    if given.get("source", source) != source:
        print(f"{target}: source was {given['source']}; taken: {source}")
    return given | {"source": source} if "source" in given else given


def how_to_go_on(target, args, stops):
    """What to do after the import stopped; writes the file to edit, if it is not there."""
    again = f"make new NAME={args.name} DATA={shlex.quote(str(args.data))}"
    again += "" if args.gpus is None else f" GPUS={args.gpus}"
    if not target.exists():
        files.write_text(target, starter.write_stopped(args.name, str(args.data), stops, again))
    return (
        f"what to do: correct the data, or edit {target} (it has the keys that decide, as comments);"
        f" then again: {again}"
    )


def imported(dataset):
    """Import the data, as a run would, and say what they have.

    Returns:
        The report, numbers of both splits, and the folder where the import is kept.
    """
    spec = data_specs.data_import(dataset)
    kept = Path(folders.imported(spec))
    known = data_specs.kept(kept)
    if not known:
        import_dataset(spec, kept)
    report = files.read_json(kept / REPORT)
    for line in report["text"] if known else ():
        print(line)
    for name, split in report["splits"].items():
        what = f"{split['images']} images, {split['objects']} objects"
        print(f"{name}: {what}, from {split['source']} ({split['form']})")
    train, val = (report["splits"][name]["classes"] for name in data_specs.SPLITS)
    for label in train:
        print(f"  {label}: {train[label]} objects in train, {val.get(label, 0)} in val")
    described = {name: numbers.of_split(kept / f"{name}.json") for name in data_specs.SPLITS}
    if (images := described["train"]["count"]) < LEAST_IMAGES:
        sys.exit(f"DATA: found {images} training images, expected at least {LEAST_IMAGES}")
    pictures.of_import(kept, images_of(spec, "train"), kept)
    return report, described, kept


def machine(asked, gpus):
    """The machine that the experiment file is written for, and how to name another one."""
    found = {0: "no GPU", 1: "1 GPU"}.get(gpus, f"{gpus} GPUs")
    if asked is None:
        return f"this machine, which has {found} (for another one: make new ... GPUS={0 if gpus else 8})"
    return f"a machine that has {found}"


def threads(asked, gpus):
    """CPU cores of a job: shared between the GPUs; without any, one, so that stages run side by side.

    Where ``asked`` says that another machine will train, its cores are not known.
    """
    if not gpus:
        return 1
    return CORES_OF_A_GPU if asked else max(1, (os.cpu_count() or 1) // gpus)


main()
