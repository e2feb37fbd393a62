"""Masked generative distillation, MGD (Yang et al., ECCV 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtpd.distill.losses.precision import full


class MGD(nn.Module):
    """``alpha * sum over levels of ||G(a(S) * m) - T||^2 / N``, G = conv3x3 - ReLU - conv3x3.

    m, N x 1 x H x W, is 0 with probability ``mask_ratio``, drawn at each step and level, shared by all
    channels, without rescaling. The sum is divided by N only, so ``alpha`` suits one geometry: 2e-5 (the
    authors', one-stage students) suits 256 channels at 1333x800, where it equals about 114 times the mean.

    Args:
        channels: the teacher's channels by level.
        alpha: weight of the summed squared error.
        alpha_mean: weight of the *mean* squared error; if above 0, it replaces ``alpha``.
        mask_ratio: fraction of positions hidden from G (lambda in the paper).
    """

    def __init__(
        self, channels: list[int], alpha: float = 2e-5, mask_ratio: float = 0.65, alpha_mean: float = 0.0
    ):
        super().__init__()
        self.alpha, self.mask_ratio, self.alpha_mean = alpha, mask_ratio, alpha_mean
        self.generators = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(c, c, 3, padding=1))
            for c in channels
        )

    @staticmethod
    def defaults(student: str, teacher: str) -> dict[str, float]:
        return {"alpha": 5e-7, "mask_ratio": 0.45} if student == "two-stage" else {}

    def forward(self, student: list[Tensor], teacher: list[Tensor], boxes=None) -> dict[str, Tensor]:
        """Features by level, each N x C x H x W, of equal shapes."""
        levels = zip(self.generators, student, teacher, strict=True)
        return {"loss_mgd": sum(self._level(generate, s, t) for generate, s, t in levels)}

    def _level(self, generate: nn.Module, s: Tensor, t: Tensor) -> Tensor:
        n, _, h, w = s.shape
        keep = (torch.rand(n, 1, h, w, device=s.device) >= self.mask_ratio).to(s.dtype)
        error = (full(generate(s * keep)) - full(t)).square()
        return self.alpha_mean * error.mean() if self.alpha_mean else self.alpha * error.sum() / n


LOSS = MGD
