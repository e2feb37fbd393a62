"""A distillation step against its parts: the student's step, the teacher's forward pass, the loss."""

from __future__ import annotations

import copy

import torch

from benchmarks import models, pairing
from mtpd.detectors import taps
from mtpd.distill.distiller import Distiller
from mtpd.distill.losses import LOSSES

DEMO = ("demo's pair, 128 x 128, batch of 4", "r18_w4", "swin_w32", (4, 128, 128), "1.05", 12)
REAL = (
    "RetinaNet R50 under X101-32x4d, 416 x 256, batch of 2",
    "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
    "mmdet::retinanet/retinanet_x101-32x4d_fpn_1x_coco.py",
    (2, 416, 256),
    "1.03",
    5,
)


def measure(small: bool = False):
    for loss in LOSSES:
        yield from rows(*(smallest(DEMO) if small else DEMO), loss)
    for loss in () if small else ("pkd", "mgd", "fgd"):
        yield from rows(*REAL, loss)


def smallest(pair: tuple) -> tuple:
    """The same detectors on one small image, once."""
    what, student, teacher, _, bar, _ = pair
    return what, student, teacher, (1, 64, 64), bar, 0


def rows(what, student, teacher, size, bar, rounds, loss):
    step = Parts(models.detector(student), models.detector(teacher), loss, models.batch(*size))
    parts = (step.student_step, step.teacher_forward, step.loss)
    ratios = pairing.side_by_side(
        lambda: pairing.cpu_seconds(step.whole), lambda: sum(map(pairing.cpu_seconds, parts)), rounds
    )
    yield pairing.Row(f"distillation step, {what}: {loss}", "its parts, summed", ratios, bar)
    # Other programs on the machine change times, but not these.
    counts = map(pairing.operators, (step.whole, *parts))
    kinds = ("operators of torch in this step", "elements that they are given")
    for kind, (whole, *alone) in zip(kinds, zip(*counts, strict=True), strict=True):
        yield pairing.Row(f"{kind}: {whole:,}", f"in its parts: {sum(alone):,}", [whole / sum(alone)], bar)


class Parts:
    """A step and its parts, on the same batch."""

    def __init__(self, student, teacher, loss, batch):
        self.alone, self.batch = copy.deepcopy(student).train(), batch
        self.distiller = Distiller(student, [teacher], loss, {}).train()
        self.teacher, self.link = teacher, self.distiller.links[0]
        data = self.distiller.data_preprocessor(copy.deepcopy(batch), training=True)
        features = self._features(student, [tap.module for tap in self.link.student_taps], data["inputs"])
        self.given = {name: value.detach().requires_grad_() for name, value in features.items()}
        modules = [tap.module for tap in self.link.teacher_taps]
        self.taught = self._features(teacher, modules, data["teacher_inputs"][0])
        height, width = data["inputs"].shape[2:]
        side = torch.tensor([width, height, width, height])
        self.boxes = [s.gt_instances.bboxes / side for s in data["data_samples"]]

    @staticmethod
    @torch.no_grad()
    def _features(detector, modules, inputs):
        with taps.recorded(detector, set(modules)) as features:
            detector.extract_feat(inputs)
        return dict(features)

    def whole(self):
        self._train(self.distiller)

    def student_step(self):
        self._train(self.alone)

    def _train(self, model):
        data = model.data_preprocessor(copy.deepcopy(self.batch), training=True)
        losses = model(**data, mode="loss")
        model.parse_losses(losses)[0].backward()
        model.zero_grad()

    def teacher_forward(self):
        inputs = self.teacher.data_preprocessor(copy.deepcopy(self.batch), False)["inputs"]
        with torch.no_grad():
            self.teacher.extract_feat(inputs)

    def loss(self):
        sum(self.link(self.given, self.taught, self.boxes).values()).backward()
        for value in self.given.values():
            value.grad = None
        self.link.zero_grad()  # as in the whole step
