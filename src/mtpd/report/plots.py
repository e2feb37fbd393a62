"""The experiment's plots. Each function returns a figure; ``save`` writes it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mtpd import files
from mtpd.experiment import chains
from mtpd.report import stamps, tables

# Okabe and Ito's palette, safe for colour-blind readers; grey is for "no teacher".
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442")
NO_TEACHER_COLOUR, NO_TEACHER_LABEL = "#999999", "no teacher"
SPAN = 0.22  # opacity of a stage
LEAST_AP = 1.0  # of an axis, so that untrained detectors have one
FRAME_COLOUR = "#D55E00"
PANELS_A_ROW = 3
PANEL = (3.1, 2.5)  # inches
LEAST_WIDTH = 6.2  # inches; the stamp of a rehearsal then fits
CHARACTER = 0.075  # inches, about
NAME = 36  # characters of a chain on a line beside an axis

plt.rcParams.update(
    {
        "font.size": 9,
        "axes.titlesize": 9,
        "figure.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "mtpd",
        "text.parse_math": False,  # a name may have dollar signs
        "pdf.fonttype": 42,  # TrueType: journals refuse matplotlib's default
        "figure.constrained_layout.use": True,
    }
)


def write(paths: list[str | Path], numbers: pd.DataFrame, draw: Callable[..., Figure], *of) -> None:
    """Write a plot as SVG, PDF or PNG, and the numbers in it as CSV, by the names' endings.

    Args:
        paths: where they go.
        numbers: what the plot shows.
        draw: a function of this package that draws it.
        of: its arguments.
    """
    for path in map(Path, paths):
        if path.suffix == ".csv":
            files.write_text(path, numbers.to_csv(index=False))
        else:
            save(draw(*of), path)


def save(figure: Figure, path: str | Path) -> None:
    """Write SVG, PDF or PNG, with the stamp of a rehearsal; the same figure gives the same bytes."""
    stamps.stamp(figure, path)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(Path(path).suffix)
    figure.savefig(path, dpi=160, metadata=metadata)
    plt.close(figure)


def wrapped(text: str, width: int) -> str:
    """Names and chains on lines of about ``width`` characters, which end at spaces, ``+`` or ``~``."""
    spaced = re.sub("[+~]", r"\g<0> ", text)
    lines = textwrap.wrap(spaced, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(re.sub("([+~]) ", r"\1", line) for line in lines)


def give_title(figure: Figure, title: str) -> None:
    """On as many lines as the width of the figure needs."""
    figure.suptitle(wrapped(title, int(figure.get_figwidth() / CHARACTER)))


def give_legend(figure: Figure, handles: list, labels: list[str]) -> None:
    """Below the axes, in as many columns as fit."""
    columns = int(figure.get_figwidth() / (0.6 + CHARACTER * max(map(len, labels))))
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, columns), frameon=False)


def row_height(names: list[str]) -> float:
    """Inches of a row whose name, beside the axis, can have several lines."""
    return 0.2 + 0.15 * max(name.count("\n") + 1 for name in names)


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
    columns = min(PANELS_A_ROW, len(panels))
    rows = -(-len(panels) // columns)
    size = (max(LEAST_WIDTH, PANEL[0] * columns), 0.8 + PANEL[1] * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False)
    longest = max(chains.parse(chain).epochs for _, chain, _ in panels)
    for axis, (arm, chain, history) in zip(axes.flat, panels, strict=False):
        _draw_stages(axis, chains.parse(chain), colours, detectors)
        _draw_ap(axis, chains.parse(chain), history)
        axis.set(title=wrapped(arm, NAME), xlabel="total epochs", xlim=(0, longest + 0.3))
    for axis in list(axes.flat)[len(panels) :]:
        axis.remove()
    for axis in axes[:, 0]:
        axis.set_ylabel("AP (validation)")
    top = max(histories["AP"].max(), *detectors.values())
    axes[0, 0].set_ylim(0, 1.12 * max(top, LEAST_AP))
    give_title(figure, f"{title}: AP during the stages of each arm (dashed: AP of the teacher)")
    give_legend(figure, [_span(colour) for colour in colours.values()], list(colours))
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
    names = {_taught_by(stage) for text in texts for stage in chains.parse(text).stages}
    taught = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(sorted(names - {NO_TEACHER_LABEL}))}
    return taught | dict.fromkeys(names & {NO_TEACHER_LABEL}, NO_TEACHER_COLOUR)


def _taught_by(stage: chains.Stage) -> str:
    return "~".join(stage.teachers) or NO_TEACHER_LABEL


def _span(colour: str) -> Rectangle:
    """What stands for a stage in a legend."""
    return Rectangle((0, 0), 1, 1, color=colour, alpha=SPAN, linewidth=0)


def _draw_stages(axis, chain: chains.Chain, colours: dict[str, str], detectors: dict[str, float]) -> None:
    start = 0
    for stage in chain.stages:
        colour = colours[_taught_by(stage)]
        end = start + stage.epochs
        axis.axvspan(start, end, color=colour, alpha=SPAN, linewidth=0)
        for teacher in stage.teachers:
            axis.hlines(detectors[teacher], start, end, colors=colour, linestyles="dashed")
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
    names = [f"{arm}\n{wrapped(chain, NAME)}" for arm, chain, _ in groups]
    figure, axis = plt.subplots(figsize=(8, 1.1 + row_height(names) * len(groups)))
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
    axis.set_yticks(range(len(groups)), names)
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.set(
        xlabel="AP (validation)\nbar: mean over seeds; dots: seeds; line: 95% interval of the mean",
        xlim=(0, 1.1 * max(*ends, LEAST_AP)),
    )
    give_title(figure, f"{title}: AP at the end of each arm")
    kinds = {NO_TEACHER_LABEL: NO_TEACHER_COLOUR, "one stage": COLOURS[1], "several stages": COLOURS[0]}
    handles = [Rectangle((0, 0), 1, 1, color=colour, alpha=0.45) for colour in kinds.values()]
    give_legend(figure, handles, list(kinds))
    return figure


def adaptation_cost(
    costs: dict[tuple[str, str], float], ap: dict[str, float], student: str, order: list[str]
) -> Figure:
    """The matrix of costs, lowest AP first; the steps of the chosen order are framed and numbered."""
    names = sorted(ap, key=ap.__getitem__)
    matrix = np.array([[costs.get((s, t), np.nan) for t in names] for s in names])
    labels = [f"{name}\n{ap[name]:.1f} AP" for name in names]
    side, beside = 1.5 + 0.75 * len(names), CHARACTER * max(map(len, names))
    figure, axis = plt.subplots(figsize=(max(LEAST_WIDTH, side + 1.2 + beside), side + beside / 2))
    image = axis.imshow(matrix, cmap="viridis_r")
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
    give_title(figure, f"Adaptation cost; framed: the chosen order {' → '.join([student, *order])}")
    figure.colorbar(image, shrink=0.8, label="cost (1 - R², mean over levels)")
    return figure
