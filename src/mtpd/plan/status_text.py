"""The status of an experiment as plain lines of 80 columns."""

from __future__ import annotations

import textwrap

from mtpd.job.progress import duration
from mtpd.plan import makespan
from mtpd.plan.estimate import Plan
from mtpd.plan.status import DONE, RUNNING, STATES, Status, name

COLUMNS = 80


def text(plan: Plan, statuses: list[Status]) -> str:
    """Counts and the time left, then the stages by their state.

    Args:
        plan, statuses: of ``status.now``.
    """
    ordered = sorted(statuses, key=lambda status: STATES.index(status.state))
    left = time_left(plan, statuses) or "time left: unknown, no stage has shown its speed yet"
    parts = [_counts(plan, statuses), left, *_open_orders(plan)]
    lines = [line for part in parts for line in _wrapped(part)]
    return "\n".join([*lines, *(line for status in ordered for line in _stage(status))]) + "\n"


def _counts(plan: Plan, statuses: list[Status]) -> str:
    found = [status.state for status in statuses]
    by_state = ", ".join(f"{found.count(state)} {state}" for state in reversed(STATES))
    return f"{plan.experiment.experiment}: {len(statuses)} stages: {by_state}"


def time_left(plan: Plan, statuses: list[Status], free: int = 0) -> str | None:
    """The time left in words; None if no speed is known.

    Args:
        plan, statuses: as for ``text``.
        free: places for a stage, besides those of the running ones.
    """
    to_do = [status for status in statuses if status.state != DONE]
    seconds = {status.node.key: _seconds_left(plan, status) for status in to_do}
    if not to_do:
        return "time left: none"
    unknown = [key for key, value in seconds.items() if value is None]
    if len(unknown) == len(seconds):
        return None
    places = max(1, free + sum(status.state == RUNNING for status in to_do))
    known = {key: value or 0.0 for key, value in seconds.items()}
    total = duration(makespan.makespan(known, plan.waits_for(), places))
    least = f"at least {total}, and {len(unknown)} stages of unknown speed" if unknown else f"about {total}"
    return f"time left: {least}; {places} at a time; only stages are counted"


def _seconds_left(plan: Plan, status: Status) -> float | None:
    """Seconds that a stage still takes: as it says itself, or else from the speed of others."""
    if status.seconds_left is not None:
        return status.seconds_left
    whole = plan.seconds(status.node)
    return None if whole is None else whole * status.left


def _open_orders(plan: Plan) -> list[str]:
    """Stages that wait for an order."""
    waiting = [node for node in plan.to_train if node.pool]
    if not waiting:
        return []
    pools = ", ".join(sorted({f"{node.pool} (student {node.student})" for node in waiting}))
    return [
        f"order not known yet: pool {pools}: order_teachers has not run; {len(waiting)} stages wait for it, "
        "and it may choose fewer"
    ]


def _stage(status: Status) -> list[str]:
    """The first detail stands beside the name if there is room."""
    title = f"{status.state:11} {name(status.node)}"
    first, *others = status.details
    if status.state == RUNNING or len(f"{title}  {first}") > COLUMNS:
        others = status.details
    else:
        title = f"{title}  {first}"
    return [*_wrapped(title), *(line for detail in others for line in _wrapped(detail, " " * 12))]


def _wrapped(text: str, indent: str = "") -> list[str]:
    """Paths stay whole, so that they can be copied."""
    more = indent or " " * 12
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=indent,
        subsequent_indent=more,
        break_long_words=False,
        break_on_hyphens=False,
    )
