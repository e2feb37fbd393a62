import os
from pathlib import Path

import pytest
import torch

from mtpd import detectors
from mtpd.data import shapes

PROJECT = Path(__file__).parents[1]
os.environ["PATH"] = f"{PROJECT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
torch.set_num_threads(1)


def build(name, seed=0):
    """A detector of the demo, freshly initialised, by the name of its config file."""
    config = detectors.load_config(str(PROJECT / f"config/detectors/{name}.py"), {}, shapes.CLASSES)
    torch.manual_seed(seed)
    detector = detectors.build(config)
    detector.init_weights()
    return detector


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Twelve training and six validation images of 64 pixels, as a stage takes them."""
    folder = tmp_path_factory.mktemp("dataset")
    for split, images in (("train", 12), ("val", 6)):
        (folder / split).mkdir()
        coco = shapes.generate(folder / split, split, images, 64, 0)
        shapes.write(coco, folder / f"{split}.json")
    splits = {
        split: {"annotations": str(folder / f"{split}.json"), "images": str(folder / split)}
        for split in ("train", "val")
    }
    return {"name": "few-shapes", "scale": [64, 64], "flip": 0.5, **splits}
