"""Plots of the report page that no other rule draws. Each function returns a figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mtpd.report.plots import COLOURS, FRAME_COLOUR, NO_TEACHER_COLOUR

SIZES = {"APs": "small objects", "APm": "medium objects", "APl": "large objects"}
MOST_CLASSES = 20
NOTHING = "nothing"
PANEL = (3.3, 2.6)  # inches


def cost_of_accuracy(table: pd.DataFrame) -> Figure:
    """AP of boxes against milliseconds and against parameters: teachers, students and arms.

    Args:
        table: the main table.
    """
    table = table[table["kind"] == "bbox"] if "kind" in table else table
    colours = {"teacher": COLOURS[1], "student": NO_TEACHER_COLOUR, "arm": COLOURS[0]}
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True)
    for axis, column, unit in zip(
        axes, ("ms/image", "params (M)"), ("ms an image", "million parameters"), strict=True
    ):
        for role, group in table.groupby("role", sort=False):
            axis.plot(group[column], group["AP"], "o", color=colours[role], label=role, alpha=0.8)
        for _, row in table[table["role"] != "arm"].iterrows():
            place = (row[column], row["AP"])
            axis.annotate(row["row"], place, (5, 4), textcoords="offset points", fontsize=8)
        axis.set(xlabel=unit, xlim=(0, 1.15 * table[column].max()), ylim=(0, 1.1 * table["AP"].max()))
    axes[0].set_ylabel("AP (validation)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def changes(by_class: pd.DataFrame, by_size: pd.DataFrame, reference: str) -> Figure:
    """How the AP of each class and size of object differs from a reference's, in points.

    With many classes, those with the largest differences. A line stands between classes and sizes.

    Args:
        by_class: AP by subject (rows) and class (columns), NaN where there are no objects.
        by_size: the same by ``SIZES``.
        reference: the row that the others are compared with.
    """
    classes, sizes = (_differences(ap, reference) for ap in (by_class, by_size.rename(columns=SIZES)))
    kept = classes.columns.isin(classes.abs().max().nlargest(MOST_CLASSES).index)
    difference = pd.concat([classes.loc[:, kept], sizes], axis=1)
    limit = max(1.0, np.nanmax(np.abs(difference.to_numpy())))
    rows, columns = difference.shape
    figure, axis = plt.subplots(figsize=(2.6 + 0.62 * columns, 1.5 + 0.36 * rows))
    image = axis.imshow(difference, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    axis.set_xticks(range(columns), difference.columns, rotation=35, ha="right")
    axis.set_yticks(range(rows), difference.index)
    for (y, x), value in np.ndenumerate(difference.to_numpy()):
        dark = abs(value) > 0.6 * limit
        axis.text(x, y, f"{value:+.1f}", ha="center", va="center", color="white" if dark else "black")
    axis.axvline(kept.sum() - 0.5, color="black", linewidth=1)
    axis.spines[:].set_visible(False)
    figure.colorbar(image, label=f"AP minus that of {reference}", shrink=0.9)
    return figure


def _differences(ap: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Differences from the reference, without columns that have no objects."""
    return (ap - ap.loc[reference]).drop(index=reference).dropna(axis=1, how="all")


def precision_recall(curves: dict[str, list[float]], dashed: list[str]) -> Figure:
    """Precision against recall at IoU 0.5, mean over classes.

    Args:
        curves: precision at the recalls 0, 0.01, ... 1, by subject.
        dashed: the subjects that are teachers.
    """
    figure, axis = plt.subplots(figsize=(5.4, 3.8))
    recall = np.linspace(0, 1, 101)
    colours = iter([*COLOURS, FRAME_COLOUR])
    for name, precision in curves.items():
        style = (
            {"color": NO_TEACHER_COLOUR, "linestyle": "--"}
            if name in dashed
            else {"color": next(colours, "black")}
        )
        axis.plot(recall, precision, label=name, linewidth=1.5, **style)
    axis.set(xlabel="recall", ylabel="precision (IoU at least 0.5)", xlim=(0, 1), ylim=(0, 1))
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def confusion(counts: np.ndarray, classes: list[str], title: str) -> Figure:
    """Which classes are taken for which: percent of each row.

    With many classes, those of which the most objects are missed or taken for others.

    Args:
        counts: true class (rows) by predicted class (columns); the last of both is nothing.
        classes: their names.
        title: of the figure.
    """
    fractions = counts / counts.sum(1, keepdims=True).clip(1)
    errors = (counts.sum(1) - counts.diagonal())[:-1]
    kept = sorted(np.argsort(-errors, kind="stable")[:MOST_CLASSES])
    names = [*(classes[number] for number in kept), NOTHING]
    kept = np.ix_([*kept, -1], [*kept, -1])
    counts, fractions = counts[kept], fractions[kept]
    side = 1.8 + 0.5 * len(counts)
    figure, axis = plt.subplots(figsize=(side + 0.6, side))
    axis.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    for (y, x), value in np.ndenumerate(fractions):
        if counts[y, x]:
            axis.text(
                x,
                y,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                color="white" if value > 0.6 else "black",
            )
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(names)), names)
    for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
        ticks[-1].set_style("italic")  # a class may have the same name
    axis.set(xlabel="predicted", ylabel="true")
    axis.set_title(f"{title}: percent of each row")
    return figure


def loss_and_ap(histories: pd.DataFrame, arms: list[str]) -> Figure:
    """Training loss and validation AP over the epochs of an arm; a panel for each arm.

    Args:
        histories: columns arm, stage, epoch, loss and AP, of one seed.
        arms: the panels.
    """
    columns = min(3, len(arms))
    rows = -(-len(arms) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(PANEL[0] * columns, PANEL[1] * rows), squeeze=False, sharey=True
    )
    for axis, arm in zip(axes.flat, arms, strict=False):
        history = histories[histories["arm"] == arm].reset_index(drop=True)
        total = history.index + 1
        axis.plot(total, history["loss"], color=COLOURS[0], label="training loss (log scale)")
        axis.set(title=arm, xlabel="total epochs", yscale="log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
        other = axis.twinx()
        there = history["AP"].notna()
        other.plot(total[there], history["AP"][there], "o", color=FRAME_COLOUR, label="AP (validation)")
        other.set_ylim(0, 1.15 * histories["AP"].max())
        other.spines["right"].set_visible(True)
        for end in total[history["stage"].diff() > 0]:
            axis.axvline(end - 0.5, color=NO_TEACHER_COLOUR, linewidth=0.8, linestyle=":")
    for axis in list(axes.flat)[len(arms) :]:
        axis.remove()
    handles = [*axes[0, 0].get_lines()[:1], *other.get_lines()[:1]]
    figure.legend(
        handles, [h.get_label() for h in handles], loc="outside lower center", ncols=2, frameon=False
    )
    return figure
