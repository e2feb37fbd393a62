"""Detectors and batches to measure with."""

from __future__ import annotations

from pathlib import Path

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mtpd.detectors import checkpoints, configs

PROJECT = Path(__file__).parents[1]
ZOO = {"r18w16": "zoo_r18_w16", "r18w32": "zoo_r18_w32", "swin32": "zoo_swin_w32"}  # trained, in config/zoo
CLASSES = tuple(f"class {number}" for number in range(6))


def detector(config: str, classes: tuple[str, ...] = CLASSES):
    """With random weights."""
    name = config if "::" in config else str(PROJECT / f"config/detectors/{config}.py")
    torch.manual_seed(0)
    built = configs.build(configs.without_pretraining(configs.load_config(name, {}, classes)))
    built.init_weights()
    return built


def trained(name: str):
    """A trained detector that comes with the project."""
    spec = {"config": str(PROJECT / f"config/detectors/{ZOO[name]}.py"), "overrides": {}, "image_scale": 1}
    path = PROJECT / f"config/zoo/{name}.pth"
    return checkpoints.load(spec, str(path), checkpoints.classes_of_checkpoint(path)).eval()


def batch(images: int, width: int, height: int, boxes: int = 6) -> dict:
    """Images of noise, each with some boxes, as a data loader gives them."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(images):
        corner = torch.rand(boxes, 2, generator=generator) * torch.tensor([width, height]) * 0.6
        size = 8 + torch.rand(boxes, 2, generator=generator) * torch.tensor([width, height]) * 0.35
        truth = InstanceData(
            bboxes=torch.cat([corner, corner + size], 1),
            labels=torch.randint(len(CLASSES), (boxes,), generator=generator),
        )
        shape = {"img_shape": (height, width), "batch_input_shape": (height, width), "scale_factor": (1, 1)}
        sample = DetDataSample(metainfo={**shape, "ori_shape": (height, width)}, gt_instances=truth)
        samples.append(sample)
    shape = (images, 3, height, width)
    noise = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    return {"inputs": list(noise), "data_samples": samples}
