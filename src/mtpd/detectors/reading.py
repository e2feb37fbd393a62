"""Checkpoint files, read as data: nothing in them can run."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from mtpd import files


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
    """Read a checkpoint as data; no code in it can run. Files of safetensors are data by design.

    Raises:
        CheckpointError: the file is damaged, or contains more than tensors, plain values and ``KNOWN``.
    """
    try:
        if _is_safetensors(path):
            return {"state_dict": load_file(path, device=str(map_location or "cpu"))}
        with torch.serialization.safe_globals(_allow_list()):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise CheckpointError(f"{path}: refused, not a plain checkpoint: {_reason(path, error)}") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"{path}: refused, not a plain checkpoint: no dictionary")
    if "state_dict" in checkpoint and not _are_tensors(checkpoint["state_dict"]):
        raise _no_tensors(path, checkpoint["state_dict"])
    return checkpoint


def _is_safetensors(path: str | Path) -> bool:
    """Whether a file begins like those of safetensors: the length of a header in JSON, then the header."""
    with open(path, "rb") as file:
        return file.read(10)[8:] == b'{"'


def _reason(path: str | Path, error: Exception) -> str:
    """Why a file is refused. Torch would advise to run the code in it (``weights_only=False``)."""
    text = str(error) or "no message"
    begins = f"{type(error).__name__}: {text.splitlines()[0]}"
    if isinstance(error, PermissionError | IsADirectoryError | MemoryError):
        return begins  # nothing is wrong with its content
    if instead := files.what_instead(path):
        return instead
    if "TorchScript" in text:
        return "a program (TorchScript): take the weights (state_dict) that it was made from"
    if code := re.search(r"GLOBAL (\S+)", text):
        return (
            f"it has {code[1]}, but only tensors and plain values are read, because other objects can run "
            "code: take the weights (state_dict) alone"
        )
    detail = "" if "weights_only" in text else f" ({begins})"
    return f"it is damaged, or torch.save did not write it: copy or download it again{detail}"


def _are_tensors(weights) -> bool:
    return isinstance(weights, dict) and all(isinstance(value, Tensor) for value in weights.values())


def _no_tensors(path: str | Path, weights) -> CheckpointError:
    others = ["state_dict"]
    if isinstance(weights, dict):
        others = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    names = ", ".join(map(str, others[:3]))
    return CheckpointError(f"{path}: refused, not a plain checkpoint: no tensors: {names}")


def read_weights(path: str | Path, say: Callable[[str], None] = print) -> dict[str, Tensor]:
    """The weights as the file names them, with the versions of the modules (``_metadata``) if it has them.

    They are under ``state_dict``, as mmdet reads them; else they are the whole file, or the only dictionary
    of tensors in it (``model``, ``ema_state_dict``).

    Args:
        path: of the checkpoint.
        say: takes a line where the file has other weights, too, or has them under another name.

    Raises:
        CheckpointError: see ``read_checkpoint``; or there is something else than a tensor among them, or
            several dictionaries of tensors could be meant.
    """
    checkpoint = read_checkpoint(path)
    if "state_dict" in checkpoint:
        if "ema_state_dict" in checkpoint:
            say(f"{path}: the weights of 'state_dict' are taken, as in mmdet, not those of 'ema_state_dict'")
        return checkpoint["state_dict"]
    if _are_tensors(checkpoint):
        return checkpoint
    found = [name for name, value in checkpoint.items() if _are_tensors(value) and value]
    if not found:
        raise _no_tensors(path, checkpoint)
    if len(found) > 1:
        raise CheckpointError(
            f"{path}: refused: weights under {', '.join(map(repr, found))}, and none under 'state_dict': "
            "write those that are meant into a file of their own"
        )
    say(f"{path}: the weights are taken from {found[0]!r}")
    weights = checkpoint[found[0]]
    if found[0] == "ema_state_dict":
        weights.pop("steps", None)  # mmengine counts there how often it has averaged
    return weights
