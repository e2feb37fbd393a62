"""Which teachers, in which order: Backward Greedy Selection (BGS) and the other policies.

The paper names BGS and its purpose; the algorithm here is a reconstruction (docs/method.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

from mtpd.experiment import scores

Costs = dict[tuple[str, str], float]
MOST_TO_PERMUTE = 5  # teachers of a pool: every permutation is trained
MOST_SEQUENCES = 200_000  # that ``min-max`` and ``min-sum`` look at: about a second


def backward_greedy_selection(
    student: str, ap: dict[str, float], costs: Costs, max_teachers: int
) -> tuple[list[str], list[str]]:
    """Choose teachers backwards from the strongest, each the cheapest to adapt from.

    Args:
        student: name of the student, a key of ``ap`` and of ``costs``.
        ap: AP of the student and of every teacher of the pool.
        costs: adaptation cost C(source -> target) by (source, target).
        max_teachers: most teachers in the order, at least 1.

    Returns:
        The order, first teacher first, and a sentence for each decision.
    """
    pool = [name for name in ap if name != student]
    order = [max(pool, key=ap.__getitem__)]
    why = [f"{order[0]} ends the order: highest AP ({ap[order[0]]:.1f})"]
    while len(order) < max_teachers:
        target = order[0]
        between = [t for t in pool if t not in order and ap[student] < ap[t] < ap[target]]
        if not between:
            return order, [*why, f"stop: no unused teacher has an AP between those of {student} and {target}"]
        candidate = min(between, key=lambda t: costs[t, target])
        comparison = f"C({candidate}->{target}) = {costs[candidate, target]:.3f}"
        if costs[student, target] <= costs[candidate, target]:
            alone = f"C({student}->{target}) = {costs[student, target]:.3f}"
            return order, [
                *why,
                f"stop: {alone} is not higher than {comparison}, the cost of the best candidate",
            ]
        order.insert(0, candidate)
        why.append(f"{candidate} is placed before {target}: {comparison} is the lowest cost")
    return order, [*why, f"stop: the order has max_teachers = {max_teachers} teachers"]


def step_costs(student: str, order: list[str], costs: Costs) -> list[float]:
    """C(S -> T1), C(T1 -> T2), ... of an order, from the student on."""
    return [costs[step] for step in zip([student, *order], order, strict=False)]


def count_sequences(teachers: int, max_teachers: int) -> int:
    """How many sequences of at most ``max_teachers`` of these teachers end with a given one."""
    return sum(math.perm(teachers - 1, before) for before in range(min(max_teachers, teachers)))


def cheapest_sequence(
    student: str,
    ap: dict[str, float],
    costs: Costs,
    max_teachers: int,
    total: Callable[[list[float]], float],
) -> tuple[list[str], list[str]]:
    """The sequence of teachers that ends with the strongest and whose step costs have the least total.

    Every sequence of at most ``max_teachers`` teachers is looked at. Of equal ones, the one with fewer
    teachers is taken, then the first by its names.

    Args:
        student: name of the student, a key of ``ap`` and of ``costs``.
        ap: AP of the student and of every teacher of the pool.
        costs: adaptation cost C(source -> target) by (source, target).
        max_teachers: most teachers in the order, at least 1.
        total: ``max`` for the largest step (``min-max``), ``sum`` for the sum of the steps (``min-sum``).

    Returns:
        The order, first teacher first, and a sentence with its total.
    """
    pool = [name for name in ap if name != student]
    last = max(pool, key=ap.__getitem__)
    others = [name for name in pool if name != last]
    lengths = range(min(max_teachers, len(pool)))
    sequences = ([*before, last] for length in lengths for before in permutations(others, length))
    value, _, order = min((total(step_costs(student, s, costs)), len(s), s) for s in sequences)
    what = "largest step cost" if total is max else "sum of step costs"
    count = count_sequences(len(pool), max_teachers)
    sentence = f"{' -> '.join([student, *order])}: its {what}, {value:.3f}, is the least of {count}"
    return order, [f"{sentence} sequences that end with {last}, of at most {max_teachers} teachers"]


def orders_by_policy(
    student: str, ap: dict[str, float], costs: Costs, max_teachers: int
) -> tuple[dict[str, list[list[str]]], dict[str, list[str]]]:
    """The orders that each policy gives, and the reasons of those that choose by costs.

    Only ``pairs`` and ``all`` give more than one order. A policy for which the pool is too large
    (``MOST_TO_PERMUTE``, ``MOST_SEQUENCES``) is left out; ``consistency`` refuses arms that ask for it.

    Raises:
        NoResultError: an AP is none.
    """
    scores.require(ap)
    pool = [name for name in ap if name != student]
    chosen = {"bgs": backward_greedy_selection(student, ap, costs, max_teachers)}
    if count_sequences(len(pool), max_teachers) <= MOST_SEQUENCES:
        for policy, total in (("min-max", max), ("min-sum", sum)):
            chosen[policy] = cheapest_sequence(student, ap, costs, max_teachers, total)
    orders = {
        **{policy: [order] for policy, (order, _) in chosen.items()},
        "reverse": [chosen["bgs"][0][::-1]],
        "by-ap": [sorted(pool, key=ap.__getitem__)],
        "strongest": [[max(pool, key=ap.__getitem__)]],
        "pairs": [list(order) for order in permutations(sorted(pool), 2)],
    }
    if len(pool) <= MOST_TO_PERMUTE:
        orders["all"] = [list(order) for order in permutations(sorted(pool))]
    return orders, {policy: why for policy, (_, why) in chosen.items()}
