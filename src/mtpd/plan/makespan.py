"""When stages run: each after those that it waits for, on as many places as there are."""

from __future__ import annotations

import heapq

Seconds = dict[str, float]
Waits = dict[str, set[str]]


def longest_path(seconds: Seconds, waits_for: Waits) -> list[str]:
    """The stages that take longest one after the other: no number of GPUs makes it faster."""
    rest = _seconds_to_the_end(seconds, waits_for)
    path: list[str] = []
    ready = {key for key in seconds if not waits_for[key] & seconds.keys()}
    while ready:
        path.append(max(sorted(ready), key=rest.__getitem__))
        ready = {key for key in seconds if path[-1] in waits_for[key]}
    return path


def makespan(seconds: Seconds, waits_for: Waits, places: int) -> float:
    """Seconds until all stages are done, with at most ``places`` at a time.

    List scheduling: of the stages that can start, the one with the longest path after it starts first. Stages
    that ``waits_for`` names and ``seconds`` does not have are done already.
    """
    rest = _seconds_to_the_end(seconds, waits_for)
    left = {key: set(waits_for[key]) & seconds.keys() for key in seconds}
    running: list[tuple[float, str]] = []
    now = 0.0
    while left or running:
        ready = sorted((key for key, needs in left.items() if not needs), key=lambda key: (-rest[key], key))
        for key in ready[: places - len(running)]:
            heapq.heappush(running, (now + seconds[key], key))
            del left[key]
        now, done = heapq.heappop(running)
        for needs in left.values():
            needs.discard(done)
    return now


def _seconds_to_the_end(seconds: Seconds, waits_for: Waits) -> Seconds:
    """Seconds of each stage and of the longest path of stages after it."""
    after: dict[str, list[str]] = {key: [] for key in seconds}
    for key in seconds:
        for needed in waits_for[key] & seconds.keys():
            after[needed].append(key)
    rest: Seconds = {}

    def visit(key: str) -> float:
        if key not in rest:
            rest[key] = seconds[key] + max(map(visit, after[key]), default=0)
        return rest[key]

    for key in seconds:
        visit(key)
    return rest
