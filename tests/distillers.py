"""For tests of the distiller: a batch, and the losses of a model on it."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch.nn.functional import interpolate

from mtpd.data.views import key

PKD = {"loss": "pkd", "options": {"weight": 4.0}}


def batch(size=64, scale=1.0):
    """Two images, also at another scale."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator)
    sample = DetDataSample(metainfo={"img_shape": (size, size), "ori_shape": (size, size), "img_id": 1})
    boxes = torch.tensor([[5.0, 5.0, 40.0, 40.0]])
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([2]))
    images = [image, image.flip(2)]
    scaled = [interpolate(one[None].float(), scale_factor=scale)[0].to(torch.uint8) for one in images]
    return {key(scale): scaled, "inputs": images, "data_samples": [sample, sample.clone()]}


def oblong(boxes):
    """Two images, 60 x 90 and 40 x 70 pixels (height x width), padded to 64 x 96; boxes in pixels."""
    generator = torch.Generator().manual_seed(0)
    data = {"inputs": [], "data_samples": []}
    for size, corners in zip([(60, 90), (40, 70)], boxes, strict=True):
        image = torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator)
        sample = DetDataSample(metainfo={"img_shape": size, "ori_shape": size, "img_id": 1})
        labels = torch.full((len(corners),), 2)
        sample.gt_instances = InstanceData(bboxes=torch.tensor(corners), labels=labels)
        data["inputs"].append(image)
        data["data_samples"].append(sample)
    return data


def losses(model, data):
    return model(**model.data_preprocessor(data, True), mode="loss")
