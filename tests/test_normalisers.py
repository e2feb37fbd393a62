"""Heads whose losses mmdet divides by a mean over all GPUs: which micro-batches have the same losses here."""

import copy

import pytest
import torch
from distillers import losses
from mmdet.structures import DetDataSample
from mmdet.utils import dist_utils
from mmengine.structures import InstanceData
from processes import Threads

from mtpd.datasets.shapes import CLASSES
from mtpd.detectors import configs, patches

NARROW = {
    "model.backbone.base_channels": 8,
    "model.backbone.depth": 18,
    "model.backbone.init_cfg": None,
    "model.backbone.style": "pytorch",
    "model.neck.in_channels": [8, 16, 32, 64],
}
HEADS = [
    "gfl/gfl_r50_fpn_1x_coco.py",
    "atss/atss_r50_fpn_1x_coco.py",
    "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
]


def images(objects):
    """Of 64 pixels, with so many objects each."""
    generator = torch.Generator().manual_seed(0)
    data = {"inputs": [], "data_samples": []}
    for count in objects:
        sample = DetDataSample(metainfo={"img_shape": (64, 64), "ori_shape": (64, 64), "img_id": 1})
        corners = 40 * torch.rand(count, 2, generator=generator)
        sides = 8 + 16 * torch.rand(count, 2, generator=generator)
        boxes = torch.cat([corners, corners + sides], 1)
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.arange(count) % 6)
        data["inputs"].append(torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8, generator=generator))
        data["data_samples"].append(sample)
    return data


def by_name(detector, data):
    terms = losses(detector, data)
    return {name: loss.item() for name, loss in detector.parse_losses(terms)[1].items()}


@pytest.mark.parametrize("head", HEADS)
def test_one_micro_batch_of_all_images_has_the_losses_of_mmdets_gpus(head, monkeypatch):
    """Three GPUs with one image each. Micro-batches of one image have other losses (docs/method.md)."""
    torch.manual_seed(0)
    detector = configs.build(configs.load_config(f"mmdet::{head}", NARROW, CLASSES)).eval()
    detectors = [copy.deepcopy(detector) for _ in range(3)]
    data = images([1, 2, 6])
    parts = [{key: values[n : n + 1] for key, values in data.items()} for n in range(3)]

    def of(rank):
        return by_name(detectors[rank], parts[rank])

    whole = by_name(detector, data)
    assert dist_utils.dist is patches._NotDistributed
    alone = [of(rank) for rank in range(3)]
    threads = Threads(3)
    monkeypatch.setattr(dist_utils, "dist", threads)
    on_gpus = threads.run(of)
    for name, loss in whole.items():
        assert sum(part[name] for part in on_gpus) / 3 == pytest.approx(loss, rel=1e-4), name
        if name != "loss_centerness":
            assert sum(part[name] for part in alone) / 3 != pytest.approx(loss, rel=1e-3), name
