"""The experiment's plots. Each function returns a figure; ``save`` writes it."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mtpd.experiment import chains
from mtpd.report import stamps, tables

# Okabe and Ito's palette, safe for colour-blind readers; grey is for "no teacher".
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442")
NO_TEACHER_COLOUR = "#999999"
FRAME_COLOUR = "#D55E00"
PANELS_A_ROW = 3

plt.rcParams.update(
    {
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "mtpd",
        "figure.constrained_layout.use": True,
    }
)


def save(figure: Figure, path: str | Path) -> None:
    """Write SVG or PNG, with the stamp of a rehearsal; the same figure gives the same bytes."""
    stamps.stamp(figure, path)
    metadata = {"Date": None} if str(path).endswith(".svg") else None
    figure.savefig(path, dpi=160, metadata=metadata)


def ap_over_epochs(histories: pd.DataFrame, detectors: dict[str, float], title: str) -> Figure:
    """A panel for each arm: AP over all its epochs; every stage is a coloured span.

    Args:
        histories: columns arm, student, chain, seed, stage (0, 1, ...), epoch (within the stage) and AP (NaN
            where the epoch was not validated).
        detectors: AP of every detector, drawn as a dashed line where it teaches.
        title: of the figure.
    """
    panels = _by_arm(histories)
    colours = _colours(chain for _, chain, _ in panels)
    rows = -(-len(panels) // PANELS_A_ROW)
    figure, axes = plt.subplots(
        rows,
        min(PANELS_A_ROW, len(panels)),
        figsize=(3.1 * min(PANELS_A_ROW, len(panels)), 0.5 + 2.5 * rows),
        sharey=True,
        squeeze=False,
    )
    longest = max(chains.parse(chain).epochs for _, chain, _ in panels)
    for axis, (arm, chain, history) in zip(axes.flat, panels, strict=False):
        _draw_stages(axis, chains.parse(chain), colours, detectors)
        _draw_ap(axis, chains.parse(chain), history)
        axis.set(title=arm, xlabel="total epochs", xlim=(0, longest + 0.3))
    for axis in list(axes.flat)[len(panels) :]:
        axis.remove()
    for axis in axes[:, 0]:
        axis.set_ylabel("AP (validation)")
    top = max(histories["AP"].max(), *detectors.values())
    axes[0, 0].set_ylim(0, 1.12 * top)
    figure.suptitle(f"{title}: AP during the stages of each arm (dashed: AP of the teacher)")
    return figure


def _by_arm(frame: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """(name, chain, rows) of each arm; with several students, the name includes the student."""
    several = frame["student"].nunique() > 1
    return [
        (f"{arm} ({student})" if several else arm, chain, rows)
        for (arm, student, chain), rows in frame.groupby(["arm", "student", "chain"], sort=False)
    ]


def _colours(texts) -> dict[str, str]:
    """A colour for each stage's teachers, the same in every panel."""
    stages = [stage for text in texts for stage in chains.parse(text).stages]
    names = list(dict.fromkeys("~".join(stage.teachers) for stage in stages if stage.teachers))
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(sorted(names))} | {"": NO_TEACHER_COLOUR}


def _draw_stages(axis, chain: chains.Chain, colours: dict[str, str], detectors: dict[str, float]) -> None:
    start = 0
    for stage in chain.stages:
        name = "~".join(stage.teachers)
        end = start + stage.epochs
        axis.axvspan(start, end, color=colours[name], alpha=0.22, linewidth=0)
        label = name or "no teacher"
        axis.text(
            (start + end) / 2, 0.02, label, ha="center", transform=axis.get_xaxis_transform(), fontsize=8
        )
        for teacher in stage.teachers:
            axis.hlines(detectors[teacher], start, end, colors=colours[name], linestyles="dashed")
        start = end


