"""The tables and plots that an experiment ends in."""

from __future__ import annotations

from mtpd.experiment import rows
from mtpd.experiment.layout import PLOTS, TABLES, Layout
from mtpd.experiment.schema import Experiment

OF_A_PLOT = ("svg", "pdf", "png", "csv")  # the picture, and the numbers in it


def tables(experiment: Experiment, layout: Layout) -> list[str]:
    """Paths of all tables."""
    folder = TABLES.format(experiment=layout.experiment)
    orders = _of_pools("orders", rows.studied_pools(experiment))
    correlations = _of_pools("correlation", rows.studied_pools(experiment))
    names = ["main", *_of_some_arms(experiment), *orders]
    found = [f"{folder}/{name}.{kind}" for name in names for kind in ("csv", "md", "tex")]
    return found + [f"{folder}/{name}.csv" for name in correlations]


def plots(experiment: Experiment, layout: Layout) -> list[str]:
    """Paths of all plots."""
    folder = PLOTS.format(experiment=layout.experiment)
    costs = _of_pools("adaptation_cost", rows.ordered_pools(experiment))
    orders = _of_pools("orders", rows.studied_pools(experiment))
    names = ["ap_over_epochs", "arms", *_of_some_arms(experiment), *costs, *orders]
    return [f"{folder}/{name}.{kind}" for name in names for kind in OF_A_PLOT]


def _of_some_arms(experiment: Experiment) -> list[str]:
    """Made only where arms have controls, or reproduce results of the paper."""
    compared, reproducing = rows.compared_arms(experiment), rows.reproducing_arms(experiment)
    return ["comparison"] * bool(compared) + ["paper"] * bool(reproducing)


def _of_pools(kind: str, pools: list[tuple[str, str]]) -> list[str]:
    return [f"{kind}_{student}+{pool}" for student, pool in pools]
