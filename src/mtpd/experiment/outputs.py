"""What an experiment ends in: tables, plots, the report page."""

from __future__ import annotations

from mtpd.experiment import rows
from mtpd.experiment.folders import PLOTS, TABLES, Layout
from mtpd.experiment.schema import Arm, Experiment

# Arms that have pictures and curves of their own on the page; the tables and the other plots have all arms.
MOST_ARMS = 6
OF_A_PLOT = ("svg", "pdf", "png", "csv")  # the picture, and the numbers in it


def tables(experiment: Experiment, layout: Layout) -> list[str]:
    """Paths of all tables."""
    folder = TABLES.format(experiment=layout.experiment)
    orders = _of_pools("orders", rows.studied_pools(experiment))
    correlations = _of_pools("correlation", rows.studied_pools(experiment))
    names = ["main", *_comparison(experiment), *_paper(experiment), *orders]
    found = [f"{folder}/{name}.{kind}" for name in names for kind in ("csv", "md", "tex")]
    return found + [f"{folder}/{name}.csv" for name in correlations]


def plots(experiment: Experiment, layout: Layout) -> list[str]:
    """Paths of all plots, in all their forms."""
    kinds = plots_by_kind(experiment, layout).values()
    return [f"{path}.{form}" for paths in kinds for path in paths for form in OF_A_PLOT]


def plots_by_kind(experiment: Experiment, layout: Layout) -> dict[str, list[str]]:
    """Paths of all plots without the endings of their forms, by kind: what a plot shows."""
    names = {
        "ap_over_epochs": ["ap_over_epochs"],
        "arms": ["arms"],
        "comparison": _comparison(experiment),
        "paper": _paper(experiment),
        "adaptation_cost": _of_pools("adaptation_cost", rows.ordered_pools(experiment)),
        "orders": _of_pools("orders", rows.studied_pools(experiment)),
    }
    folder = PLOTS.format(experiment=layout.experiment)
    return {kind: [f"{folder}/{name}" for name in of_kind] for kind, of_kind in names.items()}


def _comparison(experiment: Experiment) -> list[str]:
    """Made only if some arm has controls."""
    return ["comparison"] if rows.compared_arms(experiment) else []


def _paper(experiment: Experiment) -> list[str]:
    """Made only if some arm reproduces a result of the paper."""
    return ["paper"] if rows.reproducing_arms(experiment) else []


def _of_pools(kind: str, pools: list[tuple[str, str]]) -> list[str]:
    return [f"{kind}_{student}+{pool}" for student, pool in pools]


def shown_arms(experiment: Experiment) -> dict[str, Arm]:
    """The arm with the most controls, after these; without controls, the first arms of the file."""
    arms = experiment.arms
    compared = max(arms, key=lambda name: len(arms[name].against))
    controls = arms[compared].against[: MOST_ARMS - 1]
    names = [*controls, compared] if controls else list(arms)[:MOST_ARMS]
    return {name: arms[name] for name in names}


def first_rows(experiment: Experiment, table_rows: list[dict]) -> list[dict]:
    """The first row of each shown arm: its first order and seed, for one student.

    Args:
        experiment: the experiment.
        table_rows: of its ``shown_arms``.
    """
    student = rows.students(experiment, list(shown_arms(experiment))[-1])[0]
    first: dict[str, dict] = {}
    for row in table_rows:
        if row["student"] == student:
            first.setdefault(row["arm"], row)
    return list(first.values())


def report_page(experiment: Experiment, layout: Layout, shown: list[dict]) -> dict:
    """The settings of the report page, apart from the results that it reads.

    Args:
        experiment: the experiment.
        layout: of its paths.
        shown: the ``first_rows``; the last one is of the arm that is compared with the others.
    """
    reported = rows.reported_detectors(experiment)
    ordered = rows.ordered_pools(experiment)
    compared = rows.comparisons(experiment)
    teachers = {t for arm in experiment.arms.values() for t in rows.teachers(experiment, arm)}
    students = {s for arm in experiment.arms for s in rows.students(experiment, arm)}
    return {
        "experiment": experiment.experiment,
        "dataset": experiment.dataset.name,
        "generated": bool(experiment.dataset.generate),
        "students": [name for name in reported if name in students],
        "teachers": [name for name in reported if name in teachers],
        "detectors": {name: layout.detector(name, "") for name in reported},
        "seeds": len({seed for arm in experiment.arms for seed in rows.seeds(experiment, arm)}),
        "compared": bool(compared),
        "plots": {
            kind: [f"{path}.svg" for path in paths]
            for kind, paths in plots_by_kind(experiment, layout).items()
        },
        "orders": {
            f"{student}, pool {pool}": layout.order(student, pool, "order.json") for student, pool in ordered
        },
        "shown": shown,
    }
