"""Whether detectors can run on GPUs here: torch sees them, and mmcv's operators were built for them."""

from __future__ import annotations

import os

import torch
from mmcv.ops import get_compiling_cuda_version


def require_gpus(count: int) -> None:
    """Check that a job has the GPUs that it asked for; else it would run on the CPU, and say nothing.

    Raises:
        RuntimeError: torch sees fewer, or mmcv was built without CUDA operators.
    """
    if not count:
        return
    found = torch.cuda.device_count()
    if found < count:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise RuntimeError(
            f"this job asked for {count} GPUs (compute.gpus), but torch {torch.__version__} sees {found} "
            f"(CUDA_VISIBLE_DEVICES is {visible}): look at nvidia-smi on this machine, and at what the batch "
            "system was asked for"
        )
    require_cuda_operators()


def require_cuda_operators() -> None:
    """Check that mmcv was built for GPUs; without this, the first operator on a GPU fails.

    Raises:
        RuntimeError: it was not.
    """
    if get_compiling_cuda_version() == "not available":
        raise RuntimeError(
            "mmcv was built without CUDA operators, so it cannot run on GPUs. Remove it (pip uninstall "
            "onedl-mmcv) and run envs/install.sh again: on a machine with a GPU, or with "
            "TORCH_CUDA_ARCH_LIST set to the GPUs to build for (needs nvcc), or with a wheel that has them "
            "(MMCV_WHEEL or MMCV_INDEX)"
        )
