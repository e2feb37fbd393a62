"""Mixed precision, on GPUs and CPUs."""

from __future__ import annotations

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Mixed(AmpOptimWrapper):
    """mmengine's mixed precision, also on CPUs, where bfloat16 works but mmengine refuses it."""

    def __init__(self, dtype: str, **kwargs):
        OptimWrapper.__init__(self, **kwargs)
        # bfloat16 has the range of float32; only float16 needs a scaled loss.
        self.loss_scaler = torch.amp.GradScaler(get_device(), enabled=dtype == "float16")
        self.cast_dtype = getattr(torch, dtype)
        self._scale_update_param = None
