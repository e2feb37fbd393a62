"""The learning rates of a stage, as mmengine's configs; needs no torch."""

from __future__ import annotations

import math
from fractions import Fraction

from mtpd.experiment.recipe_schema import FINAL, FLAT

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
    warmup = {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "end": settings["warmup_iters"]}
    falls = _cosine(settings, epochs) if settings["kind"] == "cosine" else _steps(settings, epochs)
    return [warmup, falls] if settings["warmup_iters"] else [falls]


def _steps(settings: dict, epochs: int) -> dict:
    drops = milestones(settings["milestones"], epochs)
    return {"type": "MultiStepLR", "milestones": drops, "gamma": settings["gamma"], "end": epochs}


def _cosine(settings: dict, epochs: int) -> dict:
    first = flat_epochs(settings, epochs)
    return {
        "type": "CosineAnnealingLR",
        "begin": first,
        "end": epochs,
        "T_max": epochs - first,
        "eta_min_ratio": settings.get("final", FINAL),
        "by_epoch": True,
        "convert_to_iter_based": True,
    }


def flat_epochs(settings: dict, epochs: int) -> int:
    """Epochs before the rate of a cosine schedule falls: as in mmdet, a half is rounded down."""
    return math.floor(Fraction(settings.get("flat", FLAT)).limit_denominator(MOST_PARTS) * epochs)


def milestones(parts: tuple[float, ...], epochs: int) -> list[int]:
    """After which epochs the rate drops. Args: ``parts``, fractions of the stage."""
    return sorted({max(1, _rounded(part, epochs)) for part in parts})


def _rounded(part: float, epochs: int) -> int:
    """Half up. 0.91666667 means 11/12: otherwise the digits of a fraction would decide about a half."""
    return math.floor(Fraction(part).limit_denominator(MOST_PARTS) * epochs + Fraction(1, 2))
