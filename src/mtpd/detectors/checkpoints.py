"""Checkpoints: loaded only if they fit, written in the form that stock mmdet reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

import mtpd
from mtpd.detectors import configs
from mtpd.detectors.reading import CheckpointError, read_checkpoint, read_weights


def classes_of_checkpoint(path: str | Path) -> tuple[str, ...] | None:
    """The class names that a checkpoint was trained for, if it has them (mmdet 3 or mmdet 2)."""
    meta = read_checkpoint(path).get("meta")
    meta = meta if isinstance(meta, dict) else {}
    own = meta.get("dataset_meta")
    own = own if isinstance(own, dict) else {}
    # mmdet 3.0 first wrote the key in capitals; mmdet 2 has no dataset_meta.
    names = own.get("classes") or own.get("CLASSES") or meta.get("CLASSES")
    return tuple(names) if isinstance(names, (list, tuple)) and names else None


def provenance(path: str | Path) -> dict:
    """What ``save_student`` wrote beside the weights: what the student was trained with.

    Raises:
        CheckpointError: see ``read_checkpoint``.
    """
    meta = read_checkpoint(path).get("meta")
    found = meta.get("mtpd") if isinstance(meta, dict) else None
    return found if isinstance(found, dict) else {}


def load_weights(detector: nn.Module, path: str | Path, say: Callable[[str], None] = print) -> None:
    """Load a checkpoint as mmdet does, so its modules rename what older versions named otherwise.

    After that, every tensor must fit. Two exceptions are allowed: counters of batch norms, which old files
    do not have, and constants of the data preprocessor, which come from the config. If the tensors fit only
    without a prefix that all their names have (``module.``), it is left out.

    Args:
        detector: changed in place.
        path: of the checkpoint.
        say: takes a line where a prefix is left out; and see ``read_weights``.

    Raises:
        CheckpointError: tensors are missing, unexpected, or have the wrong shape; and see ``read_weights``.
    """
    wrong, without = load_what_fits(detector, path, say)
    if any(wrong.values()):
        found = "; ".join(f"{len(v)} {k} ({', '.join(v[:3])})" for k, v in wrong.items() if v)
        raise CheckpointError(f"{path}: does not fit its detector{without}: {found}")


def load_what_fits(
    detector: nn.Module, path: str | Path, say: Callable[[str], None] = print
) -> tuple[dict[str, list[str]], str]:
    """Load the tensors that fit, as ``load_weights`` does; the others stay as they are.

    Returns:
        Names of the others: ``missing``, ``unexpected``, ``misshapen``; and, in words, the prefix without
        which the names were read, or ''.

    Raises:
        CheckpointError: see ``read_weights``.
    """
    weights, prefix = read_weights(path, say), ""
    wrong = {prefix: _load_where_it_fits(detector, path, weights)}
    while any(wrong[prefix].values()) and (part := _shared_part(weights)):
        consume_prefix_in_state_dict_if_present(weights, part)
        prefix += part
        wrong[prefix] = _load_where_it_fits(detector, path, weights)
    best = min(wrong, key=lambda tried: sum(map(len, wrong[tried].values())))
    without = f" without {best!r}, with which all names in the file begin" if best else ""
    if best:
        say(f"{path}: {len(weights)} tensors are read{without}")
    return wrong[best], without


def _shared_part(weights: dict[str, Tensor]) -> str:
    """The first part of the names, with its dot, if all names have the same one; else ''."""
    parts = {"".join(name.partition(".")[:2]) for name in weights}
    return parts.pop() if len(parts) == 1 and all("." in part for part in parts) else ""


def _load_where_it_fits(
    detector: nn.Module, path: str | Path, weights: dict[str, Tensor]
) -> dict[str, list[str]]:
    """Names of tensors by what is wrong with them."""
    results = []
    handle = detector.register_load_state_dict_post_hook(lambda _module, result: results.append(result))
    misshapen = []
    try:
        detector.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # torch raises for these alone, and only says their names
        misshapen = re.findall(r"size mismatch for (\S+):", str(error))
        if not misshapen:
            raise CheckpointError(f"{path}: does not fit its detector: {error}") from error
    finally:
        handle.remove()
    ((missing, unexpected),) = results
    return {
        "missing": [name for name in missing if not name.endswith(".num_batches_tracked")],
        "unexpected": [name for name in unexpected if not name.startswith("data_preprocessor.")],
        "misshapen": misshapen,
    }


def load(
    spec: dict, path: str | Path, classes: tuple[str, ...], say: Callable[[str], None] = print
) -> nn.Module:
    """A detector (``config`` and ``overrides``) with the weights of a checkpoint, which must fit.

    Its heads are built for the classes that the checkpoint names, or else for ``classes``; its
    ``dataset_meta`` holds them. ``say`` is as for ``load_weights``.

    Raises:
        CheckpointError: see ``load_weights``.
    """
    classes = classes_of_checkpoint(path) or classes
    config = configs.load_config(spec["config"], spec["overrides"], classes)
    detector = configs.build(configs.without_pretraining(config))
    load_weights(detector, path, say)
    detector.dataset_meta = {"classes": classes}
    return detector


def save_half_precision(source: str | Path, target: str | Path) -> None:
    """Copy a checkpoint with its weights in half precision; of its meta data only the class names stay.

    Vectors (biases, statistics of batch norms) stay as they are: they are small, and can exceed half's range.
    """
    weights = read_weights(source)
    for name, tensor in weights.items():
        if tensor.is_floating_point() and tensor.dim() > 1:
            weights[name] = tensor.half()
    meta = {"dataset_meta": {"classes": classes_of_checkpoint(source)}}
    _save({"meta": meta, "state_dict": weights}, Path(target))


def save_student(
    path: Path, student: nn.Module, config: Config, classes: tuple[str, ...], provenance: dict
) -> None:
    """Write an ordinary mmdet checkpoint of the student alone, atomically.

    Its config names no place of data, so that the same training gives the same file wherever it runs.
    """
    meta = {
        "cfg": _without_places(config).pretty_text,
        "dataset_meta": {"classes": classes},
        "mtpd": {"version": mtpd.__version__, **provenance},
    }
    weights = student.state_dict()  # keeps the versions of the modules, which mmdet looks at when it loads
    for name, tensor in weights.items():
        weights[name] = tensor.cpu()
    _save({"meta": meta, "state_dict": weights}, path)


def _without_places(config: Config) -> Config:
    config = Config(config.to_dict())
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if loader := config.get(name):
            loader.num_workers = 0
            loader.dataset.type = "CocoDataset"  # stock mmdet does not know the one of this project
            loader.dataset.ann_file = Path(loader.dataset.ann_file).name
            loader.dataset.data_prefix.img = ""
    return config


def _save(content: dict, path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)
