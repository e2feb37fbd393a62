"""The learning rates of a stage, as mmengine's configs; needs no torch."""

from __future__ import annotations

import math
from fractions import Fraction

MOST_PARTS = 1000  # that a fraction of a stage is taken to have


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
    return sorted({max(1, _rounded(part, epochs)) for part in parts})


def _rounded(part: float, epochs: int) -> int:
    """Half up. 0.91666667 means 11/12: otherwise the digits of a fraction would decide about a half."""
    return math.floor(Fraction(part).limit_denominator(MOST_PARTS) * epochs + Fraction(1, 2))
