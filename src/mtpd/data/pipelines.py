"""mmdet's pipelines and data loaders for a COCO-format data set."""

from __future__ import annotations

import os

from mmengine.config import Config, ConfigDict

from mtpd.data import listed_images, resizing  # noqa: F401 (registers ListedImages and Resize)

META = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


def add_validation(config: Config, dataset: dict, classes: tuple[str, ...], workers: int) -> None:
    """Add the pipeline and loaders of the validation split, the same for every detector of an experiment.

    Args:
        config: of a detector; changed in place.
        dataset: as made by ``mtpd.experiment.data_specs.dataset``.
        classes: names of the classes.
        workers: data loaders.
    """
    pipeline = [*_resized(dataset), ConfigDict(type="PackDetInputs", meta_keys=META)]
    # One image a batch: padding to the shape of others changes features near the border, up to 40% of the
    # largest value, and even where shapes are equal, other kernels change the last digits.
    loader = _loader(dataset["val"], classes, pipeline, batch_size=1, workers=workers)
    loader.dataset.test_mode = True
    config.merge_from_dict({"val_dataloader": loader, "test_dataloader": loader, "test_pipeline": pipeline})


def add_training(
    config: Config, dataset: dict, classes: tuple[str, ...], batch_size: int, workers: int
) -> None:
    """Add the pipeline and loader of the training split.

    Args:
        config: of a detector; changed in place.
        dataset: as made by ``mtpd.experiment.data_specs.trained_dataset``; with ``scales``, each image is
            resized to one of these, drawn at random; with ``augment``, these transforms follow.
        classes: names of the classes.
        batch_size: images of a batch of one process.
        workers: data loaders.
    """
    labels = ConfigDict(
        type="LoadAnnotations", with_bbox=True, with_mask="mask_head" in config.model.get("roi_head", {})
    )
    load, resize = _resized(dataset)
    if dataset.get("scales"):
        resize = ConfigDict(type="RandomChoiceResize", scales=dataset["scales"], keep_ratio=True)
    flip = ConfigDict(type="RandomFlip", prob=dataset["flip"])
    augment = [ConfigDict(step) for step in dataset.get("augment") or ()]
    pipeline = [load, labels, resize, *augment, flip, ConfigDict(type="PackDetInputs")]
    loader = _loader(dataset["train"], classes, pipeline, batch_size, workers)
    loader.dataset.filter_cfg = ConfigDict(
        filter_empty_gt=dataset["skip_empty_images"], min_size=dataset["min_image_side"]
    )
    config.merge_from_dict({"train_dataloader": loader})


def _resized(dataset: dict) -> list[ConfigDict]:
    """Steps that load an image and resize it to the scale of the data set."""
    resize = ConfigDict(type="Resize", scale=tuple(dataset["scale"]), keep_ratio=True)
    return [ConfigDict(type="LoadImageFromFile"), resize]


def _loader(
    split: dict, classes: tuple[str, ...], pipeline: list[ConfigDict], batch_size: int, workers: int
) -> ConfigDict:
    return ConfigDict(
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=False,
        sampler=ConfigDict(type="DefaultSampler", shuffle=False),  # a stage has its own for training
        dataset=ConfigDict(
            type="ListedImages",
            metainfo=ConfigDict(classes=classes),
            ann_file=os.path.abspath(split["annotations"]),
            data_prefix=ConfigDict(img=os.path.abspath(split["images"])),
            pipeline=pipeline,
            backend_args=None,
        ),
    )


def at_scale(dataset: dict, spec: dict) -> dict:
    """The data set with images at the detector's ``image_scale``."""
    scales = [_scaled(scale, spec) for scale in dataset.get("scales") or ()]
    return {**dataset, "scale": _scaled(dataset["scale"], spec), "scales": scales}


def _scaled(scale: list[int], spec: dict) -> tuple[int, int]:
    width, height = scale
    return round(width * spec["image_scale"]), round(height * spec["image_scale"])
