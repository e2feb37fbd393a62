"""What shows, at the start of a stage, that its student learns from its teachers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor

from mtpd import files
from mtpd.distill.distiller import Distiller
from mtpd.job import preflight_text
from mtpd.job.errors import NoDistillationError
from mtpd.training.history import imbalance
from mtpd.training.settings import Stage

# Gradients in half precision below 6e-8 are rounded to zero, so the loss is scaled. Those above 65504 become
# infinite, then the scale is lowered. Both are as in training.
HALF_PRECISION_SCALES = (2.0**16, 2.0**8, 1.0)


def facts(stage: Stage, model: BaseModel, took: dict[str, dict]) -> dict:
    """What student and teachers start from.

    Args:
        stage: what is trained.
        model: its student, alone or in a distiller; every tensor of a checkpoint fits, or it was refused.
        took: of ``models.student_and_teachers``.
    """
    student = getattr(model, "student", model)
    own = student.state_dict()
    taken = [name for outcome in ("inherited", "tiled") for name in took["inherited"].get(outcome, ())]
    return {
        "student": {
            "tensors": len(own),
            "parent": stage.parent,
            "initial": stage.initial_weights,
            "started": len(took["initial"].get("taken", ())),
            "inherits": stage.inherited_weights if stage.inherits else None,
            "inherited": len(taken),
            "inherited_share": sum(own[name].numel() for name in taken) / sum(map(torch.numel, own.values())),
        },
        "teachers": [
            {
                "weights": path,
                "AP": _measured_ap(path),
                "tensors": len(teacher.state_dict()),
                "levels": [
                    [{"stride": tap.stride, "channels": tap.channels} for tap in pair]
                    for pair in zip(link.student_taps, link.teacher_taps, strict=True)
                ],
            }
            for path, teacher, link in zip(
                stage.teacher_weights, _parts(model, "teachers"), _parts(model, "links"), strict=True
            )
        ],
    }


def _parts(model: BaseModel, name: str):
    return getattr(model, name) if isinstance(model, Distiller) else ()


def _measured_ap(weights: str) -> float | None:
    """The AP that the workflow has measured; a stage does not wait for it."""
    path = Path(weights).with_name("metrics.json")
    return files.read_json(path)["bbox"]["AP"] if path.exists() else None


class Preflight(Hook):
    """Tells in the log what the stage starts from, and that the first batch distils; keeps it for a resume.

    Nothing of the training changes: no random number is drawn, and no gradient is kept.

    Args:
        model: student, alone or in a distiller.
        found: of ``facts``.
        folder: of the stage's state.
        say: gives a line of progress.

    Raises:
        NoDistillationError: distillation loss or gradient are zero or not finite.
    """

    def __init__(self, model: BaseModel, found: dict, folder: Path, say: Callable[[str], None]):
        self.model, self.found, self.path, self.say = model, found, folder / preflight_text.FILE, say

    def before_train(self, runner) -> None:
        if runner.iter:
            if self.path.exists():
                self._tell(files.read_json(self.path), "preflight, when the stage began")
        elif isinstance(self.model, Distiller):
            self.model.observer = self._look
        else:
            self._keep()

    def _look(self, losses: dict, features: list[Tensor]) -> None:
        """At the first batch. Args: its losses, the student's features that the teachers' are compared to."""
        _, means = self.model.parse_losses(losses)
        terms = {name: value for name, value in means.items() if "loss" in name and name != "loss"}
        distilled = sum(value for name, value in terms.items() if name.startswith("distill_"))
        detection = sum(value for name, value in terms.items() if not name.startswith("distill_"))
        self.found |= {
            "detection_loss": detection.item(),
            "distillation_loss": distilled.item(),
            "gradient": gradient_norm(distilled, features),
        }
        self._keep()
        _require_distillation(self.found)
        if warning := imbalance({name: value.item() for name, value in means.items()}):
            self.say(f"first batch: {warning}")

    def _keep(self) -> None:
        files.write_json(self.path, self.found)
        self._tell(self.found, "preflight")

    @staticmethod
    def _tell(found: dict, title: str) -> None:
        for line in preflight_text.lines(found):
            print_log(f"{title}: {line}", "current")


def gradient_norm(loss: Tensor, features: list[Tensor]) -> float | None:
    """The norm of the gradient of ``loss`` with respect to all of ``features``; the graph is kept.

    None where torch refuses: activation checkpointing (``with_cp``) lies between two of the features.
    """
    half = any(level.dtype == torch.float16 for level in features)
    norm = math.nan
    for scale in HALF_PRECISION_SCALES if half else (1.0,):
        try:
            found = torch.autograd.grad(loss * scale, features, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            if "use_reentrant" in str(error):
                return None
            raise
        norms = [level.double().norm() for level in found if level is not None]
        norm = float(torch.stack(norms).norm()) / scale if norms else 0.0
        if math.isfinite(norm):
            break
    return norm


def _require_distillation(found: dict) -> None:
    for name in ("distillation_loss", "gradient"):
        if found[name] is not None and not (math.isfinite(found[name]) and found[name] > 0):
            raise NoDistillationError(
                f"{preflight_text.first_batch(found)} with respect to the student's features: expected both "
                "of the distillation to be finite and above 0. The student would not learn from its teacher: "
                "look at loss.options of the recipe, at taps, and at the teacher's checkpoint"
            )
