"""Fine-tuning: a detector starts from trained weights where they fit, also from those for other classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmdet.datasets import CocoDataset
from torch import Tensor, nn

from mtpd import files
from mtpd.detectors import checkpoints, configs

COCO = tuple(CocoDataset.METAINFO["classes"])
BACKBONE = "backbone."
LEAST_SHARE = 0.5  # of the backbone's numbers; with fewer, it is the checkpoint of another detector
NAMED = 3  # tensors of each kind in a message


def start_from(
    detector: nn.Module,
    path: str | Path,
    spec: dict,
    classes: tuple[str, ...],
    class_rows: bool = True,
    say: Callable[[str], None] = print,
) -> dict:
    """Load what fits of a checkpoint, as mmdet does with ``load_from``; the rest stays as it is.

    Layers with rows for each class stay as they are, too, if the checkpoint has other classes, except for
    the rows of classes of equal names. A checkpoint without names has COCO's if its layers have 80 classes.

    Args:
        detector: changed in place; its weights are drawn already.
        path: of the checkpoint.
        spec: what the detector was built from, for ``classes``.
        classes: names in the order of the detector's.
        class_rows: whether to take the rows of classes of equal names.
        say: takes a line of what was taken; and see ``checkpoints.load_what_fits``.

    Returns:
        Names of the detector's tensors by what was done with them: ``taken``, ``rows`` (of some classes);
        and of those that start anew: ``other_classes``, ``other_shape``, ``absent`` (from the file). The
        tensors that only the file has: ``unused``. The ``classes`` whose rows were taken; the file's
        ``sha256``.

    Raises:
        CheckpointError: less than half of the backbone fits; and see ``checkpoints.load_what_fits``.
    """
    names = checkpoints.classes_of_checkpoint(path) or COCO
    per_class = configs.class_dependent(spec, classes) if names != classes else {}
    own = detector.state_dict()  # the tensors themselves, not copies
    drawn = {name: own[name].clone() for name in per_class}
    with _asked_for(detector) as found:
        wrong, _ = checkpoints.load_what_fits(detector, path, say)
    for name, values in drawn.items():
        own[name].copy_(values)
    shared = [name for name in names if name in classes] if class_rows else []
    pairs = [(classes.index(name), names.index(name)) for name in shared]
    rows = {
        name
        for name, each in per_class.items()
        if pairs and name in found and _take_rows(name, own[name], found[name], each, pairs, classes, names)
    }
    report: dict[str, list[str]] = {
        outcome: [] for outcome in ("taken", "rows", "other_classes", "other_shape", "absent")
    }
    for name in own:
        report[_outcome(name, found, rows, per_class, wrong["misshapen"])].append(name)
    report["unused"] = wrong["unexpected"]
    say(f"{path}: {_counts(report)}")
    _require_backbone(path, own, report)
    return {**report, "classes": shared if rows else [], "sha256": files.known_sha256(path)}


@contextmanager
def _asked_for(detector: nn.Module) -> Iterator[dict[str, Tensor]]:
    """The tensors that a detector's modules look for while it loads a file that has them.

    Their names are those after mmdet's modules have renamed what older versions named otherwise.
    """
    found: dict[str, Tensor] = {}

    def look(module: nn.Module, weights: dict[str, Tensor], prefix: str, *_) -> None:
        for name in (*module._parameters, *module._buffers):
            if prefix + name in weights:
                found[prefix + name] = weights[prefix + name]

    handles = [module.register_load_state_dict_pre_hook(look) for module in detector.modules()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _outcome(name: str, found: dict, rows: set[str], per_class: dict, misshapen: list[str]) -> str:
    if name not in found:
        return "absent"
    if name in per_class:
        return "rows" if name in rows else "other_classes"
    return "other_shape" if name in misshapen else "taken"


def _take_rows(
    name: str,
    own: Tensor,
    theirs: Tensor,
    each: int,
    pairs: list[tuple[int, int]],
    classes: tuple[str, ...],
    names: tuple[str, ...],
) -> bool:
    """Copy the rows of classes of equal names, and of the background; whether it is known which these are.

    Args:
        name: of the tensor.
        own: of the detector; changed in place.
        theirs: of the checkpoint.
        each: rows of each class.
        pairs: the number of each such class in ``classes`` and in ``names``.
        classes: of the detector.
        names: of the checkpoint's classes.
    """
    to, taken = _rows(name, own, len(classes), each), _rows(name, theirs, len(names), each)
    if to is None or taken is None or own.shape[1:] != theirs.shape[1:]:
        return False
    background = len(to) - len(classes), len(taken) - len(names)
    if background[0] != background[1]:
        return False
    pairs = [*pairs, *[(len(classes), len(names))] * background[0]]
    ours, others = map(list, zip(*pairs, strict=True))
    own[to[ours].flatten()] = theirs[taken[others].flatten()].to(own.dtype)
    return True


def _rows(name: str, tensor: Tensor, classes: int, each: int) -> Tensor | None:
    """The numbers of the rows of each class, and of the background if it has rows: (classes, each).

    mmdet orders the rows of a classifier by anchor, those of a regression of boxes by class. None for any
    other tensor with more than one row for each class, and if it has another number of classes.
    """
    count, rest = divmod(len(tensor), each) if each > 0 and tensor.dim() else (0, 1)
    if rest or count - classes not in (0, 1):  # the background is the last class
        return None
    numbers = torch.arange(len(tensor))
    if each == 1 or "cls" in name:
        return numbers.reshape(each, count).T
    return numbers.reshape(count, each) if ".fc_reg." in name and count == classes else None


def _counts(report: dict[str, list[str]]) -> str:
    """How many tensors have each outcome; of those that were not taken as they are, the first names."""
    return "; ".join(
        f"{len(names)} {outcome.replace('_', ' ')}" + f" ({_listed(names)})" * (outcome != "taken")
        for outcome, names in report.items()
        if names
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + ", ..." * (len(names) > NAMED)


def _require_backbone(path: str | Path, own: dict[str, Tensor], report: dict[str, list[str]]) -> None:
    numbers = {name: tensor.numel() for name, tensor in own.items() if name.startswith(BACKBONE)}
    taken, total = sum(numbers.get(name, 0) for name in report["taken"]), sum(numbers.values())
    if taken < LEAST_SHARE * total:
        raise checkpoints.CheckpointError(
            f"{path}: found {taken / total:.0%} of the detector's backbone in it, expected at least "
            f"{LEAST_SHARE:.0%}: {_counts(report)}; take a checkpoint of a detector with this backbone, or "
            "leave out 'initial'"
        )