def _draw_ap(axis, chain: chains.Chain, history: pd.DataFrame) -> None:
    starts = np.cumsum([0, *(stage.epochs for stage in chain.stages)])
    validated = history.dropna(subset="AP")
    validated = validated.assign(total=validated["epoch"] + starts[validated["stage"]])
    for _, line in validated.groupby("seed"):
        axis.plot(line["total"], line["AP"], color="black", alpha=0.35, linewidth=0.8)
    mean = validated.groupby("total")["AP"].mean()
    axis.plot(mean.index, mean, color="black", marker="o", markersize=3, linewidth=1.4)
    axis.annotate(
        f"{mean.iloc[-1]:.1f}",
        (mean.index[-1], mean.iloc[-1]),
        (-3, 5),
        textcoords="offset points",
        ha="right",
    )


def arms(seeds: pd.DataFrame, title: str) -> Figure:
    """AP at the end of every arm: a dot for each seed, a bar at their mean, a line for its 95% interval.

    Args:
        seeds: columns arm, student, chain, seed and AP.
        title: of the figure.
    """
    groups = _by_arm(seeds)
    figure, axis = plt.subplots(figsize=(7, 0.8 + 0.5 * len(groups)))
    ends = []
    for y, (_, chain, group) in enumerate(groups):
        mean, half = group["AP"].mean(), tables.half_width(group["AP"])
        first = chains.parse(chain)
        colour = COLOURS[0] if len(first.stages) > 1 else COLOURS[1] if first.teachers else NO_TEACHER_COLOUR
        axis.barh(y, mean, height=0.6, color=colour, alpha=0.45)
        axis.plot(group["AP"], np.full(len(group), y - 0.13), "o", color=colour, markersize=5)
        axis.errorbar(mean, y + 0.13, xerr=half, color="black", capsize=4, linewidth=1.2)
        end = np.nanmax([mean + half, group["AP"].max()])
        axis.annotate(f"{mean:.1f}", (end, y), (7, 0), textcoords="offset points", va="center")
        ends.append(end)
    axis.set_yticks(range(len(groups)), [f"{arm}\n{chain}" for arm, chain, _ in groups])
    axis.invert_yaxis()
    axis.set(
        xlabel="AP (validation); bar: mean over seeds, dots: seeds, line: 95% interval of the mean",
        xlim=(0, max(ends) * 1.1),
    )
    axis.set_title(f"{title}: AP at the end of each arm")
    kinds = {"no teacher": NO_TEACHER_COLOUR, "one stage": COLOURS[1], "several stages": COLOURS[0]}
    handles = [Rectangle((0, 0), 1, 1, color=colour, alpha=0.45) for colour in kinds.values()]
    figure.legend(handles, kinds, loc="outside lower center", ncols=3, frameon=False)
    return figure


def adaptation_cost(
    costs: dict[tuple[str, str], float], ap: dict[str, float], student: str, order: list[str]
) -> Figure:
    """The matrix of costs, lowest AP first; the steps of the chosen order are framed and numbered."""
    names = sorted(ap, key=ap.__getitem__)
    matrix = np.array([[costs.get((s, t), np.nan) for t in names] for s in names])
    side = 2.2 + 0.75 * len(names)
    figure, axis = plt.subplots(figsize=(side + 1.2, side))
    image = axis.imshow(matrix, cmap="viridis_r")
    labels = [f"{name}\n{ap[name]:.1f} AP" for name in names]
    axis.set_xticks(range(len(names)), labels, rotation=30, ha="right")
    axis.set_yticks(range(len(names)), labels)
    middle = (np.nanmin(matrix) + np.nanmax(matrix)) / 2
    for (row, column), value in np.ndenumerate(matrix):
        text = "" if np.isnan(value) else f"{value:.3f}"
        axis.text(column, row, text, ha="center", va="center", color="white" if value > middle else "black")
    for number, (source, target) in enumerate(zip([student, *order], order, strict=False), 1):
        left, top = names.index(target) - 0.47, names.index(source) - 0.47
        axis.add_patch(Rectangle((left, top), 0.94, 0.94, fill=False, edgecolor=FRAME_COLOUR, linewidth=3))
        axis.text(left + 0.07, top + 0.08, str(number), va="top", color=FRAME_COLOUR, weight="bold")
    axis.spines[:].set_visible(False)
    axis.set(xlabel="to", ylabel="from")
    axis.set_title(f"Adaptation cost; framed: the chosen order {' → '.join([student, *order])}")
    figure.colorbar(image, shrink=0.8, label="cost (1 - R², mean over levels)")
    return figure
