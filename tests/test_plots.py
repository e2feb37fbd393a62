"""What the plots show, read off the figures."""

from itertools import pairwise, permutations

import pandas as pd
import pytest

from mtpd.experiment import chains
from mtpd.report import comparison, order_study, plots, stamps, study_plots

SEEDS = pd.DataFrame(
    [
        ("direct", student, "t@2", seed, ap + seed)
        for student, ap in (("a", 10), ("b", 30))
        for seed in (0, 1)
    ],
    columns=["arm", "student", "chain", "seed", "AP"],
)


@pytest.mark.parametrize(
    ("students", "names", "means"),
    [(["a"], ["direct\nt@2"], [10.5]), (["a", "b"], ["direct (a)\nt@2", "direct (b)\nt@2"], [10.5, 30.5])],
)
def test_each_student_has_a_bar_of_its_own_at_the_mean_of_its_seeds(students, names, means):
    axis = plots.arms(SEEDS[SEEDS["student"].isin(students)], "x").axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == names
    assert [bar.get_width() for bar in axis.patches] == pytest.approx(means)
    # 12.706: the 97.5% quantile of Student's t with 1 degree of freedom; 10 and 11 deviate by 0.5 from 10.5.
    half = 12.706 * (2 * 0.5**2) ** 0.5 / 2**0.5
    (first, *_) = [line for bars in axis.containers if hasattr(bars, "has_xerr") for line in bars.lines[2]]
    ends = [x for x, _ in first.get_segments()[0]]
    assert ends == pytest.approx([means[0] - half, means[0] + half], abs=1e-3)


def test_one_seed_has_a_bar_without_an_interval():
    axis = plots.arms(SEEDS.query("seed == 0 and student == 'a'"), "x").axes[0]
    assert [bar.get_width() for bar in axis.patches] == [10]
    assert "10.0" in texts(axis)


def texts(axis):
    return [text.get_text() for text in axis.texts]


def compared(control_aps):
    """An arm with AP 20 and 22 (seeds 0 and 1) against a control with these."""
    lines = [("arm", "a@1+b@1", seed, ap) for seed, ap in enumerate((20.0, 22.0))]
    lines += [("control", "b@2", seed, ap) for seed, ap in enumerate(control_aps)]
    seeds = pd.DataFrame(lines, columns=["arm", "chain", "seed", "AP"]).assign(
        student="s", kind="bbox", recipe="r"
    )
    return comparison.compare(seeds, [("arm", "control")])


