"""The learning rates of a stage, as mmengine's configs; needs no torch."""

from __future__ import annotations


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
    drops = milestones(settings["milestones"], epochs)
    warmup = {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "end": settings["warmup_iters"]}
    steps = {"type": "MultiStepLR", "milestones": drops, "gamma": settings["gamma"], "end": epochs}
    return [warmup, steps] if settings["warmup_iters"] else [steps]


def milestones(parts: tuple[float, ...], epochs: int) -> list[int]:
    """After which epochs the rate drops. Args: ``parts``, fractions of the stage."""
    return sorted({max(1, round(part * epochs)) for part in parts})
