"""Distillation by Pearson correlation, PKD (Cao et al., NeurIPS 2022)."""

from __future__ import annotations

from torch import Tensor, nn

from mtpd.distill.losses.precision import full

EPS = 1e-6


class PKD(nn.Module):
    """``weight * sum over levels of 0.5 * mean((norm(S) - norm(T))^2)``, which is 1 - Pearson's r.

    ``norm`` standardises every channel over N, H and W, so the loss has no scale.

    Args:
        channels: the teacher's channels by level (not needed here).
        weight: of every level; 6 for two-stage teachers, 10 for one-stage ones in the original.
    """

    def __init__(self, channels: list[int], weight: float = 10.0):
        super().__init__()
        self.weight = weight

    @staticmethod
    def defaults(student: str, teacher: str) -> dict[str, float]:
        return {"weight": 6.0} if teacher == "two-stage" else {}

    def forward(self, student: list[Tensor], teacher: list[Tensor], boxes=None) -> dict[str, Tensor]:
        """Features by level, each N x C x H x W, of equal shapes."""
        levels = zip(student, teacher, strict=True)
        terms = [(_standardise(s) - _standardise(t)).square().mean() / 2 for s, t in levels]
        return {"loss_pkd": self.weight * sum(terms)}


def _standardise(x: Tensor) -> Tensor:
    x = full(x)
    mean = x.mean((0, 2, 3), keepdim=True)
    return (x - mean) / (x.std((0, 2, 3), keepdim=True, correction=0) + EPS)


LOSS = PKD
