import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtpd.experiment.policies import (
    backward_greedy_selection,
    cheapest_sequence,
    count_sequences,
    orders_by_policy,
)

# The orders that the authors publish, and the AP of their detectors.
KNOWN = {
    ("r101", "x101"): ("r50", {"r50": 36.5, "r101": 41.0, "x101": 41.6}),
    ("swin-t", "swin-s"): ("r50", {"r50": 36.5, "swin-t": 41.0, "swin-s": 43.0}),
    ("r50-dcn", "x101-dcn"): ("r50", {"r50": 38.2, "r50-dcn": 43.8, "x101-dcn": 46.5}),
    ("r101", "x101-dcn"): ("r50", {"r50": 37.0, "r101": 40.5, "x101-dcn": 44.2}),
}


@pytest.mark.parametrize("expected", KNOWN)
def test_published_orders_result_from_costs_that_grow_with_the_distance_in_ap(expected):
    student, ap = KNOWN[expected]
    ap = {**ap, "too-weak": ap[student] - 5}
    costs = {(a, b): abs(ap[a] - ap[b]) / 10 for a in ap for b in ap if a != b}
    assert backward_greedy_selection(student, ap, costs, 3)[0] == list(expected)


AP = {"s": 20.0, "a": 30.0, "b": 35.0, "c": 40.0}
COSTS = {("s", "c"): 0.5, ("a", "c"): 0.3, ("b", "c"): 0.2, ("s", "b"): 0.4, ("a", "b"): 0.1, ("s", "a"): 0.3}
COSTS |= {(target, source): 0.9 for source, target in COSTS if source != "s"}


def test_the_cheapest_candidates_go_first():
    assert backward_greedy_selection("s", AP, COSTS, 3)[0] == ["a", "b", "c"]


def test_it_stops_at_the_most_teachers_allowed():
    order, why = backward_greedy_selection("s", AP, COSTS, 2)
    assert order == ["b", "c"]
    assert "max_teachers = 2" in why[-1]


def test_it_stops_where_the_student_is_as_close_as_any_helper():
    order, why = backward_greedy_selection("s", AP, COSTS | {("s", "c"): 0.2}, 3)
    assert order == ["c"]
    assert "is not higher than" in why[-1]


def test_it_stops_where_no_teacher_lies_between():
    order, why = backward_greedy_selection("s", AP | {"a": 19.0, "b": 40.0}, COSTS, 3)
    assert len(order) == 1
    assert "between" in why[-1]


def test_each_policy_gives_its_order():
    orders, why = orders_by_policy("s", AP, COSTS, 2)
    assert orders["reverse"] == [["c", "b"]]
    assert orders["by-ap"] == [["a", "b", "c"]]
    assert orders["strongest"] == [["c"]]
    assert len(orders["all"]) == 6
    assert sorted(orders["pairs"]) == sorted([x, y] for x in "abc" for y in "abc" if x != y)
    assert orders["min-max"] == [["a", "c"]]  # 0.3, 0.3; from b: 0.4, 0.2
    assert orders["min-sum"] == [["c"]]  # 0.5; 0.6 with a or b before it
    assert "s -> a -> c: its largest step cost, 0.300, is the least of 3 sequences" in why["min-max"][0]
    assert "s -> c: its sum of step costs, 0.500, is the least of 3 sequences" in why["min-sum"][0]


def test_of_equal_sequences_the_shorter_then_the_first_by_name_is_taken():
    flat = dict.fromkeys(COSTS, 0.25)
    assert cheapest_sequence("s", AP, flat, 3, max)[0] == ["c"]
    far = flat | {("s", "c"): 0.75}
    assert cheapest_sequence("s", AP, far, 3, sum)[0] == ["a", "c"]


def test_a_large_pool_gives_no_list_of_all_permutations():
    ap = {"s": 1.0} | {f"t{i}": 2.0 + i for i in range(9)}
    costs = {(x, y): 0.5 for x in ap for y in ap if x != y}
    orders, _ = orders_by_policy("s", ap, costs, 3)
    assert "all" not in orders
    assert len(orders["pairs"]) == 72
    assert orders["min-max"] == [["t8"]]


def test_a_pool_with_too_many_sequences_has_no_cheapest_one():
    ap = {"s": 1.0} | {f"t{i}": 2.0 + i for i in range(12)}
    costs = {(x, y): 0.5 for x in ap for y in ap if x != y}
    assert not {"min-max", "min-sum", "all"} & set(orders_by_policy("s", ap, costs, 12)[0])


@st.composite
def measured(draw):
    """AP and costs of a student and one to five teachers, and the most teachers allowed."""
    names = ["s", *"abcde"[: draw(st.integers(1, 5))]]
    number = st.floats(0, 1) | st.sampled_from([0.25, 0.5])  # the second: ties
    ap = {name: 100 * draw(number) for name in names}
    costs = {(x, y): draw(number) for x in names for y in names if x != y}
    return ap, costs, draw(st.integers(1, 6))


def sequences(names, most):
    """Every sequence of up to ``most`` different names, by plain recursion."""
    found = [[]]
    for name in names if most else []:
        rest = [other for other in names if other != name]
        found += [[name, *more] for more in sequences(rest, most - 1)]
    return found


@given(measured())
def test_the_cheapest_sequence_is_no_dearer_than_any_other(case):
    ap, costs, most = case
    pool = [name for name in ap if name != "s"]
    highest = max(ap[name] for name in pool)
    for total in (max, sum):
        order, _ = cheapest_sequence("s", ap, costs, most, total)
        assert ap[order[-1]] == highest
        assert len(order) == len(set(order)) <= most
        others = [s for s in sequences(pool, most) if s and s[-1] == order[-1]]
        assert len(others) == count_sequences(len(pool), most)
        values = []
        for other in others:
            largest, added, before = 0.0, 0.0, "s"
            for name in other:
                largest = max(largest, costs[before, name])
                added += costs[before, name]
                before = name
            values.append(((largest if total is max else added), len(other), other))
        assert min(values)[2] == order
