"""Every trained order of a pool, ranked by its AP, and what the adaptation costs predicted."""

from __future__ import annotations

import pandas as pd

from mtpd.experiment import chains, policies
from mtpd.report import statistics, tables

# The policies that choose one order; ``strongest`` is no order.
POLICIES = ("bgs", "reverse", "min-max", "min-sum", "by-ap")
PREDICTIONS = {"sum of step costs": sum, "largest step cost": max}


def rank_orders(
    seeds: pd.DataFrame, student: str, costs: policies.Costs, by_policy: dict[str, list[list[str]]]
) -> pd.DataFrame:
    """A row for each order, best first within each arm.

    Args:
        seeds: of ``tables.seed_rows``: one student, one kind of AP, and the arms that train many orders.
        student: its name, a key of ``costs``.
        costs: adaptation cost C(source -> target) by (source, target).
        by_policy: the orders of each policy.

    Returns:
        Columns arm, chain, the predictions (from the step costs, beginning at the student), seeds, AP (mean
        over seeds, points), half the width of its 95% interval, rank within the arm (1 is the highest AP),
        and the policies that choose this order.
    """
    groups = seeds.groupby(["arm", "chain"], sort=False)["AP"]
    found = groups.agg(["count", "mean", tables.half_width]).reset_index()
    found.columns = ["arm", "chain", "seeds", "AP", tables.HALF_WIDTH]
    teachers = [list(chains.parse(chain).teachers) for chain in found["chain"]]
    steps = [policies.step_costs(student, order, costs) for order in teachers]
    for name, total in PREDICTIONS.items():
        found[name] = [total(each) for each in steps]
    found["rank"] = found.groupby("arm")["AP"].rank(ascending=False, method="min").astype(int)
    found["policies"] = [
        ", ".join(policy for policy in POLICIES if order in by_policy.get(policy, [])) for order in teachers
    ]
    columns = ["arm", "chain", *PREDICTIONS, "seeds", "AP", tables.HALF_WIDTH, "rank", "policies"]
    place = found["arm"].map({arm: i for i, arm in enumerate(found["arm"].unique())})
    return found[columns].assign(place=place).sort_values(["place", "rank"]).drop(columns="place")


def correlations(ranked: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of each prediction with AP, for each arm; -1 would be a perfect prediction."""
    lines = []
    for arm, group in ranked.groupby("arm", sort=False):
        for name in PREDICTIONS:
            found = statistics.rank_correlation(group[name], group["AP"])
            lines.append((arm, name, found.count, found.rho, found.low, found.high))
    columns = ["arm", "prediction", "orders", "rho", "95% low", "95% high"]
    return pd.DataFrame(lines, columns=columns).astype(dict.fromkeys(columns[3:], float))


def policy_ranks(ranked: pd.DataFrame, by_policy: dict[str, list[list[str]]]) -> pd.DataFrame:
    """Where the order of each policy stands among the trained orders of each arm."""
    lines = [
        (arm, policy, ", ".join(order), _place(group, order))
        for arm, group in ranked.groupby("arm", sort=False)
        for policy in POLICIES
        for order in by_policy.get(policy, [])
    ]
    return pd.DataFrame(lines, columns=["arm", "policy", "its order", "rank by AP"])


def _place(group: pd.DataFrame, order: list[str]) -> str:
    own = [list(chains.parse(chain).teachers) == order for chain in group["chain"]]
    return f"{group['rank'][own].item()} of {len(group)}" if any(own) else "not trained in this arm"
