"""Detectors: from a name in the experiment to an mmdet model, its data, and its checkpoint."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import mmdet
import mmengine.runner.checkpoint
import numpy as np
import torch
from mmdet.models.dense_heads import AnchorFreeHead, FCOSHead
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

import mtpd
from mtpd.config import MMDET


class CheckpointError(ValueError):
    """A checkpoint is not what it should be; the message names the file and the first tensors."""


def load_config(source: str, overrides: dict, classes: tuple[str, ...]) -> Config:
    """The mmdet config of a detector, with heads for ``classes`` (``mmdet::x/y.py`` or a file)."""
    if source.startswith(MMDET):
        source = str(Path(mmdet.__file__).parent / ".mim/configs" / source.removeprefix(MMDET))
    config = Config.fromfile(source)
    config.merge_from_dict(overrides)
    _set_classes(config.model, len(classes))
    return Config({"default_scope": "mmdet", "model": config.model})


def _set_classes(node, count: int) -> None:
    """Every head's ``num_classes``; a semantic head has classes of its own (COCO's stuff)."""
    children = (
        [child for key, child in node.items() if key != "semantic_head"] if isinstance(node, dict) else node
    )
    for child in children:
        if isinstance(child, (dict, list, tuple)):
            _set_classes(child, count)
    if isinstance(node, dict) and "num_classes" in node:
        node["num_classes"] = count


def resolved(spec: dict) -> dict:
    """A detector as a plain dict: its model, whatever files its config is put together from, and the rest."""
    model = load_config(spec["config"], spec["overrides"], ()).model.to_dict()
    return {**spec, "config": model}


def build(config: Config) -> nn.Module:
    init_default_scope("mmdet")
    return MODELS.build(config.model)


def kind(detector: nn.Module) -> str:
    """What losses' defaults go by: ``two-stage``, ``anchor``, ``point`` or ``fcos`` (see ``mtpd.losses``)."""
    head = getattr(detector, "bbox_head", None)
    if hasattr(detector, "roi_head"):
        return "two-stage"
    if isinstance(head, FCOSHead):
        return "fcos"
    return "point" if isinstance(head, AnchorFreeHead) else "anchor"


def without_pretraining(config: Config) -> Config:
    """The same detector, with no weights to fetch: its checkpoint brings them all."""
    config = Config(config.to_dict())
    _drop_pretrained(config.model)
    return config


def _drop_pretrained(node) -> None:
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, (dict, list, tuple)):
            _drop_pretrained(child)
    if isinstance(node, dict):
        node.pop("pretrained", None)
        if isinstance(node.get("init_cfg"), dict) and node["init_cfg"].get("type") == "Pretrained":
            node["init_cfg"] = None


def add_data(
    config: Config, dataset: dict, classes: tuple[str, ...], batch_size: int, workers: int
) -> Config:
    """Pipelines and loaders of a COCO-format data set, the same for every detector of an experiment.

    Args:
        dataset: ``train`` and ``val`` (each ``annotations`` and ``images``), ``scale``, ``flip``.
    """
    masks = "mask_head" in config.model.get("roi_head", {})
    scale = tuple(dataset["scale"])
    load = [ConfigDict(type="LoadImageFromFile")]
    resize = [ConfigDict(type="Resize", scale=scale, keep_ratio=True)]
    labels = [ConfigDict(type="LoadAnnotations", with_bbox=True, with_mask=masks)]
    keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    train = [*load, *labels, *resize, ConfigDict(type="RandomFlip", prob=dataset["flip"])]
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
                filter_cfg=ConfigDict(filter_empty_gt=False, min_size=1),
                test_mode=not shuffle,
                pipeline=pipeline,
                backend_args=None,
            ),
        )

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
    return {**dataset, "scale": [round(side * spec["image_scale"]) for side in dataset["scale"]]}


def _allow_list() -> list:
    """What checkpoints may hold beside tensors and plain values: arrays of numbers."""
    dtypes = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    reconstruct = np.empty(0).__reduce__()[0]
    return [np.ndarray, np.dtype, np._core.multiarray.scalar, reconstruct, *dtypes]


