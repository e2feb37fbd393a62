"""Checkpoints: read as data, loaded only if they fit, written in the form that stock mmdet reads."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import checkpoint as tables
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

import mtpd
from mtpd import fetch
from mtpd.detectors import configs
from mtpd.experiment.layout import DOWNLOADS


class CheckpointError(ValueError):
    """A checkpoint is unusable; the message names the file and the first wrong tensors."""


class Skipped:
    """Stands for an object of a checkpoint that is neither read nor run, like a log or a method of it."""

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass


# Objects that mmengine and mmcv write beside the weights. Dictionaries are read as such; the rest is skipped.
KNOWN = {
    "builtins.getattr": Skipped,  # the logs in message_hub hold their methods
    "mmengine.logging.history_buffer.HistoryBuffer": Skipped,
    "mmengine.config.config.Config": Skipped,
    "mmengine.config.config.ConfigDict": OrderedDict,
    "mmcv.utils.config.Config": Skipped,
    "mmcv.utils.config.ConfigDict": OrderedDict,
}


def _allow_list() -> list:
    """What a checkpoint may contain besides tensors and plain values: arrays of numbers, and ``KNOWN``."""
    dtypes = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    reconstruct, scalar = np.empty(0).__reduce__()[0], np._core.multiarray.scalar
    of_numpy_1 = [
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (scalar, "numpy.core.multiarray.scalar"),
    ]
    known = [(stand_in, name) for name, stand_in in KNOWN.items()]
    return [np.ndarray, np.dtype, scalar, reconstruct, *dtypes, *of_numpy_1, *known]


def read_checkpoint(path: str | Path, map_location="cpu") -> dict:
    """Read a checkpoint as data; no code in it can run.

    Raises:
        CheckpointError: the file is damaged, or contains more than tensors, plain values and ``KNOWN``.
    """
    try:
        with torch.serialization.safe_globals(_allow_list()):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{path}: refused, not a plain checkpoint: {(str(error) or type(error).__name__).splitlines()[0]}"
        ) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"{path}: refused, not a plain checkpoint: no dictionary")
    if "state_dict" in checkpoint:
        _require_tensors(path, checkpoint["state_dict"])
    return checkpoint


def _require_tensors(path: str | Path, weights) -> None:
    others = ["state_dict"]
    if isinstance(weights, dict):
        others = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    if others:
        names = ", ".join(map(str, others[:3]))
        raise CheckpointError(f"{path}: refused, not a plain checkpoint: no tensors: {names}")


@CheckpointLoader.register_scheme(prefixes="", force=True)
def _load_local(filename, map_location=None, logger="current"):
    """Replaces mmengine's own reader, which unpickles anything: all reads go through read_checkpoint."""
    checkpoint = read_checkpoint(filename, map_location)
    if isinstance(checkpoint.get("meta"), dict):
        checkpoint["meta"].pop("config", None)  # mmengine would run it as Python when it resumes
    return checkpoint


def _load_url(url, model_dir=None, map_location=None, progress=False) -> dict:
    """The same for pretrained backbones that a config downloads because they were not found in it before.

    Raises:
        FetchError: there is no network, or the hash in the file name is wrong.
        CheckpointError: see ``read_checkpoint``.
    """
    wanted = backbone(url)
    path = Path(DOWNLOADS, wanted.name)
    fetch.fetch(wanted, path, path.parent)
    return read_checkpoint(path, map_location)


tables.load_url = _load_url
tables._safe_torch_load = read_checkpoint  # of files with other schemes


def backbone(name: str) -> fetch.Wanted:
    """The file of a pretrained checkpoint that configs call so: an address, or a name in mmengine's tables.

    Raises:
        FetchError: the tables do not have the name.
    """
    scheme, _, model = name.partition("://")
    url: str | None = name
    if scheme in ("torchvision", "modelzoo"):
        url = tables.get_torchvision_models().get(model)
    elif scheme in ("open-mmlab", "openmmlab"):
        url = tables.get_external_models().get(tables.get_deprecated_model_names().get(model, model))
    if not url:
        raise fetch.FetchError(f"{name}: no such pretrained checkpoint: correct the detector's config")
    return fetch.Wanted(f"pretrained weights {name}", url, fetch.hash_in_name(url))


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


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The weights as the file names them, with the versions of the modules (``_metadata``) if it has them.

    Raises:
        CheckpointError: see ``read_checkpoint``; or there is something else than a tensor among them.
    """
    checkpoint = read_checkpoint(path)
    weights = checkpoint.get("state_dict", checkpoint)
    _require_tensors(path, weights)
    return weights


def load_weights(detector: nn.Module, path: str | Path) -> None:
    """Load a checkpoint as mmdet does, so its modules rename what older versions named otherwise.

    After that, every tensor must fit. Only two are as you like: counters of batch norms, which old files do
    not have, and constants of the data preprocessor, which come from the config.

    Raises:
        CheckpointError: tensors are missing, unexpected, or have the wrong shape.
    """
    wrong = _load_where_it_fits(detector, path)
    if any(wrong.values()):
        found = "; ".join(f"{len(v)} {k} ({', '.join(v[:3])})" for k, v in wrong.items() if v)
        raise CheckpointError(f"{path}: does not fit its detector: {found}")


def _load_where_it_fits(detector: nn.Module, path: str | Path) -> dict[str, list[str]]:
    """Names of tensors by what is wrong with them."""
    results = []
    handle = detector.register_load_state_dict_post_hook(lambda _module, result: results.append(result))
    misshapen = []
    try:
        detector.load_state_dict(read_weights(path), strict=False)
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
    weights = read_weights(source)
    for name, tensor in weights.items():
        if tensor.is_floating_point() and tensor.dim() > 1:
            weights[name] = tensor.half()
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
    weights = student.state_dict()  # keeps the versions of the modules, which mmdet looks at when it loads
    for name, tensor in weights.items():
        weights[name] = tensor.cpu()
    _save({"meta": meta, "state_dict": weights}, path)


def _save(content: dict, path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)
