"""The inheriting strategy: stage 1 starts from the teacher's neck and heads, where they fit."""

from __future__ import annotations

from torch import Tensor, nn


def inherit(student: nn.Module, teacher: dict[str, Tensor]) -> dict[str, list[str]]:
    """Copy every teacher weight outside the backbone into the student, skipping shapes that differ.

    Returns:
        Names by what became of them: ``inherited``, ``skipped`` (shape differs), ``absent`` (in the student).
    """
    own = student.state_dict()
    report: dict[str, list[str]] = {"inherited": [], "skipped": [], "absent": []}
    for name, weight in teacher.items():
        if name.startswith(("backbone.", "data_preprocessor.")):
            continue
        fate = "absent" if name not in own else "inherited" if own[name].shape == weight.shape else "skipped"
        report[fate].append(name)
    student.load_state_dict({name: teacher[name] for name in report["inherited"]}, strict=False)
    return report