def test_a_comparison_shows_seeds_interval_zero_and_verdict():
    axis = study_plots.differences(compared([19.0, 21.2]), "x").axes[0]
    dots = next(line for line in axis.lines if line.get_marker() == "o")
    assert dots.get_xdata() == pytest.approx([1.0, 0.8])
    assert [0, 0] in [list(line.get_xdata()) for line in axis.lines]  # the zero line
    interval = next(c for c in axis.containers if hasattr(c, "has_xerr")).lines[2][0].get_segments()[0]
    assert [x for x, _ in interval] == pytest.approx([0.9 - 12.706 * 0.1, 0.9 + 12.706 * 0.1], abs=1e-3)
    assert texts(axis) == ["+0.90  [-0.37, +2.17]  2 seeds: no difference shown"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["arm vs control\na@1+b@1 vs b@2"]
    assert "difference in AP (points)" in axis.get_xlabel()


def test_a_comparison_with_one_seed_is_a_dot_and_words():
    axis = study_plots.differences(compared([19.5]), "x").axes[0]
    assert texts(axis) == ["+0.50  one seed: no interval"]
    assert not axis.containers


def test_orders_are_drawn_at_their_predictions_and_policies_are_marked():
    costs = {(x, y): 0.1 * (1 + ord(x) % 5 + ord(y) % 3) for x in "sabc" for y in "sabc" if x != y}
    pairs = [[x, y] for x in "abc" for y in "abc" if x != y]
    lines = [
        ("pairs", f"{x}@1+{y}@1", seed, 10 + ord(x) - 0.5 * ord(y) + seed)
        for x, y in pairs
        for seed in (0, 1)
    ]
    seeds = pd.DataFrame(lines, columns=["arm", "chain", "seed", "AP"])
    policies = {"bgs": [["a", "b"]], "reverse": [["b", "a"]], "min-sum": [["a", "b"]], "min-max": [["b"]]}
    ranked = order_study.rank_orders(seeds, "s", costs, policies)
    figure = study_plots.orders(ranked, order_study.correlations(ranked), "s")
    for axis, prediction in zip(figure.axes, order_study.PREDICTIONS, strict=False):
        assert "Spearman's rho" in axis.get_title()
        assert prediction in axis.get_xlabel()
        points = next(iter(axis.containers)).lines[0]
        assert points.get_xdata().tolist() == ranked[prediction].tolist()
        assert points.get_ydata().tolist() == ranked["AP"].tolist()
        assert texts(axis) == [str(rank) for rank in ranked["rank"]]
        marked = [line for line in axis.lines if line.get_markerfacecolor() == "none"]
        assert len(marked) == 3  # bgs and min-sum choose the same; min-max's is not trained
    assert "1  c → a" in texts(figure.axes[2])[0]
    assert [t.get_text() for t in figure.legends[0].texts][1:] == [
        f"order of {name}" for name in ("bgs", "reverse", "min-sum")
    ]


def test_stages_stand_one_after_the_other_with_their_teachers_ap():
    rows = [
        ("progressive", "s", "t@2+u@3", 0, stage, epoch, 5 * stage + epoch)
        for stage, n in ((0, 2), (1, 3))
        for epoch in range(1, n + 1)
    ]
    histories = pd.DataFrame(rows, columns=["arm", "student", "chain", "seed", "stage", "epoch", "AP"])
    axis = plots.ap_over_epochs(histories, {"t": 20.0, "u": 30.0}, "x").axes[0]
    (mean,) = (line for line in axis.lines if line.get_marker() == "o")
    assert mean.get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert mean.get_ydata().tolist() == [1, 2, 6, 7, 8]
    assert [text.get_text() for text in axis.figure.legends[0].texts] == ["t", "u"]
    spans = [segment.tolist() for lines in axis.collections for segment in lines.get_segments()]
    assert spans == [[[0, 20], [2, 20]], [[2, 30], [5, 30]]]


def test_the_chosen_order_is_framed_in_the_matrix_of_costs():
    costs = {(a, b): 0.1 for a in "stu" for b in "stu" if a != b}
    axis = plots.adaptation_cost(costs, {"s": 1.0, "t": 2.0, "u": 3.0}, "s", ["t", "u"]).axes[0]
    columns_and_rows = [corner + 0.47 for patch in axis.patches for corner in patch.get_xy()]
    assert columns_and_rows == pytest.approx([1, 0, 2, 1])  # s to t, t to u


LONG = ("retinanet_r101_2x", "retinanet_x101-32x4d_2x", "cascade-mask-rcnn_x101-32x4d-dcn")
LONG_CHAINS = {
    "no-teacher": "none@36",
    "strongest-thrice": "+".join([f"{LONG[2]}@12"] * 3),
    "progressive": "+".join(f"{name}@12" for name in LONG),
    "at-once": f"{'~'.join(LONG)}@36",
}


def with_long_names():
    """Each plot of an experiment with names as long as those of the paper's detectors; AP 0, as untrained."""
    title, student = "rehearsal/paper-number-of-teachers", "mask-rcnn_r50"
    columns = ["arm", "student", "chain", "seed", "kind", "AP"]
    lines = [
        (arm, student, chain, seed, "bbox", 0.0) for arm, chain in LONG_CHAINS.items() for seed in (0, 1)
    ]
    seeds = pd.DataFrame(lines, columns=columns)
    yield "arms", plots.arms(seeds, title)
    pairs = [("progressive", control) for control in LONG_CHAINS if control != "progressive"]
    yield "differences", study_plots.differences(comparison.compare(seeds.assign(recipe="r"), pairs), title)
    lines = [
        (arm, student, chain, 0, stage, epoch, 0.0)
        for arm, chain in LONG_CHAINS.items()
        for stage, found in enumerate(chains.parse(chain).stages)
        for epoch in range(1, found.epochs + 1)
    ]
    columns = ["arm", "student", "chain", "seed", "stage", "epoch", "AP"]
    histories, ap = pd.DataFrame(lines, columns=columns), dict.fromkeys((student, *LONG), 0.0)
    yield "epochs", plots.ap_over_epochs(histories, ap, title)
    yield "epochs of one arm", plots.ap_over_epochs(histories.query("arm == 'at-once'"), ap, title)
    costs = {(a, b): 0.1 * i for i, (a, b) in enumerate(permutations(ap, 2))}
    yield "costs", plots.adaptation_cost(costs, ap, student, list(LONG))
    orders = list(permutations(LONG))
    lines = [("all", "+".join(f"{name}@12" for name in order), 0, i) for i, order in enumerate(orders)]
    frame = pd.DataFrame(lines, columns=["arm", "chain", "seed", "AP"])
    ranked = order_study.rank_orders(frame, student, costs, {"bgs": [list(LONG)]})
    yield "orders", study_plots.orders(ranked, order_study.correlations(ranked), student)


def test_nothing_is_cut_off_and_no_labels_overlap_with_long_names():
    for name, figure in with_long_names():
        stamps.stamp(figure, "results/rehearsal/x.png")
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert drawn.x0 > -0.02 and drawn.y0 > -0.02, name
        assert drawn.x1 < width + 0.02 and drawn.y1 < height + 0.02, name
        for axis in figure.axes:
            boxes = [label.get_window_extent() for label in axis.get_yticklabels()]
            assert not any(a.overlaps(b) for a, b in pairwise(boxes)), name


def test_chains_are_broken_after_a_stage_or_teacher():
    assert plots.wrapped("a@1+b@1 vs none@2", 20) == "a@1+b@1 vs none@2"
    assert plots.wrapped("r-50@12+r-101~x-101@12 vs none@24", 8) == "r-50@12+\nr-101~\nx-101@12\nvs\nnone@24"


def test_a_plot_is_written_in_each_form_with_its_numbers_beside(tmp_path):
    found = compared([19.0, 21.2])
    paths = [tmp_path / f"comparison.{form}" for form in ("svg", "pdf", "png", "csv")]
    plots.write(paths, comparison.by_seed(found), study_plots.differences, found, "x")
    svg, pdf, png, numbers = (path.read_bytes() for path in paths)
    assert svg.startswith(b"<?xml") and pdf.startswith(b"%PDF") and png.startswith(b"\x89PNG")
    assert b"/Type3" not in pdf  # journals refuse such fonts
    rows = pd.read_csv(paths[-1])
    assert rows[["seed", "AP", "control AP"]].to_numpy().tolist() == [[0, 20.0, 19.0], [1, 22.0, 21.2]]
    assert rows["difference"].tolist() == pytest.approx([1.0, 0.8])
    again = tmp_path / "again.pdf"
    plots.write([again], numbers, study_plots.differences, found, "x")
    assert again.read_bytes() == pdf
