"""The optimiser of a stage and its learning rates, as mmengine's configs."""

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


def schedules(recipe: dict, epochs: int) -> list[dict]:
    """Configs of mmengine's schedulers for a stage of that many epochs."""
    settings = recipe["schedule"]
    if settings["kind"] == "one-cycle":
        return [
            {
                "type": "OneCycleLR",
                "eta_max": recipe["optimizer"]["lr"],
                "by_epoch": True,
                "total_steps": epochs,
                "convert_to_iter_based": True,
            }
        ]
    milestones = sorted({max(1, round(part * epochs)) for part in settings["milestones"]})
    warmup = {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "end": settings["warmup_iters"]}
    steps = {"type": "MultiStepLR", "milestones": milestones, "gamma": settings["gamma"], "end": epochs}
    return [warmup, steps] if settings["warmup_iters"] else [steps]
