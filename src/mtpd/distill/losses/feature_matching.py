"""Feature matching, as in FitNets (Romero et al., ICLR 2015)."""

from __future__ import annotations

from torch import Tensor, nn

from mtpd.distill.losses.precision import full


class FeatureMatching(nn.Module):
    """``weight * sum over levels of mean((a(S) - T)^2)``.

    Args:
        channels: the teacher's channels by level (not needed here).
        weight: of every level.
    """

    def __init__(self, channels: list[int], weight: float = 1.0):
        super().__init__()
        self.weight = weight

    @staticmethod
    def defaults(student: str, teacher: str) -> dict[str, float]:
        return {}

    def forward(self, student: list[Tensor], teacher: list[Tensor], boxes=None) -> dict[str, Tensor]:
        """Features by level, each N x C x H x W, of equal shapes."""
        terms = [(full(s) - full(t)).square().mean() for s, t in zip(student, teacher, strict=True)]
        return {"loss_feature_matching": self.weight * sum(terms)}


LOSS = FeatureMatching
