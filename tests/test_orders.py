import pytest

from mtpd.experiment.orders import backward_greedy_selection, orders_by_policy

# AP of the official detectors; costs are plausible, not measured: families resemble each other.
KNOWN = {
    ("r101", "x101"): ("r50", {"r50": 36.5, "r101": 41.0, "x101": 41.6}),
    ("swin-t", "swin-s"): ("r50", {"r50": 36.5, "swin-t": 41.0, "swin-s": 43.0}),
    ("r50-dcn", "x101-dcn"): ("r50", {"r50": 38.2, "r50-dcn": 43.8, "x101-dcn": 46.5}),
    ("r101", "x101-dcn"): ("r50", {"r50": 37.0, "r101": 40.5, "x101-dcn": 44.2}),
}


@pytest.mark.parametrize("expected", KNOWN)
def test_known_good_orders(expected):
    student, ap = KNOWN[expected]
    first, last = expected
    costs = {(student, last): 0.40, (student, first): 0.30, (first, last): 0.25, (last, first): 0.22}
    assert backward_greedy_selection(student, ap, costs, 3)[0] == [first, last]


AP = {"s": 20.0, "a": 30.0, "b": 35.0, "c": 40.0}
COSTS = {("s", "c"): 0.5, ("a", "c"): 0.3, ("b", "c"): 0.2, ("s", "b"): 0.4, ("a", "b"): 0.1, ("s", "a"): 0.3}


def test_the_cheapest_helper_goes_first():
    assert backward_greedy_selection("s", AP, COSTS, 3)[0] == ["a", "b", "c"]


def test_it_stops_at_the_most_teachers_allowed():
    order, why = backward_greedy_selection("s", AP, COSTS, 2)
    assert order == ["b", "c"]
    assert "most allowed" in why[-1]


def test_it_stops_where_the_student_is_as_close_as_any_helper():
    order, why = backward_greedy_selection("s", AP, COSTS | {("s", "c"): 0.2}, 3)
    assert order == ["c"]
    assert "no more than" in why[-1]


def test_it_stops_where_no_teacher_lies_between():
    order, why = backward_greedy_selection("s", AP | {"a": 19.0, "b": 40.0}, COSTS, 3)
    assert len(order) == 1
    assert "between" in why[-1]


def test_each_policy_gives_its_order():
    orders = orders_by_policy("s", AP, COSTS, 2)
    assert orders["reverse"] == [["c", "b"]]
    assert orders["by-ap"] == [["a", "b", "c"]]
    assert orders["strongest"] == [["c"]]
    assert len(orders["all"]) == 6
