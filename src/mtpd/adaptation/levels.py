"""What is read from a table of adaptation costs; without torch, so plots and tables start quickly."""

from __future__ import annotations

import pandas as pd


def over_levels(costs: pd.DataFrame) -> dict[tuple[str, str], float]:
    """C(source -> target): the mean over levels of a table that ``cost.measure`` gives."""
    return costs.groupby(["source", "target"])["cost"].mean().to_dict()
