"""What each stage of an experiment does, as far as files tell."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from mtpd import files
from mtpd.experiment import folders, identity, scores, specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.schema import Experiment
from mtpd.job import failures, holder, preflight_text, progress
from mtpd.job.progress import duration
from mtpd.plan import graph, speeds
from mtpd.plan.estimate import Plan
from mtpd.plan.graph import Node
from mtpd.plan.speeds import Speed, Speeds

RUNNING, FAILED, INTERRUPTED, WAITING, DONE = "running", "failed", "interrupted", "waiting", "done"
STATES = (RUNNING, FAILED, INTERRUPTED, WAITING, DONE)  # in the order of the page
QUIET_SECONDS = 120  # after which the time since the last step is told
LOG_BYTES, LOG_LINES = 100_000, 3  # that are read of the end of a log, and that are shown
TRACEBACK = "Traceback (most recent call last)"
STOPPED_EARLY = "stopped early: "  # what workflow/scripts/stage.py says


@dataclass
class Status:
    """A stage, its state, what there is to say, and the share of its training that is still to do."""

    node: Node
    state: str
    details: list[str]
    left: float = 1.0
    seconds_left: float | None = None  # as the stage itself says

    @property
    def seconds_of_epoch(self) -> float | None:
        """The time of an epoch, if it is known from the time left."""
        if not self.seconds_left or not self.left:
            return None
        return self.seconds_left / (self.left * self.node.epochs)


def name(node: Node) -> str:
    """A stage as its own lines of progress call it."""
    if node.known:
        return "/".join(Path(node.key).parts[-4:])
    return (
        f"{node.student}/{node.recipe}/stage {node.chain.count('+') + 1} of {node.users[0]}/seed{node.seed}"
    )


def now(experiment: Experiment, layout: Layout) -> tuple[Plan, list[Status]]:
    """Every stage of an experiment and what it does; and the plan, whose speeds are those that were seen.

    All stages train on the same images, so the plan counts one image: a second of it is one of an epoch.
    """
    nodes = graph.stages(experiment, layout, graph.known_orders(experiment, layout))
    done = graph.done(nodes)
    seen = _Experiment(experiment, layout, nodes, done)
    statuses = [_status(node, seen) for node in nodes.values()]
    return Plan(experiment, nodes, done, images=1, speeds=_speeds_seen(layout.dataset, statuses)), statuses


def _speeds_seen(dataset: str, statuses: list[Status]) -> Speeds:
    """Seconds of an epoch: of the finished stages, or else of those that run."""
    running = {
        speeds.key(status.node.student, status.node.candidates[0]): Speed(status.seconds_of_epoch)
        for status in statuses
        if status.seconds_of_epoch
    }
    return running | speeds.of_finished_stages(dataset, images=1)


@dataclass(frozen=True)
class _Experiment:
    """An experiment and its stages, of which those with the keys ``done`` have results."""

    content: Experiment
    layout: Layout
    nodes: dict[str, Node]
    done: set[str]


def _status(node: Node, seen: _Experiment) -> Status:
    if node.key in seen.done:
        return Status(node, DONE, [_score(node)], left=0.0)
    work = Path(folders.work(node.key))
    position = _read(work / progress.FILE)
    who = holder.read(work / holder.FILE)
    if who and holder.is_alive(who):
        return _running(node, who, position, work)
    if node.known and not _same_settings(node, seen, work):
        starts_over = "its settings have changed since its last job: it will start over"
        return Status(node, WAITING, [_waits_for(node, seen), starts_over])
    log = Path(folders.logs(node.key), "stage.log")
    said = _end_of(log)
    if failure := _failure(work, position, said):
        return Status(node, FAILED, [*failure, f"log: {log}", *_last_lines(said)])
    if position or who:
        return _interrupted(node, work, position)
    return Status(node, WAITING, [_waits_for(node, seen)])


def _score(node: Node) -> str:
    try:
        return f"AP {scores.read(Path(node.key, 'metrics.json'))['bbox']['AP']:.1f}"
    except (FileNotFoundError, json.JSONDecodeError):
        return "AP unknown: no metrics.json"
    except scores.NoResultError:
        return "no AP: the validation split has no object that is scored"


def _read(path: Path) -> dict | None:
    """JSON with the age of the file in seconds, by the clock of this machine; None if it is not there."""
    try:
        return {**files.read_json(path), "age": time.time() - path.stat().st_mtime}
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _running(node: Node, who: dict, position: dict | None, work: Path) -> Status:
    place = holder.in_words(who)
    if not position or position["pid"] != who["pid"]:  # of an earlier job
        return Status(node, RUNNING, [place, "starting"])
    left = _steps_left(position, position["steps_done"])
    share = left / _steps(position)
    seconds = left * position["seconds_of_step"] if position["seconds_of_step"] else None
    doing = [_epoch(position, position["steps_done"]) if left else "trained; computes its results"]
    doing += [f"AP {position['AP']:.1f} so far"] if position["AP"] is not None else []
    doing += [f"{duration(seconds)} left"] if left and seconds else []
    doing += [f"last step {duration(position['age'])} ago"] if position["age"] > QUIET_SECONDS else []
    checked = _read(work / position["state"] / preflight_text.FILE)
    started = preflight_text.in_short(checked) if checked else "no batch yet"
    return Status(node, RUNNING, [place, ", ".join(doing), started], share, seconds)


def _steps(position: dict) -> int:
    return position["steps_of_epoch"] * position["epochs"]


def _steps_left(position: dict, done: int) -> int:
    return _steps(position) - done


def _epoch(position: dict, done: int) -> str:
    """The epoch and the step that come next."""
    epoch, step = divmod(done, position["steps_of_epoch"])
    return f"epoch {epoch + 1} of {position['epochs']}, step {step + 1} of {position['steps_of_epoch']}"


def _same_settings(node: Node, seen: _Experiment, work: Path) -> bool:
    """Whether the last job, if there was one, had the settings of now; files that it read may differ."""
    last = work / folders.LAST_SPEC
    spec = specs.stage(seen.content, seen.layout, node.student, node.recipe, node.chain, node.seed)
    return not last.exists() or identity.trained_with(files.read_json(last)) == identity.trained_with(spec)


def _failure(work: Path, position: dict | None, said: str) -> list[str]:
    """Why a stage that does not run has failed; nothing if it has not, or has only stopped early."""
    state = work / position["state"] if position else work
    for path in (work / failures.FINAL, state / failures.DIVERGED):
        if path.exists():
            return [f"final, see {path}:", path.read_text(encoding="utf-8").strip()]
    return (
        ["not final: the same command tries again"] if TRACEBACK in said and STOPPED_EARLY not in said else []
    )


def _end_of(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _last_lines(said: str) -> list[str]:
    lines = [line.strip() for line in said.splitlines() if line.strip(" ^~")]  # Python marks code below it
    return [f"| {line}" for line in lines[-LOG_LINES:]]


def _interrupted(node: Node, work: Path, position: dict | None) -> Status:
    saved = sorted((work / position["state"]).glob("iter_*.pth")) if position else []
    count = position.get("jobs", 1) if position else 1  # older versions do not count
    jobs = f"after {count} jobs: " if count > 1 else ""
    if not saved:
        return Status(node, INTERRUPTED, [f"{jobs}no state was saved yet: will start again at epoch 1"])
    done = int(saved[-1].stem.removeprefix("iter_"))
    left = _steps_left(position, done)
    where = f"will resume at {_epoch(position, done)}" if left else "is trained, will compute its results"
    return Status(node, INTERRUPTED, [jobs + where], left / _steps(position))


def _waits_for(node: Node, seen: _Experiment) -> str:
    missing = [name(seen.nodes[key]) for key in sorted(node.waits_for) if key not in seen.done]
    if node.pool:
        missing.append(f"the order of pool {node.pool} (order_teachers)")
    else:
        missing += [f"weights of {detector} (a job gets them)" for detector in _absent(node)]
    return f"for {', '.join(missing)}" if missing else "can start: it waits for no other stage"


def _absent(node: Node) -> list[str]:
    """The detectors whose weights a stage reads, that no stage trains, and that are not there."""
    return sorted({Path(path).parent.name for path in node.given if not Path(path).exists()})
