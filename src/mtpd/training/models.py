"""What a stage trains: the student with the weights that it starts from, and its teachers."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel, revert_sync_batchnorm
from torch import nn

from mtpd.detectors import checkpoints, configs
from mtpd.detectors.inherit import inherit
from mtpd.detectors.initial import start_from
from mtpd.distill.distiller import Distiller
from mtpd.training.randomness import seed_everything
from mtpd.training.settings import Stage


def student_and_teachers(
    stage: Stage, config: Config, classes: tuple[str, ...], resuming: bool
) -> tuple[BaseModel, dict]:
    """The student with the weights it starts from, alone or in a distiller; and what it took from where.

    Returns:
        The model; and the names of the student's tensors by outcome, of ``inherited`` weights (see
        ``inherit``) and of ``initial`` ones (see ``start_from``).
    """
    seed_everything(*stage.position().values())
    student = configs.build(configs.with_local_backbones(config, stage.backbones))
    initial = {}
    if stage.parent:
        checkpoints.load_weights(student, stage.parent)
    elif not resuming:
        student.init_weights()
    if stage.initial:
        rows = stage.initial["class_rows"]
        initial = start_from(student, stage.initial_weights, stage.student, classes, rows)
    teachers = [
        checkpoints.load(spec, path, classes)
        for spec, path in zip(stage.teachers, stage.teacher_weights, strict=True)
    ]
    inherited = _inherit(stage, student, classes) if stage.inherits else {}
    took = {"inherited": inherited, "initial": initial}
    # SyncBN would take its statistics from all processes, so from several micro-batches. The names stay.
    student = revert_sync_batchnorm(student)
    _keep_weights(student)
    if not teachers:
        return student, took
    loss = stage.recipe["loss"]
    distiller = Distiller(
        student,
        teachers,
        loss=loss["name"],
        options=loss["options"],
        adaptors=loss["adaptors"],
        student_modules=stage.student["taps"],
        teacher_modules=[spec["taps"] for spec in stage.teachers],
        scales=stage.teacher_scales(),
        device=get_device(),
    )
    return distiller, took


def student_of(model: nn.Module) -> nn.Module:
    """The student of a runner's model, which may be in a distiller and in DDP."""
    model = getattr(model, "module", model)
    return getattr(model, "student", model)


def _inherit(stage: Stage, student: nn.Module, classes: tuple[str, ...]) -> dict:
    """Give the student the neck and heads of ``stage.inherits``; the names of the tensors, by outcome."""
    source = checkpoints.load(stage.inherits, stage.inherited_weights, classes)
    other = source.dataset_meta["classes"] != classes
    per_class = set(configs.class_dependent(stage.student, classes)) if other else set()
    return inherit(student, source.state_dict(), per_class)


def _keep_weights(student: nn.Module) -> None:
    """The runner calls init_weights() before training; it must not overwrite the weights of this stage.

    mmengine's mark of what is initialised is not enough: detectors of the DETR family draw weights anyway.
    """
    student.init_weights = lambda: None