def read_checkpoint(path: str | Path, map_location="cpu") -> dict:
    """Read a checkpoint as data: it can run no code.

    Raises:
        CheckpointError: the file is damaged, or wants more than tensors and plain values.
    """
    try:
        with torch.serialization.safe_globals(_allow_list()):
            return torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{path}: refused, not a plain checkpoint: {str(error).splitlines()[0]}"
        ) from error


@CheckpointLoader.register_scheme(prefixes="", force=True)
def _load_local(filename, map_location=None, logger="current"):
    """mmengine's own reader unpickles what is not plain; with this one, every door is read_checkpoint."""
    return read_checkpoint(filename, map_location)


# The same for pretrained backbones that a config fetches: checked by the hash in their name, read as data.
mmengine.runner.checkpoint.load_url = partial(
    torch.hub.load_state_dict_from_url, check_hash=True, weights_only=True
)


def classes_of_checkpoint(path: str | Path) -> tuple[str, ...] | None:
    """The class names a checkpoint was trained for, if it says (mmdet 3, mmdet 2)."""
    meta = read_checkpoint(path).get("meta", {})
    names = meta.get("dataset_meta", {}).get("classes") or meta.get("CLASSES")
    return tuple(names) if names else None


def read_weights(path: str | Path) -> dict[str, Tensor]:
    checkpoint = read_checkpoint(path)
    return checkpoint.get("state_dict", checkpoint)


def load_weights(detector: nn.Module, path: str | Path) -> None:
    """Load a checkpoint that must fit.

    Raises:
        CheckpointError: tensors are missing, unexpected, or of another shape.
    """
    weights = {k: v for k, v in read_weights(path).items() if not k.startswith("data_preprocessor.")}
    own = detector.state_dict()
    wrong = {
        "missing": [name for name in own if name not in weights],
        "unexpected": [name for name in weights if name not in own],
        "misshapen": [n for n in own if n in weights and own[n].shape != weights[n].shape],
    }
    if any(wrong.values()):
        found = "; ".join(f"{len(v)} {k} ({', '.join(v[:3])})" for k, v in wrong.items() if v)
        raise CheckpointError(f"{path}: does not fit its detector: {found}")
    detector.load_state_dict(weights)


def load(spec: dict, path: str | Path, classes: tuple[str, ...]) -> nn.Module:
    """A detector (``config`` and ``overrides``) with the weights of a checkpoint, which must fit.

    Its heads are built for the classes that the checkpoint names, or else for ``classes``; they stand in its
    ``dataset_meta``.

    Raises:
        CheckpointError: see ``load_weights``.
    """
    classes = classes_of_checkpoint(path) or classes
    config = load_config(spec["config"], spec["overrides"], classes)
    detector = build(without_pretraining(config))
    load_weights(detector, path)
    detector.dataset_meta = {"classes": classes}
    return detector


def class_dependent(spec: dict, classes: tuple[str, ...]) -> set[str]:
    """Names of a detector's tensors whose shape depends on the number of classes."""
    shapes = []
    for count in (classes, (*classes, "one more")):
        config = without_pretraining(load_config(spec["config"], spec["overrides"], count))
        shapes.append({name: weight.shape for name, weight in build(config).state_dict().items()})
    return {name for name, shape in shapes[0].items() if shapes[1][name] != shape}


def save_student(
    path: Path, student: nn.Module, config: Config, classes: tuple[str, ...], provenance: dict
) -> None:
    """Write an ordinary mmdet checkpoint of the student alone, atomically."""
    meta = {
        "cfg": config.pretty_text,
        "dataset_meta": {"classes": classes},
        "mtpd": {"version": mtpd.__version__, **provenance},
    }
    weights = {name: tensor.cpu() for name, tensor in student.state_dict().items()}
    partial = path.with_suffix(".partial")
    torch.save({"meta": meta, "state_dict": weights}, partial)
    partial.replace(path)
