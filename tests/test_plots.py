"""What the plots show, read off the figures."""

import pandas as pd
import pytest

from mtpd.report import plots

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
    spans = [segment.tolist() for lines in axis.collections for segment in lines.get_segments()]
    assert spans == [[[0, 20], [2, 20]], [[2, 30], [5, 30]]]


def test_the_chosen_order_is_framed_in_the_matrix_of_costs():
    costs = {(a, b): 0.1 for a in "stu" for b in "stu" if a != b}
    axis = plots.adaptation_cost(costs, {"s": 1.0, "t": 2.0, "u": 3.0}, "s", ["t", "u"]).axes[0]
    columns_and_rows = [corner + 0.47 for patch in axis.patches for corner in patch.get_xy()]
    assert columns_and_rows == pytest.approx([1, 0, 2, 1])  # s to t, t to u
