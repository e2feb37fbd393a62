"""The inheriting strategy: stage 1 starts from the teacher's neck and heads where they fit."""

from __future__ import annotations

import re

from torch import Tensor, nn

# A cascade has several heads, numbered; number 0 becomes the only head of a two-stage student.
CASCADE_HEAD = re.compile(r"^roi_head\.(bbox_head|mask_head)\.(\d+)\.")


class InheritError(ValueError):
    """No tensor of the teacher fits the student."""


def inherit(student: nn.Module, teacher: dict[str, Tensor], per_class: set[str] = frozenset()) -> dict:
    """Copy every teacher weight outside the backbone into the student, where names and shapes agree.

    The first heads of a cascade become those of a two-stage student; a class-agnostic box regression (4 rows)
    is repeated for every class of the student, in mmdet's order (class by class).

    Args:
        student: changed in place.
        teacher: the teacher's weights.
        per_class: names not to copy, because teacher and student do not have the same classes.

    Returns:
        Names of the student's tensors by what was done with them: ``inherited``, ``tiled``, ``skipped``
        (different shape), ``other_classes``; and ``absent``, tensors that only the teacher has.

    Raises:
        InheritError: no tensor fits.
    """
    own = student.state_dict()
    report: dict[str, list[str]] = {
        outcome: [] for outcome in ("inherited", "tiled", "skipped", "other_classes", "absent")
    }
    taken = {}
    for name, weight in _for_student(teacher, own).items():
        outcome = _outcome(name, weight, own, per_class)
        report[outcome].append(name)
        if outcome == "tiled":
            weight = weight.repeat(len(own[name]) // len(weight), *[1] * (weight.dim() - 1))
        if outcome in ("inherited", "tiled"):
            taken[name] = weight
    if not taken:
        raise InheritError(f"nothing to inherit: {_counts(report)}; set inherit: none in the recipe")
    student.load_state_dict(taken, strict=False)
    return report


def _counts(report: dict[str, list[str]]) -> str:
    """How many tensors have each outcome, with the first three names."""
    return "; ".join(
        f"{len(names)} {outcome} ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
        for outcome, names in report.items()
        if names
    )


def _for_student(teacher: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The teacher's weights outside the backbone, with the names that they have in the student."""
    cascaded = any(map(CASCADE_HEAD.match, teacher)) and not any(map(CASCADE_HEAD.match, own))
    renamed = {}
    for name, weight in teacher.items():
        if name.startswith(("backbone.", "data_preprocessor.")):
            continue
        head = CASCADE_HEAD.match(name)
        if head and cascaded:
            # Heads 1 and 2 keep their number, so they match no name of the student.
            name = CASCADE_HEAD.sub(r"roi_head.\1.", name) if head[2] == "0" else name
        renamed[name] = weight
    return renamed


def _outcome(name: str, weight: Tensor, own: dict[str, Tensor], per_class: set[str]) -> str:
    if name not in own:
        return "absent"
    if name in per_class:
        return "other_classes"
    if own[name].shape == weight.shape:
        return "inherited"
    regression = ".bbox_head.fc_reg." in name and len(weight) == 4 and len(own[name]) % 4 == 0
    if regression and own[name].shape[1:] == weight.shape[1:]:
        return "tiled"
    return "skipped"
