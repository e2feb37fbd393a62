"""Mixed precision, on GPUs and CPUs."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from mmcv.ops.border_align import BorderAlignFunction
from mmcv.ops.carafe import CARAFEFunction, CARAFENaiveFunction
from mmcv.ops.deform_conv import DeformConv2dFunction
from mmcv.ops.deform_roi_pool import DeformRoIPoolFunction
from mmcv.ops.focal_loss import SigmoidFocalLossFunction, SoftmaxFocalLossFunction
from mmcv.ops.masked_conv import MaskedConv2dFunction
from mmcv.ops.modulated_deform_conv import ModulatedDeformConv2dFunction
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from mmcv.ops.nms import NMSop, SoftNMSop
from mmcv.ops.roi_align import RoIAlignFunction
from mmcv.ops.roi_pool import RoIPoolFunction
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import Tensor
from torch.autograd import Function

# mmcv's operators that mmdet's detectors use. They have no kernels for bfloat16.
WITHOUT_BFLOAT16 = (
    BorderAlignFunction,
    CARAFEFunction,
    CARAFENaiveFunction,
    DeformConv2dFunction,
    DeformRoIPoolFunction,
    MaskedConv2dFunction,
    ModulatedDeformConv2dFunction,
    MultiScaleDeformableAttnFunction,
    NMSop,
    RoIAlignFunction,
    RoIPoolFunction,
    SigmoidFocalLossFunction,
    SoftmaxFocalLossFunction,
    SoftNMSop,
)


def allow_tf32(recipe: dict) -> None:
    """Let cuDNN's convolutions use TF32 in this process, or not; torch's products of matrices never do."""
    torch.backends.cudnn.allow_tf32 = recipe.get("tf32", True)


@OPTIM_WRAPPERS.register_module()
class Mixed(AmpOptimWrapper):
    """mmengine's mixed precision, also on CPUs, where bfloat16 works but mmengine refuses it."""

    def __init__(self, dtype: str, **kwargs):
        OptimWrapper.__init__(self, **kwargs)
        # bfloat16 has the range of float32; only float16 needs a scaled loss.
        self.loss_scaler = torch.amp.GradScaler(get_device(), enabled=dtype == "float16")
        self.cast_dtype = getattr(torch, dtype)
        self._scale_update_param = None
        for operator in WITHOUT_BFLOAT16:
            accept_bfloat16(operator)


def accept_bfloat16(operator: type[Function]) -> None:
    """Let an operator take bfloat16 and compute in float32; for other inputs nothing changes."""
    if not hasattr(operator, "accepts_bfloat16"):
        operator.forward = staticmethod(_in_float32(operator.forward))
        operator.backward = staticmethod(_in_float32(operator.backward))
        operator.accepts_bfloat16 = True


def _in_float32(compute: Callable) -> Callable:
    """A function that computes in float32; its results are in bfloat16 if an argument was."""

    @functools.wraps(compute)
    def computing(ctx, *args, **kwargs):
        given = [*args, *kwargs.values()]
        if not any(map(_is_bfloat16, given)):
            return compute(ctx, *args, **kwargs)
        widened = {key: _widened(value) for key, value in kwargs.items()}
        results = compute(ctx, *map(_widened, args), **widened)
        return tuple(map(_narrowed, results)) if isinstance(results, tuple) else _narrowed(results)

    return computing


def _is_bfloat16(value) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bfloat16


def _widened(value):
    return value.float() if _is_bfloat16(value) else value


def _narrowed(value):
    return value.bfloat16() if isinstance(value, Tensor) and value.is_floating_point() else value
