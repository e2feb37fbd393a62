"""For tests of the distiller: a batch, and the losses of a model on it."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

PKD = {"loss": "pkd", "options": {"weight": 4.0}}


def batch(size=64):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator)
    sample = DetDataSample(metainfo={"img_shape": (size, size), "ori_shape": (size, size), "img_id": 1})
    boxes = torch.tensor([[5.0, 5.0, 40.0, 40.0]])
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([2]))
    return {"inputs": [image, image.flip(2)], "data_samples": [sample, sample.clone()]}


def losses(model, data):
    return model(**model.data_preprocessor(data, True), mode="loss")
