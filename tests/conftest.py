import gc
import os
from functools import cache
from itertools import cycle
from pathlib import Path

import cv2
import pytest
import torch
from filelock import FileLock
from mmengine.config import utils
from pycocotools import mask as rle

from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs
from mtpd.training.settings import Stage

PROJECT = Path(__file__).parents[1]
os.environ["PATH"] = f"{PROJECT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
torch.set_num_threads(1)
# For every config that builds on one of mmdet's, mmengine parses a hundred files of mmdet.
utils.load = cache(utils.load)


def pytest_configure(config):
    """``make test-gpu`` must not pass because everything was skipped."""
    if config.option.markexpr == "gpu" and not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        pytest.exit(
            f"no GPU: torch {torch.__version__} sees none (CUDA_VISIBLE_DEVICES is {visible}), so nothing is "
            "tested. Look at nvidia-smi; on a cluster, run this in a job with --gpus",
            returncode=1,
        )


def pytest_collection_finish(session):
    """mmengine collects garbage for every data set; among all objects of torch and mmdet, this takes long."""
    gc.freeze()


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Downloads of tests are not kept in the user's cache."""
    os.environ["MTPD_CACHE"] = str(tmp_path_factory.mktemp("cache"))


RECIPE = {
    "loss": {"name": "pkd", "options": {"weight": 4.0}, "adaptors": "where-needed"},
    "inherit": "first",
    "optimizer": {"type": "AdamW", "lr": 1e-3},
    "clip_grad": 35,
    "paramwise": None,
    "scales": None,
    "precision": "float32",
    "batch_size": 4,
    "micro_batch_size": None,
    "schedule": {"kind": "one-cycle"},
    "validate_every": 2,
}

UNSET = ("augment", "ema")  # keys that a recipe has only where they are given


def spec(name):
    """A detector of the demo, as a stage gets it."""
    config = str(PROJECT / f"config/detectors/{name}.py")
    return {"config": config, "overrides": {}, "image_scale": 1, "taps": None}


def progressive_stage(dataset, teacher, loss="pkd", **changes):
    """Three epochs of three iterations under a Swin teacher; ``changes`` go to the stage or its recipe."""
    recipe = {
        **RECIPE,
        "loss": {**RECIPE["loss"], "name": loss, "options": {"weight": 4.0} if loss == "pkd" else {}},
    }
    recipe |= {key: changes.pop(key) for key in list(changes) if key in (*RECIPE, *UNSET)}
    fields = {
        "dataset": dataset,
        "student": spec("r18_w8"),
        "recipe": recipe,
        "epochs": 3,
        "seed": 0,
        "teachers": (spec("swin_w32"),),
        "teacher_weights": (teacher,),
    }
    if "teachers" not in changes and "parent" not in changes:  # stage 1 inherits
        fields |= {"inherits": spec("swin_w32"), "inherited_weights": teacher}
    return Stage(**{**fields, **changes})


def weights(folder):
    """The student that a stage wrote."""
    return checkpoints.read_weights(folder / "out/student.pth")


def build(name, seed=0):
    """A detector of the demo, freshly initialised, by the name of its config file."""
    config = configs.load_config(str(PROJECT / f"config/detectors/{name}.py"), {}, shapes.CLASSES)
    torch.manual_seed(seed)
    detector = configs.build(configs.without_pretraining(config))
    detector.init_weights()
    return detector


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """Checkpoint of a Swin detector, freshly initialised."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.pth"
    torch.save({"state_dict": build("swin_w32", 5).state_dict()}, path)
    return str(path)


def squeeze(coco, folder):
    """Make drawn images half as high and half as wide by turns, with their objects.

    Nothing is square then, so swapped sides show.
    """
    factors = {image["id"]: (1, 0.5) if image["id"] % 2 else (0.5, 1) for image in coco["images"]}
    for image in coco["images"]:
        x, y = factors[image["id"]]
        image |= {"width": round(image["width"] * x), "height": round(image["height"] * y)}
        path, size = str(folder / image["file_name"]), (image["width"], image["height"])
        cv2.imwrite(path, cv2.resize(cv2.imread(path), size, interpolation=cv2.INTER_AREA))
    for item in coco["annotations"]:
        x, y = factors[item["image_id"]]
        item["bbox"] = _squeezed(item["bbox"], x, y)
        item["area"] *= x * y
        if item["iscrowd"]:
            size = item["segmentation"]["size"]
            mask = rle.decode(rle.frPyObjects(item["segmentation"], *size))[:: round(1 / y), :: round(1 / x)]
            item["segmentation"] = {"size": list(mask.shape), "counts": shapes._run_lengths(mask)}
        else:
            item["segmentation"] = [_squeezed(outline, x, y) for outline in item["segmentation"]]


def _squeezed(coordinates, x, y):
    """Numbers along x and y by turns."""
    return [value * factor for value, factor in zip(coordinates, cycle((x, y)), strict=False)]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Twelve training and six validation images, 64 x 32 and 32 x 64 pixels, as a stage takes them."""
    folder = tmp_path_factory.mktemp("dataset")
    for split, images in (("train", 12), ("val", 6)):
        (folder / split).mkdir()
        coco = shapes.generate(folder / split, split, images, 64, 0)
        squeeze(coco, folder / split)
        shapes.write(coco, folder / f"{split}.json")
    splits = {
        split: {"annotations": str(folder / f"{split}.json"), "images": str(folder / split)}
        for split in ("train", "val")
    }
    return {
        "name": "few-shapes",
        "scale": [64, 64],
        "flip": 0.5,
        "skip_empty_images": True,
        "min_image_side": 32,
        **splits,
    }


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of the tiny experiment, run from nothing by real Snakemake; once for all test processes."""
    from snakes import TINY, checked, snakemake

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "tiny"
    with FileLock(shared / "tiny.lock"):
        if not (folder / "said").exists():
            folder.mkdir()
            (folder / "config").symlink_to(PROJECT / "config")
            code, said = snakemake(folder, config=checked(folder, TINY))
            assert code == 0, said
            (folder / "said").write_text(said)
    return folder
