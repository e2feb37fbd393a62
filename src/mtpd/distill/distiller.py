"""The distiller: an mmdet detector that learns from frozen teachers."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from mtpd.data.views import View
from mtpd.detectors import configs, taps
from mtpd.distill.losses import LOSSES


class TeacherLink(nn.Module):
    """What is trained between the student and one teacher: adaptors, and the learnt parts of the loss."""

    def __init__(
        self, pairs: list[tuple[taps.Tap, taps.Tap]], loss: str, options: dict[str, float], adaptors: str
    ):
        super().__init__()
        self.student_taps, self.teacher_taps = (list(side) for side in zip(*pairs, strict=True))
        self.adaptors = nn.ModuleList(_adaptor(s.channels, t.channels, adaptors) for s, t in pairs)
        self.loss = LOSSES[loss]([t.channels for _, t in pairs], **options)

    def forward(
        self, student: dict[str, Tensor], teacher: dict[str, Tensor], boxes: list[Tensor]
    ) -> dict[str, Tensor]:
        target = taps.read(teacher, self.teacher_taps)
        source = taps.read(student, self.student_taps)
        adapted = [
            taps.on_grid(adapt(s), t) for adapt, s, t in zip(self.adaptors, source, target, strict=True)
        ]
        return self.loss(adapted, target, boxes)


def _adaptor(own: int, theirs: int, kind: str) -> nn.Module:
    """What maps the student's channels to the teacher's; ``kind`` is ``loss.adaptors`` of the recipe."""
    if kind == "where-needed" and own == theirs:
        return nn.Identity()
    adaptor = nn.Conv2d(own, theirs, 1)
    if kind == "from-identity" and own == theirs:
        nn.init.dirac_(adaptor.weight)
        nn.init.zeros_(adaptor.bias)
    return adaptor


def _strides(found: Iterable[taps.Tap]) -> list[int]:
    return [tap.stride for tap in found]


def _relative(samples: list, shape) -> list[Tensor]:
    """Each image's boxes (x1, y1, x2, y2), as fractions of the batch's width and height, padding included."""
    given = [sample.gt_instances.bboxes for sample in samples]
    pixels = [boxes if isinstance(boxes, Tensor) else boxes.tensor for boxes in given]
    size = torch.tensor([shape[3], shape[2], shape[3], shape[2]], dtype=pixels[0].dtype)
    size = size.to(pixels[0].device, non_blocking=True)  # a GPU would stop for a copy that blocks
    return [boxes / size for boxes in pixels]


def _same_images(student: nn.Module, teacher: nn.Module) -> bool:
    """Whether two preprocessors make the same of an image; then it is made once."""
    if type(student) is not type(teacher):
        return False
    plain = ("_enable_normalize", "_channel_conversion", "pad_value")
    return all(getattr(student, name) == getattr(teacher, name) for name in plain) and all(
        torch.equal(ours, theirs) for ours, theirs in zip(student.buffers(), teacher.buffers(), strict=True)
    )


class Preprocessor(nn.Module):
    """The student's preprocessing, and each teacher's own view of the same images."""

    def __init__(self, student: nn.Module, teachers: list[nn.Module], scales: list[float]):
        super().__init__()
        self.student = student.data_preprocessor
        given = zip(teachers, scales, strict=True)
        self.teachers = nn.ModuleList(View(teacher.data_preprocessor, scale) for teacher, scale in given)
        self.as_the_student = [
            view.scale == 1 and _same_images(self.student, view.preprocessor) for view in self.teachers
        ]

    def forward(self, data: dict, training: bool = False) -> dict:
        if not training:
            return self.student(data, training)
        found = self.student({name: data[name] for name in ("inputs", "data_samples")}, training)
        size = found["inputs"].shape[2:]
        views = zip(self.teachers, self.as_the_student, strict=True)
        seen = [found["inputs"] if same else view(data, size) for view, same in views]
        return {**found, "teacher_inputs": seen}


class Distiller(BaseModel):
    """Student, frozen teachers and their links; the loss is the student's plus the mean of the links'.

    The teachers are not submodules: they are never trained, saved, wrapped by DDP, or put in train mode.

    Args:
        student: an mmdet detector.
        teachers: mmdet detectors with their weights; moved to ``device``.
        loss: key of ``LOSSES``.
        options: keyword arguments of the loss.
        student_modules: names of the student's modules to read; None finds them.
        teacher_modules: names of the modules to read of each teacher; by default, they are found.
        scales: scale of the images that each teacher sees, relative to the student's; a batch has them at
            every scale (``mtpd.data.views``).
        device: of the teachers (the runner moves the student).
        adaptors: ``where-needed`` (where the numbers of channels differ), ``always``, or ``from-identity``
            (always; where the numbers are equal, they begin as the identity).
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: list[nn.Module],
        loss: str,
        options: dict[str, float],
        *,
        student_modules: list[str] | None = None,
        teacher_modules: list[list[str] | None] | None = None,
        scales: list[float] | None = None,
        device: str = "cpu",
        adaptors: str = "where-needed",
    ):
        super().__init__(Preprocessor(student, teachers, scales or [1.0] * len(teachers)))
        self.student = student
        self.observer = None  # called once, with the losses of the next batch and the student's features
        frozen = tuple(teacher.to(device).eval().requires_grad_(False) for teacher in teachers)
        object.__setattr__(self, "teachers", frozen)
        student_taps = taps.find_taps(student, student_modules)
        given = zip(teachers, teacher_modules or [None] * len(teachers), strict=True)
        self.links = nn.ModuleList(
            self._link(student_taps, teacher, taps.find_taps(teacher, modules), loss, options, adaptors)
            for teacher, modules in given
        )

    def _link(
        self,
        student_taps: list[taps.Tap],
        teacher: nn.Module,
        teacher_taps: list[taps.Tap],
        loss: str,
        options: dict[str, float],
        adaptors: str,
    ) -> TeacherLink:
        pairs = taps.pair_by_stride(student_taps, teacher_taps)
        print_log(
            f"distillation at strides {_strides(tap for tap, _ in pairs)}; the student has "
            f"{_strides(student_taps)}, the teacher {_strides(teacher_taps)}",
            "current",
        )
        kind = configs.kind(self.student)
        if kind in configs.UNPUBLISHED and not options:
            print_log(
                f"warning: the authors of {loss} have published no weights for students of kind {kind}: "
                "those for anchor-based students are taken; set loss.options of the recipe",
                "current",
                logging.WARNING,
            )
        defaults = LOSSES[loss].defaults(kind, configs.kind(teacher))
        return TeacherLink(pairs, loss, {**defaults, **options}, adaptors)

    def forward(self, inputs, data_samples=None, mode="tensor", teacher_inputs=()):
        if mode != "loss":
            return self.student(inputs, data_samples, mode)
        modules = {tap.module for link in self.links for tap in link.student_taps}
        with taps.recorded(self.student, modules) as features:
            losses = self.student(inputs, data_samples, mode="loss")
        boxes = _relative(data_samples, inputs.shape)
        joined = zip(self.links, self.teachers, teacher_inputs, strict=True)
        for number, (link, teacher, images) in enumerate(joined, 1):
            taught = self._teacher_features(link, teacher, images)
            for name, value in link(features, taught, boxes).items():
                losses[f"distill_{name}"] = losses.get(f"distill_{name}", 0) + value / len(self.links)
            prefix = "teacher_sd" if len(self.links) == 1 else f"teacher_sd_{number}"
            for tap, level in zip(link.teacher_taps, taps.read(taught, link.teacher_taps), strict=True):
                losses[f"{prefix}_{tap.stride}"] = level.float().std()  # logged; not a loss
        if self.observer:
            observe, self.observer = self.observer, None
            compared = list(dict.fromkeys(tap for link in self.links for tap in link.student_taps))
            observe(losses, taps.read(features, compared))
        return losses

    @staticmethod
    def _teacher_features(link: TeacherLink, teacher: nn.Module, images: Tensor) -> dict[str, Tensor]:
        # no_grad, not inference_mode: the backward pass of the student needs these features.
        with torch.no_grad(), taps.recorded(teacher, {tap.module for tap in link.teacher_taps}) as features:
            teacher.extract_feat(images)
        return features
