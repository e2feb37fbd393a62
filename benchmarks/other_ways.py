"""A distillation step with MGD against the way of its authors' toolkit; one teacher for several students."""

from __future__ import annotations

import copy

import torch
from torch import nn

from benchmarks import models, pairing
from benchmarks.distillation_step import DEMO, REAL, Parts, smallest

STUDENTS = 3  # that share a teacher


def measure(small: bool = False):
    pairs = (smallest(DEMO),) if small else (DEMO, REAL)
    for what, student, teacher, size, _, rounds in pairs:
        detectors = [models.detector(name) for name in (student, teacher)]
        parts = Parts(*copy.deepcopy(detectors), "mgd", models.batch(*size))
        yield authors(what, parts, Buffered(*detectors, models.batch(*size)), rounds)
        yield shared(what, parts, rounds)


def authors(what, parts, buffered, rounds):
    ratios = pairing.side_by_side(
        lambda: pairing.cpu_seconds(parts.whole), lambda: pairing.cpu_seconds(buffered.whole), rounds
    )
    name = f"distillation step, {what}: mgd"
    return pairing.Row(name, "with hooks that fill buffers, as its authors do", ratios, "1")


def shared(what, parts, rounds):
    """What one forward pass of the teacher for several students would save at best."""
    alone = [lambda: pairing.cpu_seconds(parts.whole)] * STUDENTS
    together = [parts.teacher_forward, *[parts.student_step, parts.loss] * STUDENTS]
    ratios = pairing.side_by_side(
        lambda: sum(map(pairing.cpu_seconds, together)), lambda: sum(run() for run in alone), rounds
    )
    name = f"{STUDENTS} students of one teacher, {what}: mgd, one forward pass of the teacher for all"
    return pairing.Row(name, "each with its own", ratios)


class Buffered:
    """Student and teacher write what their neck gives into buffers; then the losses of all levels are summed.

    As the toolkit of MGD's authors is built (https://github.com/yzd-v/MGD): a hook at each convolution, a
    module for each level with its mask, its generator and, where channels differ, a 1x1 convolution.
    """

    def __init__(self, student, teacher, batch):
        self.student, self.teacher, self.batch = student.train(), teacher.eval(), batch
        self.kept = nn.Module()
        self.levels = nn.ModuleList()
        convolutions = zip(student.neck.fpn_convs, teacher.neck.fpn_convs, strict=True)
        for number, (own, its) in enumerate(convolutions):
            own.register_forward_hook(self._keep(f"student_{number}"))
            its.register_forward_hook(self._keep(f"teacher_{number}"))
            self.levels.append(Level(own.conv.out_channels, its.conv.out_channels))

    def _keep(self, name):
        return lambda module, inputs, output: self.kept.register_buffer(name, output)

    def whole(self):
        data = self.student.data_preprocessor(copy.deepcopy(self.batch), training=True)
        losses = self.student(**data, mode="loss")
        with torch.no_grad():
            self.teacher.extract_feat(data["inputs"])
        for number, level in enumerate(self.levels):
            own, its = (getattr(self.kept, f"{side}_{number}") for side in ("student", "teacher"))
            losses[f"loss_mgd_{number}"] = level(own, its)
        self.student.parse_losses(losses)[0].backward()
        self.student.zero_grad()
        self.levels.zero_grad()


class Level(nn.Module):
    """MGD at one level."""

    def __init__(self, own: int, its: int):
        super().__init__()
        self.align = nn.Conv2d(own, its, 1) if own != its else None
        self.generate = nn.Sequential(
            nn.Conv2d(its, its, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(its, its, 3, padding=1)
        )

    def forward(self, own, its):
        own = self.align(own) if self.align else own
        count, _, height, width = own.shape
        hidden = torch.rand(count, 1, height, width) > 1 - 0.65
        masked = own * torch.where(hidden, 0.0, 1.0)
        return nn.functional.mse_loss(self.generate(masked), its, reduction="sum") / count * 2e-5
