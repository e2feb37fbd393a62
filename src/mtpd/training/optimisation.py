"""The optimiser of a stage, as mmengine's config."""

from __future__ import annotations

from mtpd.training.precision import Mixed


def optim_wrapper(recipe: dict, passes: int = 1) -> dict:
    """Config of mmengine's optimiser wrapper for a recipe, with so many backward passes a step."""
    wrapper = {
        "optimizer": recipe["optimizer"],
        "clip_grad": {"max_norm": recipe["clip_grad"], "norm_type": 2},
        "accumulative_counts": passes,
    }
    if recipe["paramwise"]:
        wrapper["paramwise_cfg"] = recipe["paramwise"]
    if recipe["precision"] == "float32":
        return wrapper
    return {"type": Mixed, "dtype": recipe["precision"], **wrapper}
