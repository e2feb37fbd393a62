"""From the mmdet config of a detector to its model."""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import mmdet
from mmdet.models.dense_heads import AnchorFreeHead, FCOSHead, RTMDetHead, YOLOXHead
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import nn

from mtpd import files
from mtpd.detectors import patches
from mtpd.experiment import input_files
from mtpd.experiment.detector_schema import MMDET

TIMM = "mtpd.detectors.timm_backbone"  # imported where a config needs it: it takes seconds
UNPUBLISHED = ("rtmdet", "yolox")  # kinds of detectors; they get the weights for ``anchor``


def load_config(source: str, overrides: dict, classes: tuple[str, ...]) -> Config:
    """The mmdet config of a detector, with heads for ``classes`` (``mmdet::x/y.py`` or a file).

    Augmentation of whole batches is left out, as the config's pipeline is: it would change the student's
    images and not the teacher's. The user's own modules that it imports (``custom_imports``) lie beside it,
    or are installed.

    Raises:
        ValueError: two configs import different files of the same name.
    """
    own = input_files.own_modules(source)
    for name, path in own.items():
        _import_file(name, path)
    if source.startswith(MMDET):
        source = str(Path(mmdet.__file__).parent / ".mim/configs" / source.removeprefix(MMDET))
    config = Config.fromfile(source)
    config.merge_from_dict(copy.deepcopy(overrides))  # mmengine takes _delete_ out of them
    (config.model.get("data_preprocessor") or {}).pop("batch_augments", None)
    _set_classes(config.model, len(classes))
    named = (config.get("custom_imports") or {}).get("imports", [])
    modules = [*own, *([named] if isinstance(named, str) else named)]
    modules += [TIMM] * any(part.get("type") == "TimmBackbone" for part in _mappings(config.model))
    import_modules_from_strings(modules)
    imports = {"custom_imports": {"imports": list(dict.fromkeys(modules))}} if modules else {}
    return Config({"default_scope": "mmdet", **imports, "model": config.model})


def _import_file(name: str, path: str) -> None:
    """Import a file under a name that mmengine then finds."""
    file = Path(path).resolve()
    if known := sys.modules.get(name):
        where = getattr(known, "__file__", None) or "built into Python"
        if Path(where).resolve() != file:
            raise ValueError(f"{path}: there is another module of this name, {where}: rename one")
        return
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # it is imported again, and says again what is wrong
        raise


def _mappings(node) -> Iterator[dict]:
    """Every mapping in a part of a config, the outer ones first."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ():
        yield from _mappings(child)


def _set_classes(node, count: int) -> None:
    """Set ``num_classes`` of every head, except a semantic head, which has its own classes (COCO's stuff)."""
    children = (
        [child for key, child in node.items() if key != "semantic_head"] if isinstance(node, dict) else node
    )
    for child in children:
        if isinstance(child, (dict, list, tuple)):
            _set_classes(child, count)
    if isinstance(node, dict) and "num_classes" in node:
        node["num_classes"] = count


def resolved(spec: dict, hashes: dict[str, str] | None = None) -> dict:
    """What a detector's spec builds: a plain dict, the same wherever the files that it names lie.

    Args:
        spec: as made by ``mtpd.experiment.specs.detector``.
        hashes: of the files of pretrained weights, by the names that the config gives them.
    """
    config = with_local_backbones(load_config(spec["config"], spec["overrides"], ()), hashes or {})
    modules = [files.known_sha256(path) for path in input_files.own_modules(spec["config"]).values()]
    return {
        "model": config.model.to_dict(),
        "image_scale": spec["image_scale"],
        "taps": spec.get("taps"),
        **({"modules": modules} if modules else {}),
    }


def build(config: Config) -> nn.Module:
    """The detector of a config, with what ``patches`` changes in mmengine and mmdet."""
    patches.apply()
    init_default_scope("mmdet")
    return MODELS.build(config.model)


def kind(detector: nn.Module) -> str:
    """Decides the default weights of a loss: two-stage, fcos, rtmdet, yolox, point or anchor.

    For the kinds of ``UNPUBLISHED``, the authors of the losses name no weights.
    """
    head = getattr(detector, "bbox_head", None)
    if hasattr(detector, "roi_head"):
        return "two-stage"
    if isinstance(head, FCOSHead):
        return "fcos"
    if isinstance(head, (RTMDetHead, YOLOXHead)):
        return "rtmdet" if isinstance(head, RTMDetHead) else "yolox"
    return "point" if isinstance(head, AnchorFreeHead) else "anchor"


def without_pretraining(config: Config) -> Config:
    """The config of a detector without its pretrained weights, for loading a checkpoint."""
    config = Config(config.to_dict())
    for part in list(_mappings(config.model)):
        part.pop("pretrained", None)
        if isinstance(part.get("init_cfg"), dict) and part["init_cfg"].get("type") == "Pretrained":
            part["init_cfg"] = None
    return config


def with_local_backbones(config: Config, paths: dict[str, str]) -> Config:
    """The config of a detector with the paths of its pretrained weights in place of their names."""
    config = Config(config.to_dict())
    for part in _mappings(config.model):
        for key in {"pretrained", "checkpoint"} & set(part):
            if isinstance(part[key], str):
                part[key] = paths.get(part[key], part[key])
    return config


def class_dependent(spec: dict, classes: tuple[str, ...]) -> dict[str, int]:
    """The detector's tensors whose shape depends on the number of classes, with the rows of one class."""
    shapes = []
    for count in (classes, (*classes, "one more")):
        config = without_pretraining(load_config(spec["config"], spec["overrides"], count))
        shapes.append({name: weight.shape for name, weight in build(config).state_dict().items()})
    return {
        name: shapes[1][name][0] - shape[0] for name, shape in shapes[0].items() if shapes[1][name] != shape
    }
