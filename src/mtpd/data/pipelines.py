"""mmdet's pipelines and data loaders for a COCO-format data set."""

from __future__ import annotations

import os

from mmengine.config import Config, ConfigDict
from torch import Tensor
from torch.nn.functional import interpolate


def add_data(
    config: Config, dataset: dict, classes: tuple[str, ...], batch_size: int, workers: int
) -> Config:
    """Pipelines and loaders of a COCO-format data set, the same for every detector of an experiment.

    Args:
        dataset: as made by ``mtpd.experiment.specs.dataset``; with ``scales``, each training image is resized
            to one of these, drawn at random.
        batch_size: images of a training batch of one process.
    """
    masks = "mask_head" in config.model.get("roi_head", {})
    scale = tuple(dataset["scale"])
    load = [ConfigDict(type="LoadImageFromFile")]
    resize = [ConfigDict(type="Resize", scale=scale, keep_ratio=True)]
    labels = [ConfigDict(type="LoadAnnotations", with_bbox=True, with_mask=masks)]
    keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    sizes = resize
    if dataset.get("scales"):
        sizes = [ConfigDict(type="RandomChoiceResize", scales=dataset["scales"], keep_ratio=True)]
    train = [*load, *labels, *sizes, ConfigDict(type="RandomFlip", prob=dataset["flip"])]
    train.append(ConfigDict(type="PackDetInputs"))
    test = [*load, *resize, ConfigDict(type="PackDetInputs", meta_keys=keys)]

    def loader(split, pipeline, shuffle, size):
        return ConfigDict(
            batch_size=size,
            num_workers=workers,
            persistent_workers=False,
            sampler=ConfigDict(type="DefaultSampler", shuffle=shuffle),
            dataset=ConfigDict(
                type="CocoDataset",
                metainfo=ConfigDict(classes=classes),
                ann_file=os.path.abspath(dataset[split]["annotations"]),
                data_prefix=ConfigDict(img=os.path.abspath(dataset[split]["images"])),
                filter_cfg=ConfigDict(  # for training only
                    filter_empty_gt=dataset["skip_empty_images"], min_size=dataset["min_image_side"]
                ),
                test_mode=not shuffle,
                pipeline=pipeline,
                backend_args=None,
            ),
        )

    # One image a batch in validation: padding to the shape of others changes features near the border, up to
    # 40% of the largest value, and even where shapes are equal, other kernels change the last digits.
    config.merge_from_dict(
        {
            "train_dataloader": loader("train", train, True, batch_size),
            "val_dataloader": loader("val", test, False, 1),
            "test_dataloader": loader("val", test, False, 1),
            "test_pipeline": test,
        }
    )
    return config


def at_scale(dataset: dict, spec: dict) -> dict:
    """The data set with images at the detector's ``image_scale``."""
    scales = [_scaled(scale, spec) for scale in dataset.get("scales") or ()]
    return {**dataset, "scale": _scaled(dataset["scale"], spec), "scales": scales}


def _scaled(scale: list[int], spec: dict) -> tuple[int, int]:
    width, height = scale
    return round(width * spec["image_scale"]), round(height * spec["image_scale"])


def rescaled(images: Tensor, scale: float) -> Tensor:
    """Images (N x 3 x H x W) at another scale; as they are at 1."""
    if scale == 1:
        return images
    return interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)
