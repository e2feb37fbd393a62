"""Which teachers, in which order: Backward Greedy Selection (BGS) and the other policies.

The paper names BGS and its purpose; the algorithm here is a reconstruction (docs/method.md).
"""

from __future__ import annotations

from itertools import permutations

Costs = dict[tuple[str, str], float]


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
            return order, [*why, f"stop: no teacher lies between {student} and {target} in AP"]
        helper = min(between, key=lambda t: costs[t, target])
        comparison = f"C({helper}->{target}) = {costs[helper, target]:.3f}"
        if costs[student, target] <= costs[helper, target]:
            alone = f"C({student}->{target}) = {costs[student, target]:.3f}"
            return order, [*why, f"stop: {alone} is no more than {comparison}, the best helper's"]
        order.insert(0, helper)
        why.append(f"{helper} goes before {target}: {comparison} is the least")
    return order, [*why, f"stop: {max_teachers} teachers are the most allowed"]


def orders_by_policy(
    student: str, ap: dict[str, float], costs: Costs, max_teachers: int
) -> dict[str, list[list[str]]]:
    """The orders that each policy gives. Only ``all`` gives more than one."""
    chosen, _ = backward_greedy_selection(student, ap, costs, max_teachers)
    pool = [name for name in ap if name != student]
    return {
        "bgs": [chosen],
        "reverse": [chosen[::-1]],
        "by-ap": [sorted(pool, key=ap.__getitem__)],
        "strongest": [[max(pool, key=ap.__getitem__)]],
        "all": [list(order) for order in permutations(sorted(pool))],
    }
