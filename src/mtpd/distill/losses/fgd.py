"""Focal and global distillation, FGD (Yang et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtpd.distill.losses.precision import full


class FGD(nn.Module):
    """Attention-weighted error in foreground and background, attention difference, and global-context error.

    The default weights are the authors' for one-stage students (RetinaNet, GFL). They multiply sums that are
    divided by N only, so they suit 256 channels at 1333x800.

    Args:
        channels: the teacher's channels by level.
        alpha: of the error inside boxes.
        beta: of the error outside them.
        gamma: of the difference between the attention maps.
        lambda_: of the error of global context.
        tau: temperature of the attention.
    """

    def __init__(
        self,
        channels: list[int],
        alpha: float = 1e-3,
        beta: float = 5e-4,
        gamma: float = 5e-4,
        lambda_: float = 5e-6,
        tau: float = 0.5,
    ):
        super().__init__()
        self.alpha, self.beta, self.gamma, self.lambda_, self.tau = alpha, beta, gamma, lambda_, tau
        self.student_context = nn.ModuleList(map(GlobalContext, channels))
        self.teacher_context = nn.ModuleList(map(GlobalContext, channels))

    @staticmethod
    def defaults(student: str, teacher: str) -> dict[str, float]:
        if student == "two-stage":
            return {"alpha": 5e-5, "beta": 2.5e-5, "gamma": 5e-5, "lambda_": 5e-7}
        if student in ("point", "fcos"):
            tau = 0.8 if student == "fcos" else 0.5
            return {"alpha": 1.6e-3, "beta": 8e-4, "gamma": 8e-4, "lambda_": 8e-6, "tau": tau}
        return {}

    def forward(self, student: list[Tensor], teacher: list[Tensor], boxes: list[Tensor]) -> dict[str, Tensor]:
        """Features by level, N x C x H x W, of equal shapes; boxes as fractions of the image's sides."""
        terms = {"loss_fgd_front": 0, "loss_fgd_back": 0, "loss_fgd_attention": 0, "loss_fgd_global": 0}
        contexts = zip(self.student_context, self.teacher_context, strict=True)
        for s, t, (of_s, of_t) in zip(student, teacher, contexts, strict=True):
            n = s.shape[0]
            error = (of_s(s) - of_t(t)).square().sum()
            s, t = full(s), full(t)
            places_s, channels_s = attention(s, self.tau)
            places_t, channels_t = attention(t, self.tau)
            front, back = masks(boxes, s)
            weighted = (t - s).square() * places_t * channels_t
            difference = (places_t - places_s).abs().sum() + (channels_t - channels_s).abs().sum()
            terms["loss_fgd_front"] += self.alpha * (weighted * front).sum() / n
            terms["loss_fgd_back"] += self.beta * (weighted * back).sum() / n
            terms["loss_fgd_attention"] += self.gamma * difference / n
            terms["loss_fgd_global"] += self.lambda_ * error / n
        return terms


def attention(x: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Over positions, N x 1 x H x W with mean 1, and over channels, N x C x 1 x 1 with mean 1."""
    n, c, h, w = x.shape
    places = h * w * (x.abs().mean(1).flatten(1) / tau).softmax(1).view(n, 1, h, w)
    return places, c * (x.abs().mean((2, 3), keepdim=True) / tau).softmax(1)


def masks(boxes: list[Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
    """Foreground and background as in the authors' ``FeatureLoss``.

    Args:
        boxes: of each image, n x 4, as fractions of its sides.
        like: N x C x H x W.

    Returns:
        ``_foreground`` of each image; and 1 / (cells outside its boxes), 0 inside. Both N x 1 x H x W.
    """
    front = torch.stack([_foreground(of_image, like)[None] for of_image in boxes])
    outside = (front == 0).to(like.dtype)
    return front, outside / outside.sum((2, 3), keepdim=True).clamp(min=1)


def _foreground(boxes: Tensor, like: Tensor) -> Tensor:
    """1 / (cells of the box), the largest where boxes overlap, 0 outside: H x W.

    A box covers the cells from the floor of its minimum to the ceiling of its maximum, both included. Its
    number of cells counts also those beyond the grid: a row more for a box that reaches the lower border.
    No value is read back to Python, for which a GPU would have to wait.
    """
    h, w = like.shape[2:]
    if not len(boxes):
        return like.new_zeros(h, w)
    left, top, right, bottom = boxes.T[:, :, None]
    first_row, last_row = (top * h).floor(), (bottom * h).ceil()
    first_column, last_column = (left * w).floor(), (right * w).ceil()
    rows, columns = (torch.arange(side, device=boxes.device) for side in (h, w))
    in_rows = (rows >= first_row) & (rows <= last_row)
    in_columns = (columns >= first_column) & (columns <= last_column)
    weight = 1 / ((last_row + 1 - first_row) * (last_column + 1 - first_column))
    covered = in_rows[:, :, None] & in_columns[:, None, :]
    return torch.where(covered, weight[:, :, None], 0).amax(0).to(like.dtype)


class GlobalContext(nn.Module):
    """F + W2 ReLU(LN(W1 sum over positions of softmax(Wk F) F)), a GC block.

    It starts as in the authors' ``FeatureLoss.reset_parameters``, so as the identity.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weigh = nn.Conv2d(channels, 1, 1)
        self.squeeze = nn.Linear(channels, channels // 2)
        self.norm = nn.LayerNorm(channels // 2)
        self.expand = nn.Linear(channels // 2, channels)
        nn.init.kaiming_normal_(self.weigh.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.weigh.bias)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.squeeze.weight.dtype)
        weights = self.weigh(x).flatten(2).softmax(2)
        context = (x.flatten(2) * weights).sum(2)
        added = self.expand(torch.relu(self.norm(self.squeeze(context))))
        return full(x) + full(added)[:, :, None, None]


LOSS = FGD
