"""The moving average of the student's weights over a stage, which is what is scored and published."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from mmdet.models.layers import ExpMomentumEMA
from mmengine.hooks import Hook
from torch import Tensor, nn

from mtpd.training.models import student_of


class AverageWeights(Hook):
    """Averages parameters and buffers after every step, with mmdet's ``ExpMomentumEMA``.

    Validation sees the average. When the training ends, the student has the average. Teachers, adaptors and
    learnt parts of the loss are not averaged.

    Args:
        momentum: weight of the newest weights, late in training.
        gamma: steps in which the momentum, nearly 1 at the first step, falls by a factor e towards that.
    """

    def __init__(self, momentum: float, gamma: int):
        self.momentum, self.gamma = momentum, gamma

    def before_run(self, runner) -> None:
        """Before the state is loaded."""
        self.student = student_of(runner.model)
        self.average = ExpMomentumEMA(self.student, self.momentum, self.gamma, update_buffers=True)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.average.update_parameters(self.student)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["average"] = self.average.state_dict()

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self.average.load_state_dict(checkpoint["average"])

    def before_val_epoch(self, runner) -> None:
        self._exchange()

    def after_val_epoch(self, runner, metrics=None) -> None:
        self._exchange()

    def after_train(self, runner) -> None:
        self.student.load_state_dict(self.average.module.state_dict())

    def _exchange(self) -> None:
        """In place: the optimiser and the processes of a job know the tensors of the student."""
        for own, average in zip(_tensors(self.student), _tensors(self.average.module), strict=True):
            kept = own.detach().clone()
            own.data.copy_(average.data)
            average.data.copy_(kept)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers, each once: in ``state_dict``, a tensor that layers share has several names."""
    return chain(module.parameters(), module.buffers())
