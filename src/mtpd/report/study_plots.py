"""Plots of comparisons: arms against their controls, and orders of teachers against their predicted costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mtpd.experiment import chains
from mtpd.experiment.scores import KINDS
from mtpd.report import tables
from mtpd.report.comparison import Comparison
from mtpd.report.order_study import POLICIES, PREDICTIONS
from mtpd.report.plots import (
    COLOURS,
    FRAME_COLOUR,
    NO_TEACHER_COLOUR,
    give_title,
    row_height,
    wrapped,
)

MARKERS = dict(zip(POLICIES, ("s", "D", "^", "v", "o"), strict=True))
FRAME_COLOURS = dict(zip(POLICIES, (FRAME_COLOUR, *COLOURS[1:]), strict=False))
MOST_LISTED = 30  # orders beside the panels; the table has all


def differences(comparisons: list[Comparison], title: str) -> Figure:
    """A line for each comparison: mean difference in AP, its 95% interval, and a dot for each seed.

    Args:
        comparisons: of ``comparison.compare``.
        title: name of the experiment.
    """
    arms = list(dict.fromkeys(c.own.arm for c in comparisons))
    names = _names(comparisons)
    figure, axis = plt.subplots(figsize=(10, 1.7 + row_height(names) * len(comparisons)))
    axis.axvline(0, color="black", linewidth=1)
    for y, comparison in enumerate(comparisons):
        _draw_difference(axis, y, comparison, COLOURS[arms.index(comparison.own.arm) % len(COLOURS)])
    axis.set_yticks(range(len(comparisons)), names)
    axis.set_ylim(len(comparisons) - 0.5, -0.5)
    axis.margins(x=0.08)
    axis.set_xlabel("difference in AP (points): arm minus control\n← control better      arm better →")
    give_title(figure, f"{title}: difference in AP between each arm and its control")
    handles = [
        Line2D([], [], marker="o", linestyle="", color=NO_TEACHER_COLOUR, alpha=0.6, label="one seed"),
        Line2D(
            [],
            [],
            marker="|",
            markersize=11,
            linewidth=2.2,
            color="black",
            label="mean over seeds and its 95% interval",
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _names(comparisons: list[Comparison]) -> list[str]:
    """What each line compares: arm and control, and below them their chains."""
    several = len({c.own.student for c in comparisons}) > 1
    masks = any(c.own.kind == "segm" for c in comparisons)
    names = []
    for c in comparisons:
        notes = [c.own.student] * several + [KINDS[c.own.kind]] * masks
        note = f" ({', '.join(notes)})" if notes else ""
        chains_of_both = wrapped(f"{c.own.chain} vs {c.control.chain}", 50)
        names.append(f"{c.own.arm} vs {c.control.arm}{note}\n{chains_of_both}")
    return names


def _draw_difference(axis, y: int, comparison: Comparison, colour: str) -> None:
    estimate, words = comparison.difference, comparison.verdict
    height = y if estimate.half is None else y - 0.2
    axis.plot(
        comparison.differences, np.full(estimate.count, height), "o", color=colour, alpha=0.6, markersize=5
    )
    text = f"{estimate.mean:+.2f}  {words}"
    if estimate.half is not None:
        axis.errorbar(estimate.mean, y, xerr=estimate.half, color=colour, capsize=5, linewidth=2.2)
        axis.plot(estimate.mean, y, "|", color=colour, markersize=13, markeredgewidth=2.2)
        interval = f"[{estimate.low:+.2f}, {estimate.high:+.2f}]"
        text = f"{estimate.mean:+.2f}  {interval}  {estimate.count} seeds: {words}"
    axis.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center", annotation_clip=False)


def orders(ranked: pd.DataFrame, correlations: pd.DataFrame, title: str) -> Figure:
    """AP of every trained order against each prediction, numbered by rank; a row of panels for each arm.

    Args:
        ranked: of ``order_study.rank_orders``.
        correlations: of ``order_study.correlations``.
        title: name of the student.
    """
    groups = list(ranked.groupby("arm", sort=False))
    longest = min(MOST_LISTED, max(len(group) for _, group in groups))
    figure, axes = plt.subplots(
        len(groups),
        3,
        figsize=(13, 1 + max(3.6, 0.19 * longest) * len(groups)),
        width_ratios=(4, 4, 2.6),
        squeeze=False,
    )
    for (arm, group), (*panels, key) in zip(groups, axes, strict=True):
        for axis, prediction in zip(panels, PREDICTIONS, strict=True):
            _draw_orders(axis, group, prediction)
            found = correlations.query("arm == @arm and prediction == @prediction").iloc[0]
            axis.set(title=f"{arm}: {_rho(found)}", xlabel=f"predicted: {prediction} (1 - R²)")
        panels[0].set_ylabel("AP (validation), mean over seeds")
        _list_orders(key, group)
    chosen = [policy for policy in POLICIES if any(policy in _split(names) for names in ranked["policies"])]
    handles = [
        Line2D(
            [], [], **_point(), label="an order, numbered by its rank in AP; line: 95% interval of its AP"
        ),
        *(Line2D([], [], **_frame(policy), label=f"order of {policy}") for policy in chosen),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(f"Student {title}: AP of every trained order of teachers against its predicted cost")
    return figure


def _rho(found: pd.Series) -> str:
    if np.isnan(found["rho"]):
        return f"{found['orders']} orders: no rank correlation"
    interval = f"95% interval {found['95% low']:.2f} to {found['95% high']:.2f}"
    return f"Spearman's rho = {found['rho']:.2f}\n{interval}, {found['orders']} orders"


def _draw_orders(axis, group: pd.DataFrame, prediction: str) -> None:
    x, ap = group[prediction], group["AP"]
    axis.errorbar(x, ap, yerr=group[tables.HALF_WIDTH], **_point(), elinewidth=1, alpha=0.7)
    for _, order in group.iterrows():
        where = (order[prediction], order["AP"])
        for number, policy in enumerate(_split(order["policies"])):
            axis.plot(*where, **_frame(policy, 11 + 5 * number))
        axis.annotate(str(order["rank"]), where, (7, 4), textcoords="offset points", fontsize=8)
    axis.margins(x=0.1, y=0.1)


def _list_orders(axis, group: pd.DataFrame) -> None:
    """What the numbers stand for, best first."""
    lines = [
        f"{order['rank']}  {' → '.join(chains.parse(order['chain']).teachers)}  ({order['AP']:.1f})"
        for _, order in group.head(MOST_LISTED).iterrows()
    ]
    more = [f"and {len(group) - MOST_LISTED} more: see the table"] * (len(group) > MOST_LISTED)
    axis.axis("off")
    axis.set_title("rank, order of the teachers (AP)", loc="left")
    text = "\n".join([*lines, *more])
    axis.text(0, 1, text, va="top", transform=axis.transAxes, fontsize=8, linespacing=1.4)


def _split(policies: str) -> list[str]:
    return [name for name in policies.split(", ") if name]


def _point() -> dict:
    return {"marker": "o", "color": COLOURS[0], "markersize": 5, "linestyle": ""}


def _frame(policy: str, size: int = 11) -> dict:
    """The open marker of a policy, drawn around the point of its order."""
    return {
        "marker": MARKERS[policy],
        "markersize": size,
        "linestyle": "",
        "markerfacecolor": "none",
        "markeredgecolor": FRAME_COLOURS[policy],
        "markeredgewidth": 1.8,
    }
