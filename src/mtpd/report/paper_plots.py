"""The paper's results beside ours, in the form of the paper's figure 4."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mtpd.experiment import scores
from mtpd.report import plots, tables

ARM_COLOURS = {
    "baseline": plots.NO_TEACHER_COLOUR,
    "direct": plots.COLOURS[1],
    "progressive": plots.COLOURS[0],
}
PAPER_ALPHA = 0.35  # of the paper's bars; ours are solid
GAP = 0.8  # between two losses, in bars
BAR = 0.3  # inches
PANELS_A_ROW = 2


def results(found: pd.DataFrame, title: str) -> Figure:
    """Bars by loss, a panel for each student and kind (boxes, masks): the paper's AP, and ours beside it.

    Args:
        found: of ``paper.table``.
        title: name of the experiment.
    """
    found = found.assign(loss=found["loss"].replace("none", plots.NO_TEACHER_LABEL))
    panels = list(found.groupby(["student", "kind"], sort=False))
    columns, longest = min(PANELS_A_ROW, len(panels)), max(_length(rows) for _, rows in panels)
    rows_of_panels = -(-len(panels) // columns)
    size = (max(plots.LEAST_WIDTH, columns * (0.6 + BAR * longest)), 0.9 + 2.6 * rows_of_panels)
    figure, axes = plt.subplots(rows_of_panels, columns, figsize=size, sharey=True, squeeze=False)
    for axis, ((student, kind), rows) in zip(axes.flat, panels, strict=False):
        _draw_panel(axis, rows)
        axis.set_title(f"{student}, {scores.KINDS[kind]}")
        middle = (_length(rows) - 2 - GAP) / 2
        axis.set_xlim(middle - longest / 2, middle + longest / 2)
    for axis in list(axes.flat)[len(panels) :]:
        axis.remove()
    low, high = _limits(found)
    axes[0, 0].set_ylim(low, high)
    for axis in axes[:, 0]:
        axis.set_ylabel("AP" if low <= 0 else f"AP (axis starts at {low})")
    plots.give_title(figure, f"{title}: the paper's results and ours{_scale(found)}")
    _give_legend(figure, found)
    return figure


def _length(rows: pd.DataFrame) -> float:
    """The length of a panel, in bars."""
    return 2 * len(rows) + GAP * rows["loss"].nunique() + 1


def _draw_panel(axis, rows: pd.DataFrame) -> None:
    """A pair of bars for each result; results with the same loss stand together."""
    start, ticks = 0.0, {}
    for loss, group in rows.groupby("loss", sort=False):
        for number, row in enumerate(group.to_dict("records")):
            _draw_pair(axis, start + 2 * number, row)
        ticks[loss] = start + len(group) - 0.5
        start += 2 * len(group) + GAP
    axis.set_xticks(list(ticks.values()), list(ticks))
    axis.tick_params(axis="x", length=0)


def _draw_pair(axis, x: float, row: dict) -> None:
    colour = ARM_COLOURS[row["arm"]]
    bars = axis.bar(x, row["paper's AP"], width=0.95, color=colour, alpha=PAPER_ALPHA)
    axis.bar_label(bars, fmt="%.1f", padding=1, fontsize=7)
    if pd.notna(row["AP"]):
        half = row[tables.HALF_WIDTH]
        interval = {} if pd.isna(half) else {"yerr": half, "capsize": 2}
        bars = axis.bar(x + 1, row["AP"], width=0.95, color=colour, **interval)
        axis.bar_label(bars, fmt="%.1f", padding=1, fontsize=7)


def _limits(found: pd.DataFrame) -> tuple[int, float]:
    """The limits of the axis: 0, or a whole number below all bars and intervals, and a little above them."""
    half = found[tables.HALF_WIDTH].astype(float).fillna(0)
    ap = found["AP"].astype(float)
    low = pd.concat([found["paper's AP"], ap - half]).min()
    high = pd.concat([found["paper's AP"], ap + half]).max()
    start = math.floor(low - 2) if low > high / 2 else min(0, math.floor(low))
    return start, high + 0.08 * (high - start)


def _scale(found: pd.DataFrame) -> str:
    """What the title says of runs that are not the paper's."""
    smaller = (found["full scale"] == "no").sum()
    return f" ({smaller} of ours not at the paper's scale)" if smaller else ""


def _give_legend(figure: Figure, found: pd.DataFrame) -> None:
    arms = [arm for arm in ARM_COLOURS if (found["arm"] == arm).any()]
    handles = [Patch(color=ARM_COLOURS[arm]) for arm in arms]
    handles += [Patch(color="black", alpha=PAPER_ALPHA), Patch(color="black")]
    ours = "ours (line: 95% interval)" if found[tables.HALF_WIDTH].notna().any() else "ours"
    plots.give_legend(figure, handles, [*arms, "the paper", ours])
