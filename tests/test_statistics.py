"""Intervals and comparisons, computed again by formulas written out by hand."""

import itertools
import random

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtpd.report import comparison, order_study, tables
from mtpd.report.statistics import RESAMPLES, mean_interval, paired_difference, rank_correlation, verdict

# 97.5% quantiles of Student's t, from a printed table, by degrees of freedom.
T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}
ARM = {0: 20.1, 1: 21.4, 2: 19.8, 3: 22.0, 7: 30.0}
CONTROL = {3: 20.9, 2: 19.9, 1: 20.0, 0: 19.5, 8: 1.0}
EVIDENCE = PROJECT / "docs/evidence"


def by_hand(values):
    """Mean and half the width of its interval, by plain loops."""
    mean = 0.0
    for value in values:
        mean += value / len(values)
    squares = 0.0
    for value in values:
        squares += (value - mean) ** 2
    deviation = (squares / (len(values) - 1)) ** 0.5
    return mean, T[len(values) - 1] * deviation / len(values) ** 0.5


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_interval_of_a_mean_is_that_of_the_formula(count):
    values = list(ARM.values())[:count]
    found = mean_interval(values)
    mean, half = by_hand(values)
    assert (found.mean, found.half, found.count) == (
        pytest.approx(mean),
        pytest.approx(half, rel=2e-4),
        count,
    )
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half), rel=1e-3)


def test_a_difference_is_paired_over_the_seeds_that_both_have():
    found = paired_difference(ARM, CONTROL)
    mean, half = by_hand([20.1 - 19.5, 21.4 - 20.0, 19.8 - 19.9, 22.0 - 20.9])
    assert (found.mean, found.count) == (pytest.approx(mean), 4)
    assert found.half == pytest.approx(half, rel=2e-4)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=9))
def test_a_paired_difference_is_scipys(pairs):
    arm, control = zip(*pairs, strict=True)
    found = paired_difference(dict(enumerate(arm)), dict(enumerate(control)))
    if np.std(np.subtract(arm, control)) > 1e-6:
        interval = stats.ttest_rel(arm, control).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("arm", "words", "half"),
    [
        ([2.0], "one seed: no interval", None),
        ([1.0, 1.0, 1.0], "no difference shown", 0),  # no spread, no difference
        ([2.5, 2.5, 2.5], "better", 0),  # no spread: the interval is the difference itself
        ([2.0, 2.1, 1.9], "better", 0.248),
        ([0.0, -0.1, 0.1], "worse", 0.248),
        ([0.0, 1.0, 2.5], "no difference shown", 3.126),
    ],
)
def test_the_verdict_is_what_the_interval_says(arm, words, half):
    found = paired_difference(dict(enumerate(arm)), dict.fromkeys(range(3), 1.0))
    assert verdict(found) == words
    assert found.half == (half if half is None else pytest.approx(half, abs=1e-3))


def spearman(x, y, axis):
    ranks = (stats.rankdata(values, axis=axis) for values in (x, y))
    return stats.pearsonr(*ranks, axis=axis).statistic


def test_a_rank_correlation_is_scipys_and_its_interval_repeats():
    noise = random.Random(0)
    x = [i / 3 for i in range(12)]
    y = [-value + noise.gauss(0, 0.8) for value in x]
    found = rank_correlation(x, y)
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found == rank_correlation(x, y)
    resampled = stats.bootstrap(
        (x, y), spearman, paired=True, vectorized=True, n_resamples=RESAMPLES, method="percentile", rng=0
    )
    expected = resampled.confidence_interval  # of the same samples: scipy draws them in the same way
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    mirrored = rank_correlation(x, [-value for value in y])  # both ends leave out as many samples
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize(("x", "y"), [([1, 2], [3, 4]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5])])
def test_two_orders_or_equal_ones_have_no_correlation(x, y):
    assert rank_correlation(x, y).rho is None


def rows(arm, chain, kind, aps, student="s", recipe="r"):
    return [(arm, student, recipe, chain, seed, kind, ap) for seed, ap in aps.items()]


def seeds(*groups):
    return pd.DataFrame(
        list(itertools.chain(*groups)), columns=["arm", "student", "recipe", "chain", "seed", "kind", "AP"]
    )


def test_every_chain_is_compared_for_each_student_and_kind_that_both_have():
    found = comparison.compare(
        seeds(
            rows("many", "a@1+b@1", "bbox", ARM),
            rows("many", "b@1+a@1", "bbox", {0: 1.0}),
            rows("many", "a@1+b@1", "segm", ARM),
            rows("many", "a@1+b@1", "bbox", ARM, "other"),
            rows("one", "b@2", "bbox", CONTROL),
            rows("one", "b@2", "segm", {0: np.nan, 1: 20.0}),
        ),
        [("many", "one")],
    )
    table = comparison.table(found)
    assert table[["kind", "chain", "control chain", "seeds"]].to_numpy().tolist() == [
        ["bbox", "a@1+b@1", "b@2", 4],
        ["bbox", "b@1+a@1", "b@2", 1],
        ["segm", "a@1+b@1", "b@2", 1],
    ]
    mean, half = by_hand([0.6, 1.4, -0.1, 1.1])
    assert table.loc[0, "difference"] == pytest.approx(mean)
    assert table.loc[0, "95% high"] == pytest.approx(mean + half, rel=1e-3)
    assert table.loc[0, "AP"] - table.loc[0, "control AP"] == pytest.approx(mean)
    text = tables.as_markdown(table)
    assert "one seed: no interval" in text
    assert text.splitlines()[3].count(tables.NOTHING) == 2
    assert r"95\% low" in tables.as_latex(table)


