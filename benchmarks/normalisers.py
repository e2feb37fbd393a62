"""How the gradient of a step changes when losses are divided by the objects of 2 images instead of 16.

``python -m benchmarks.normalisers`` prints the table of docs/method.md, in some minutes.

mmdet divides the losses of these heads by a mean over all GPUs, so by the objects of all 16 images of a step
(8 GPUs with 2 images each), here as one micro-batch of 16. Micro-batches of 2 are each divided by their own.
Batch normalisation is in eval mode, so nothing else differs.
"""

from __future__ import annotations

import copy
import logging
import tempfile
from pathlib import Path
from statistics import median

import torch
from mmengine.runner import Runner
from torch import nn

from benchmarks import stages
from mtpd.data import coco, pipelines
from mtpd.detectors import checkpoints, configs
from mtpd.training.settings import Stage
from mtpd.training.stage import train

IMAGES, EPOCHS, STEPS = 320, 3, 10
NARROW = {
    "model.backbone.base_channels": 16,
    "model.backbone.depth": 18,
    "model.backbone.init_cfg": None,
    "model.backbone.frozen_stages": -1,
    "model.backbone.norm_eval": False,
    "model.backbone.norm_cfg.requires_grad": True,
    "model.neck.in_channels": [16, 32, 64, 128],
    "model.neck.out_channels": 64,
    "model.bbox_head.in_channels": 64,
    "model.bbox_head.feat_channels": 64,
    "model.bbox_head.stacked_convs": 2,
}
HEADS = {
    "FCOS": ("mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", {"model.backbone.style": "pytorch"}),
    "GFL": ("mmdet::gfl/gfl_r50_fpn_1x_coco.py", {}),
    "ATSS": ("mmdet::atss/atss_r50_fpn_1x_coco.py", {}),
}


def main():
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    print("| gradient of 8 micro-batches of 2, against one of 16 | median | range |\n|---|---|---|")
    for name, (config, overrides) in HEADS.items():
        spec = {"config": config, "overrides": {**NARROW, **overrides}, "image_scale": 1, "taps": None}
        with tempfile.TemporaryDirectory() as place:
            found = differences(spec, Path(place))
        for what, values in found.items():
            low, middle, high = (f"{of(values):.2f}" for of in (min, median, max))
            print(f"| {name}: {what} | {middle} | {low} to {high} |", flush=True)


def differences(spec: dict, folder: Path) -> dict[str, list[float]]:
    """Of the gradients of some steps of a student that has trained for a few minutes."""
    settings = stages.spec(folder, IMAGES, 20)
    recipe = {**settings["recipe"], "loss": None, "batch_size": 16, "validate_every": EPOCHS}
    stage = {"recipe": recipe, "student": spec, "epochs": EPOCHS, "teachers": (), "inherits": None}
    train(Stage(**{**settings, **stage}), folder / "out", folder / "work", str(folder / "said"))
    classes = coco.classes_of(settings["dataset"]["train"]["annotations"])
    detector = checkpoints.load(spec, str(folder / "out/student.pth"), classes).eval()
    config = configs.load_config(spec["config"], spec["overrides"], classes)
    pipelines.add_training(config, {**settings["dataset"], "skip_empty_images": True}, classes, 16, 0)
    batches = iter(Runner.build_dataloader(config.train_dataloader))
    found = {"length of the difference": [], "length": [], "cosine": []}
    for batch, _ in zip(batches, range(STEPS), strict=False):
        whole, shared = gradient(detector, batch, 16), gradient(detector, batch, 2)
        found["length of the difference"].append(float((shared - whole).norm() / whole.norm()))
        found["length"].append(float(shared.norm() / whole.norm()))
        found["cosine"].append(float(nn.functional.cosine_similarity(shared, whole, 0)))
    return found


def gradient(detector: nn.Module, batch: dict, images: int) -> torch.Tensor:
    """The mean gradient of micro-batches of so many images, as one vector."""
    detector.zero_grad()
    starts = range(0, len(batch["inputs"]), images)
    for start in starts:
        part = {key: copy.deepcopy(values[start : start + images]) for key, values in batch.items()}
        loss, _ = detector.parse_losses(detector(**detector.data_preprocessor(part, True), mode="loss"))
        (loss / len(starts)).backward()
    return torch.cat([p.grad.flatten() for p in detector.parameters() if p.grad is not None])


if __name__ == "__main__":
    main()
