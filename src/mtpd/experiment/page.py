"""What the report page of an experiment shows."""

from __future__ import annotations

from mtpd.experiment import rows
from mtpd.experiment.layout import Layout
from mtpd.experiment.schema import Arm, Experiment

MOST_ARMS = 6  # with pictures and curves of their own; the tables and the other plots have all arms


def shown_arms(experiment: Experiment) -> dict[str, Arm]:
    """The first arm that is compared and its controls; without comparisons, the first arms of the file."""
    pairs = rows.comparisons(experiment)
    first = pairs[0][0] if pairs else None
    names = [*(control for arm, control in pairs if arm == first), first] if pairs else experiment.arms
    return {name: experiment.arms[name] for name in list(names)[-MOST_ARMS:]}


def first_rows(table_rows: list[dict]) -> list[dict]:
    """The first row of each arm: its first student, order and seed."""
    first: dict[str, dict] = {}
    for row in table_rows:
        first.setdefault(row["arm"], row)
    return list(first.values())


def page(experiment: Experiment, layout: Layout, shown: list[dict]) -> dict:
    """The settings of the page, apart from the results that it reads.

    Args:
        experiment: the experiment.
        layout: of its paths.
        shown: the ``first_rows`` of its ``shown_arms``.
    """
    reported = rows.reported_detectors(experiment)
    return {
        "experiment": experiment.experiment,
        "dataset": experiment.dataset.name,
        "generated": bool(experiment.dataset.generate),
        "students": list(experiment.students),
        "teachers": [name for name in reported if name not in experiment.students],
        "detectors": {name: layout.detector(name, "") for name in reported},
        "seeds": list(experiment.seeds),
        "comparisons": rows.comparisons(experiment),
        "orders": {
            f"{student}, pool {pool}": layout.order(student, pool, "order.json")
            for student, pool in rows.ordered_pools(experiment)
        },
        "shown": shown,
    }