def test_the_same_runs_and_other_lengths_are_said():
    found = comparison.compare(
        seeds(
            rows("bgs", "b@2", "bbox", ARM),
            rows("direct", "b@2", "bbox", ARM),
            rows("long", "b@6", "bbox", ARM),
            rows("other", "b@2", "bbox", ARM, recipe="other"),
        ),
        [("bgs", "direct"), ("long", "direct"), ("other", "direct")],
    )
    assert [c.verdict for c in found] == [
        "the same runs",
        "no difference shown (6 against 2 epochs)",
        "no difference shown",
    ]


def test_orders_are_ranked_beside_their_predicted_costs():
    costs = {(x, y): 0.1 * (ord(x) % 7) + 0.05 * (ord(y) % 5) for x in "sabc" for y in "sabc" if x != y}
    orders = list(itertools.permutations("abc"))
    ap = dict(zip(orders, (12, 15, 11, 15, 13, 10), strict=True))
    found = seeds(
        *(rows("all", "+".join(f"{t}@2" for t in o), "bbox", {0: a, 1: a + 2}) for o, a in ap.items())
    )
    policies = {"bgs": [["c", "a"]], "reverse": [["a", "c"]], "by-ap": [["a", "c", "b"]]}
    ranked = order_study.rank_orders(found, "s", costs, policies).set_index("chain")
    assert ranked["rank"].tolist() == [1, 1, 3, 4, 5, 6]
    for order in orders:
        row = ranked.loc["+".join(f"{t}@2" for t in order)]
        steps = [costs["s", order[0]], costs[order[0], order[1]], costs[order[1], order[2]]]
        assert row["sum of step costs"] == pytest.approx(steps[0] + steps[1] + steps[2])
        assert row["largest step cost"] == max(steps)
        assert row["AP"] == ap[order] + 1
        assert row[tables.HALF_WIDTH] == pytest.approx(12.706, abs=1e-3)  # 12.706 * sqrt(2) / sqrt(2)
        assert row["policies"] == ("by-ap" if order == ("a", "c", "b") else "")
    ranked = ranked.reset_index()
    places = order_study.policy_ranks(ranked, policies).set_index("policy")["rank by AP"]
    assert places.to_dict() == {
        "bgs": "not trained in this arm",
        "reverse": "not trained in this arm",
        "by-ap": "1 of 6",
    }
    rho = order_study.correlations(ranked).set_index("prediction")["rho"]
    for prediction in order_study.PREDICTIONS:
        expected = stats.spearmanr(ranked[prediction], ranked["AP"]).statistic
        assert rho[prediction] == pytest.approx(expected)


def test_orders_are_ranked_within_their_arm():
    costs = {(x, y): 0.1 for x in "sab" for y in "sab" if x != y}
    found = seeds(
        *(rows(arm, chain, "bbox", {0: ap}) for arm, chain, ap in (
            ("zebra", "a@1+b@1", 1.0), ("zebra", "b@1+a@1", 2.0), ("ant", "a@1", 9.0), ("ant", "b@1", 8.0)
        ))
    )  # fmt: skip
    ranked = order_study.rank_orders(found, "s", costs, {})
    assert ranked[["arm", "chain", "rank"]].to_numpy().tolist() == [
        ["zebra", "b@1+a@1", 1],
        ["zebra", "a@1+b@1", 2],
        ["ant", "a@1", 1],
        ["ant", "b@1", 2],
    ]


@pytest.mark.parametrize("study", ["change", "fitting", "kinds", "parts"])
def test_committed_comparisons_follow_from_the_committed_seeds(study):
    committed = pd.read_csv(EVIDENCE / study / "comparison.csv")
    pairs = list(dict.fromkeys(zip(committed["arm"], committed["control"], strict=True)))
    found = comparison.table(comparison.compare(pd.read_csv(EVIDENCE / study / "seeds.csv"), pairs))
    pd.testing.assert_frame_equal(found, committed, rtol=1e-9)


def test_committed_correlations_follow_from_the_committed_orders():
    found = order_study.correlations(pd.read_csv(EVIDENCE / "orders/orders.csv"))
    pd.testing.assert_frame_equal(found, pd.read_csv(EVIDENCE / "orders/correlation.csv"), rtol=1e-9)
