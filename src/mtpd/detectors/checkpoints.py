"""Checkpoints: read as data, loaded only if they fit, written in the form that stock mmdet reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import mmengine.runner.checkpoint
import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

import mtpd
from mtpd.detectors import configs


class CheckpointError(ValueError):
    """A checkpoint is unusable; the message names the file and the first wrong tensors."""


def _allow_list() -> list:
    """What a checkpoint may contain besides tensors and plain values: arrays of numbers."""
    dtypes = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    reconstruct = np.empty(0).__reduce__()[0]
    return [np.ndarray, np.dtype, np._core.multiarray.scalar, reconstruct, *dtypes]


def read_checkpoint(path: str | Path, map_location="cpu") -> dict:
    """Read a checkpoint as data; no code in it can run.

    Raises:
        CheckpointError: the file is damaged, or contains more than tensors and plain values.
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
    """Replaces mmengine's own reader, which unpickles anything: all reads go through read_checkpoint."""
    return read_checkpoint(filename, map_location)


# The same for pretrained backbones that a config downloads: the hash in the file name is checked.
mmengine.runner.checkpoint.load_url = partial(
    torch.hub.load_state_dict_from_url, check_hash=True, weights_only=True
)


def classes_of_checkpoint(path: str | Path) -> tuple[str, ...] | None:
    """The class names that a checkpoint was trained for, if it has them (mmdet 3 or mmdet 2)."""
    meta = read_checkpoint(path).get("meta", {})
    names = meta.get("dataset_meta", {}).get("classes") or meta.get("CLASSES")
    return tuple(names) if names else None


def read_weights(path: str | Path) -> dict[str, Tensor]:
    checkpoint = read_checkpoint(path)
    return checkpoint.get("state_dict", checkpoint)


def load_weights(detector: nn.Module, path: str | Path) -> None:
    """Load a checkpoint; every tensor must fit.

    Raises:
        CheckpointError: tensors are missing, unexpected, or have the wrong shape.
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

    Its heads are built for the classes that the checkpoint names, or else for ``classes``; its
    ``dataset_meta`` holds them.

    Raises:
        CheckpointError: see ``load_weights``.
    """
    classes = classes_of_checkpoint(path) or classes
    config = configs.load_config(spec["config"], spec["overrides"], classes)
    detector = configs.build(configs.without_pretraining(config))
    load_weights(detector, path)
    detector.dataset_meta = {"classes": classes}
    return detector


def save_half_precision(source: str | Path, target: str | Path) -> None:
    """Copy a checkpoint with its weights in half precision; of its meta data only the class names stay.

    Vectors (biases, statistics of batch norms) stay as they are: they are small, and can exceed half's range.
    """
    weights = {
        name: tensor.half() if tensor.is_floating_point() and tensor.dim() > 1 else tensor
        for name, tensor in read_weights(source).items()
    }
    meta = {"dataset_meta": {"classes": classes_of_checkpoint(source)}}
    _save({"meta": meta, "state_dict": weights}, Path(target))


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
    _save({"meta": meta, "state_dict": weights}, path)


def _save(content: dict, path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)
