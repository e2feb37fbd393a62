"""Channel-wise distillation, CWD (Shu et al., ICCV 2021)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import log_softmax

from mtpd.distill.losses.precision import full


class CWD(nn.Module):
    """``weight * tau^2 / (N C) * sum over levels of KL(p_T || p_S)``.

    p is each channel's softmax over positions at temperature ``tau``.

    Args:
        channels: the teacher's channels by level (not needed here).
        weight: of every level; 5 on four levels or 10 on five in the original.
        tau: temperature.
    """

    def __init__(self, channels: list[int], weight: float = 10.0, tau: float = 1.0):
        super().__init__()
        self.weight, self.tau = weight, tau

    @staticmethod
    def defaults(student: str, teacher: str) -> dict[str, float]:
        return {"weight": 5.0} if student == "two-stage" else {}

    def forward(self, student: list[Tensor], teacher: list[Tensor], boxes=None) -> dict[str, Tensor]:
        """Features by level, each N x C x H x W, of equal shapes."""
        levels = zip(student, teacher, strict=True)
        return {"loss_cwd": self.weight * sum(self._divergence(s, t) for s, t in levels)}

    def _divergence(self, s: Tensor, t: Tensor) -> Tensor:
        log_s, log_t = (log_softmax(full(x).flatten(2) / self.tau, dim=2) for x in (s, t))
        return self.tau**2 * (log_t.exp() * (log_t - log_s)).sum() / (s.shape[0] * s.shape[1])


LOSS = CWD
