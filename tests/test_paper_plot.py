"""The plot of the paper's results beside ours, read off the figure."""

from itertools import combinations

import pandas as pd
import pytest
from conftest import PROJECT

from mtpd.report import paper, paper_plots

LINES = [
    # student, kind, loss, arm, the paper's AP, ours, its interval, full scale
    ("retinanet", "bbox", "cwd", "direct", 39.8, 38.8, 0.5, "yes"),
    ("retinanet", "bbox", "cwd", "progressive", 40.2, 41.2, 0.7, "yes"),
    ("retinanet", "bbox", "fgd", "direct", 40.7, None, None, None),
    ("mask-rcnn", "bbox", "cwd", "direct", 41.0, 41.5, None, "no"),
    ("mask-rcnn", "segm", "cwd", "direct", 37.0, 37.5, None, "no"),
]
COLUMNS = ["student", "kind", "loss", "arm", "paper's AP", "AP", "±95%", "full scale"]
FOUND = pd.DataFrame(LINES, columns=COLUMNS)


def heights(axis):
    """AP of every bar, from left to right."""
    return [bar.get_height() for bar in sorted(axis.patches, key=lambda bar: bar.get_x())]


def test_each_student_and_kind_has_a_panel_with_the_papers_bar_and_ours_by_loss():
    boxes, masked, masks = paper_plots.results(FOUND, "x").axes
    assert [axis.get_title() for axis in (boxes, masked, masks)] == [
        "retinanet, boxes",
        "mask-rcnn, boxes",
        "mask-rcnn, masks",
    ]
    assert heights(boxes) == [39.8, 38.8, 40.2, 41.2, 40.7]
    assert heights(masked) == [41.0, 41.5]
    assert [label.get_text() for label in boxes.get_xticklabels()] == ["cwd", "fgd"]
    assert [text.get_text() for text in masks.texts] == ["37.0", "37.5"]


def test_colours_are_of_arms_and_the_papers_bars_are_light():
    bars = paper_plots.results(FOUND, "x").axes[0].patches
    of_arm = [bar.get_facecolor()[:3] for bar in bars]
    assert of_arm[0] == of_arm[1] == of_arm[4] != of_arm[2] == of_arm[3]
    assert [bar.get_facecolor()[3] == 1 for bar in bars] == [False, True, False, True, False]


def test_intervals_are_inside_the_axis_and_its_start_is_said():
    figure = paper_plots.results(FOUND, "x")
    axis = figure.axes[0]
    intervals = [c.lines[2][0].get_segments()[0] for c in axis.containers if hasattr(c, "has_yerr")]
    assert [[y for _, y in ends] for ends in intervals] == [
        pytest.approx([38.3, 39.3]),
        pytest.approx([40.5, 41.9]),
    ]
    low, high = axis.get_ylim()
    assert low == 35  # 2 below the lowest bar, 37.0
    assert high > 41.9
    assert axis.get_ylabel() == "AP (axis starts at 35)"


def test_an_axis_that_starts_at_zero_does_not_say_so():
    axis = paper_plots.results(FOUND.assign(AP=1.0), "x").axes[0]
    assert (axis.get_ylim()[0], axis.get_ylabel()) == (0, "AP")


def test_the_title_says_what_is_not_at_the_papers_scale():
    title = paper_plots.results(FOUND, "x").get_suptitle()
    assert "(2 of ours not at the paper's scale)" in title.replace("\n", " ")
    assert "scale" not in paper_plots.results(FOUND.head(2), "x").get_suptitle()


def test_nothing_is_cut_off_and_no_numbers_overlap_in_figure_4():
    found = paper.read_published(PROJECT / "config/paper/results.csv").query("experiment == 'figure_losses'")
    found = found.assign(AP=found["paper's AP"], **{"±95%": 0.5, "full scale": "yes"})
    figure = paper_plots.results(found, "paper-figure-losses")
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 > -0.02 and drawn.y0 > -0.02 and drawn.x1 < width + 0.02 and drawn.y1 < height + 0.02
    for axis in figure.axes:
        boxes = [text.get_window_extent() for text in axis.texts]
        assert len(boxes) == 12
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
