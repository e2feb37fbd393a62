"""mmcv's compiled operators."""

from __future__ import annotations

from mmcv.ops import get_compiling_cuda_version


def require_cuda_operators() -> None:
    """Check that mmcv was built for GPUs; without this, the first operator on a GPU fails.

    Raises:
        RuntimeError: it was not.
    """
    if get_compiling_cuda_version() == "not available":
        raise RuntimeError(
            "mmcv was built without CUDA operators, so it cannot run on GPUs. Remove it (pip uninstall "
            "onedl-mmcv) and run envs/install.sh again, with FORCE_CUDA=1 where nvcc is installed, or with a "
            "wheel that has them (MMCV_WHEEL or MMCV_INDEX)"
        )
