"""A small experiment with real data and checkpoints, and its stages, trained without Snakemake."""

import contextlib
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from conftest import build, spec

from mtpd.datasets import shapes
from mtpd.datasets.importing import import_dataset
from mtpd.experiment import chains, data_specs, folders, rows, specs
from mtpd.experiment.folders import DATA, Layout
from mtpd.experiment.reading import load_experiment
from mtpd.training.settings import Stage
from mtpd.training.stage import train

LAYOUT = Layout("few", "few")
FIND_ANYTHING = {"model.test_cfg.score_thr": 0.0}


def make(folder, dataset, teacher):
    """The content of the file, with data and checkpoints in ``folder``.

    Four training images, one without objects and a small one; two validation images.
    """
    shutil.copytree(dataset["train"]["images"], folder / "images")
    coco = json.loads(Path(dataset["train"]["annotations"]).read_text(encoding="utf-8"))
    first, (small, empty) = coco["images"][:4], coco["images"][4:6]
    cv2.imwrite(str(folder / "images" / small["file_name"]), np.full((24, 30, 3), 99, np.uint8))
    small |= {"width": 30, "height": 24}
    boxes = [item for item in coco["annotations"] if item["image_id"] not in (small["id"], empty["id"])]
    in_small = {**boxes[0], "id": 1000, "image_id": small["id"], "bbox": [4, 5, 12, 8]}
    write(folder / "train.json", coco, [*first, small, empty], [*boxes, in_small])
    write(folder / "moved.json", coco, first, [{**item, "bbox": [1, 1, 20, 9]} for item in boxes])
    shutil.copytree(dataset["val"]["images"], folder / "images", dirs_exist_ok=True)
    val = json.loads(Path(dataset["val"]["annotations"]).read_text(encoding="utf-8"))
    write(folder / "val.json", val, val["images"][:2], val["annotations"])
    write(folder / "fewer.json", val, val["images"][:1], val["annotations"])
    shutil.copytree(folder / "images", folder / "dark")
    for path in (folder / "dark").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path)) // 2)
    files = {"student": "r18_w8", "other": "swin_w32"}
    for number, (name, config) in enumerate(files.items()):
        torch.save({"state_dict": build(config, number).state_dict()}, folder / f"{name}.pth")
    names = {"CLASSES": shapes.CLASSES[::-1]}
    torch.save({"state_dict": build("r18_w8", 2).state_dict(), "meta": names}, folder / "initial.pth")
    shutil.copy(teacher, folder / "teacher.pth")
    return experiment(folder)


def write(path, coco, images, boxes):
    known = [image["id"] for image in images]
    boxes = [item for item in boxes if item["image_id"] in known]
    shapes.write({**coco, "images": images, "annotations": boxes}, path)


def experiment(folder):
    def split(name):
        return {"annotations": str(folder / f"{name}.json"), "images": str(folder / "images")}

    def detector(name, config):
        overrides = FIND_ANYTHING if name == "student" else {}
        return {"config": spec(config)["config"], "overrides": overrides, "file": str(folder / f"{name}.pth")}

    recipe = {
        "loss": {"name": "pkd", "options": {"weight": 4.0}},
        "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.05},
        "clip_grad": 1.0,
        "batch_size": 2,
        "schedule": {"kind": "step", "milestones": [0.5], "gamma": 0.1, "warmup_iters": 2},
    }
    return {
        "experiment": "few",
        "dataset": {"name": "few", "scale": [64, 64], "train": split("train"), "val": split("val")},
        "detectors": {
            "student": detector("student", "r18_w8"),
            "teacher": detector("teacher", "swin_w32"),
            "other": detector("other", "swin_w32"),
        },
        "students": ["student"],
        "pools": {"both": ["teacher", "other"], "one": ["other"]},
        "order": {"probe_images": 6},
        "recipes": {"pkd": recipe, "pkd2": recipe},
        "arms": {"arm": {"recipe": "pkd", "chain": "teacher@1"}},
    }


def with_keys(content, values):
    """A copy of an experiment file with these values; files are named as in the folder of its data."""
    folder = Path(content["dataset"]["train"]["annotations"]).parent
    content, values = json.loads(json.dumps([content, values]))
    for key, value in values.items():
        *parents, last = key.split(".")
        node = content
        for name in parents:
            node = node.setdefault(name, {})
        is_file = last in ("annotations", "images", "file")
        node[last] = str(folder / value) if is_file else value
    return content


@contextmanager
def imported(content, folder):
    """The experiment of a file; ``folder`` is the working folder, and its data are imported there."""
    found = load_experiment(content)
    with contextlib.chdir(folder):
        told, results = data_specs.data_import(found.dataset), Path(DATA.format(dataset=found.dataset.name))
        kept = Path(folders.imported(told))
        import_dataset(told, kept, list)
        shutil.copytree(kept, results, dirs_exist_ok=True)
        yield found


def trained(content, folder):
    """The results of the last stage of the first row, trained after those before it."""
    with imported(content, folder) as found:
        return _trained(found, folder)


def _trained(found, folder):
    row = rows.rows(found, LAYOUT, orders=None)[0]
    student, recipe = row["student"], row["recipe"]
    weights = {name: detector.file for name, detector in found.detectors.items()}
    parent = weights[student] if found.recipes[recipe].start == "student" else None
    for part in row["stages"]:
        given = specs.stage(found, LAYOUT, student, recipe, part["chain"], row["seed"])
        initial = specs.initial_weights(found, student, recipe, part["chain"])
        source = specs.inherited_detector(found, recipe, part["chain"])
        stage = Stage(
            **json.loads(json.dumps(given)),  # as a job reads it
            teacher_weights=tuple(weights[name] for name in chains.parse(part["chain"]).last.teachers),
            inherited_weights=source and weights[source],
            initial_weights=initial and initial.file,
            parent=parent,
        )
        out = folder / part["chain"]
        train(stage, out / "out", out / "work", str(folder / "said"))
        parent = str(out / "out/student.pth")
    return out / "out"
