"""Sums of squares overflow in half precision, so losses compute in float32 at least."""

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
