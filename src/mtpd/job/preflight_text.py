"""What a stage's preflight found, in words. Needs no torch."""

from __future__ import annotations

FILE = "preflight.json"  # in the folder of the stage's state


def lines(found: dict) -> list[str]:
    """Lines for the log. Args: ``found``, of ``preflight.facts`` and of the first batch."""
    if not found["teachers"]:
        return [_student(found["student"]), "no teacher"]
    return [_student(found["student"]), *map(_teacher, found["teachers"]), first_batch(found)]


def in_short(found: dict) -> str:
    """One line for ``make status``; its losses are detection and distillation of the first batch."""
    share = found["student"]["inherited_share"]
    if not found["teachers"]:
        return "no teacher" + f"; inherited {share:.0%}" * bool(share)
    return (
        f"teacher: {', '.join(map(_ap, found['teachers']))}; inherited {share:.0%}; losses "
        f"{found['detection_loss']:.3g} + {found['distillation_loss']:.3g}, gradient {_gradient(found)}"
    )


def first_batch(found: dict) -> str:
    return (
        f"first batch: detection loss {found['detection_loss']:.3g}, distillation loss "
        f"{found['distillation_loss']:.3g}, its gradient {_gradient(found)}"
    )


def _gradient(found: dict) -> str:
    return "not measured (with_cp)" if found["gradient"] is None else f"{found['gradient']:.3g}"


def _student(student: dict) -> str:
    start = f"{student['tensors']} tensors loaded from {student['parent']}"
    if not student["parent"]:
        start = f"{student['tensors']} tensors, initialised as its config says"
    if student.get("initial"):  # a stage that began before there was such a key does not say
        start = f"{student['started']} of {student['tensors']} tensors loaded from {student['initial']}"
    if not student["inherits"]:
        return f"student: {start}; nothing inherited"
    return (
        f"student: {start}; {student['inherited']} of them ({student['inherited_share']:.0%} of the weights) "
        f"inherited from {student['inherits']}"
    )


def _teacher(teacher: dict) -> str:
    levels = "; ".join(
        f"{own['stride']}, {own['channels']} -> {other['stride']}, {other['channels']}"
        for own, other in teacher["levels"]
    )
    return (
        f"teacher {teacher['weights']}: {_ap(teacher)}, {teacher['tensors']} tensors loaded; "
        f"levels (stride, channels), student -> teacher: {levels}"
    )


def _ap(teacher: dict) -> str:
    return "AP not measured yet" if teacher["AP"] is None else f"AP {teacher['AP']:.1f}"
