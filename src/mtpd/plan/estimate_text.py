"""A plan as a Markdown page."""

from __future__ import annotations

from mtpd.experiment import chains, rows
from mtpd.plan.estimate import UNKNOWN, Plan, Source, teachers
from mtpd.plan.graph import Node

GPUS = (1, 4, 8)


def text(plan: Plan, sources: list[Source], gpus: int | None = None) -> str:
    """All of a plan. Args: ``gpus``, a number of GPUs to plan for besides ``GPUS``."""
    parts = [
        f"# Plan of the experiment `{plan.experiment.experiment}`",
        _summary(plan),
        _stages(plan),
        "## Time",
        _time(plan, sorted({*GPUS, *([gpus] if gpus else [])})),
        "## Disk",
        _disk(plan),
        "## Data and checkpoints from elsewhere",
        _sources(sources),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(plan: Plan) -> str:
    open_orders = [node for node in plan.to_train if not node.known]
    lines = [
        f"- stages: {len(plan.nodes)}; there already: {len(plan.done)}; to train: {len(plan.to_train)}",
        f"- shared between arms: {len(plan.shared)}, trained once",
        f"- training images: {UNKNOWN if plan.images is None else plan.images}",
        f"- {_unit(plan)}: {_total(plan)}",
    ]
    if open_orders:
        lines.append(
            f"- there may be fewer stages than that: the teachers of {len(open_orders)} of them are chosen "
            "later (`snakemake orders --cores all --configfile FILE`), and the plan counts the most that "
            "can be chosen"
        )
    lines += [f"- {line}" for line in _other_lengths(plan)]
    if plan.done:
        lines.append(
            "- a stage is there if its `student.pth` is; if settings changed, Snakemake trains it again"
        )
    return "\n".join(lines)


def _other_lengths(plan: Plan) -> list[str]:
    """Arms that are compared with a control of other epochs."""
    epochs = {
        name: arm.epochs or chains.parse(arm.chain).epochs for name, arm in plan.experiment.arms.items()
    }
    return [
        f"`{arm}` has {epochs[arm]} epochs, and its control `{control}` {epochs[control]}: their comparison "
        "says little about the method"
        for arm, control in rows.comparisons(plan.experiment)
        if epochs[arm] != epochs[control]
    ]


def _unit(plan: Plan) -> str:
    return "GPU-hours" if plan.experiment.compute.gpus else "hours of jobs on the CPU"


def _total(plan: Plan) -> str:
    unknown = len(plan.unknown)
    if not unknown:
        return _hours(plan.gpu_hours())
    if unknown == len(plan.to_train):
        return UNKNOWN
    return f"at least {_hours(plan.gpu_hours())}; of {unknown} stages {UNKNOWN}"


def _stages(plan: Plan) -> str:
    """A row for each chain; its seeds together."""
    groups: dict[tuple, list[Node]] = {}
    for node in plan.nodes.values():
        groups.setdefault((node.student, node.recipe, node.chain), []).append(node)
    head = ["student", "recipe", "stage", "teachers", "images x epochs", "seeds", "there", _unit(plan)]
    return _table([*head, "peak MB", "used by"], [_row(plan, nodes) for nodes in groups.values()])


def _row(plan: Plan, nodes: list[Node]) -> list[str]:
    first = nodes[0]
    left = [node for node in nodes if node.key not in plan.done]
    seconds = plan.seconds(first)
    peak = plan.peak_mb(first)
    return [
        first.student,
        first.recipe,
        str(first.chain.count("+") + 1),
        teachers(first),
        f"{UNKNOWN if plan.images is None else plan.images} x {first.epochs}",
        str(len(nodes)),
        str(len(nodes) - len(left)),
        UNKNOWN if seconds is None and left else _hours((seconds or 0) * len(left) * plan.gpus / 3600),
        UNKNOWN if peak is None else f"{peak:.0f}",
        ", ".join(dict.fromkeys(user for node in nodes for user in node.users)),
    ]


def _time(plan: Plan, counts: list[int]) -> str:
    parts = []
    if plan.images is None:
        parts.append("Unknown: the annotation file of the training images is not there.")
    if plan.unmeasured:
        parts.append(
            f"Not measured yet: {', '.join(plan.unmeasured)}. Measured speeds are those of finished "
            "stages, and of a table (`SPEEDS=speeds.csv`: student, teachers, seconds_per_image, peak_mb)."
        )
    if len(plan.unknown) < len(plan.to_train):
        parts += [_longest_way(plan), _totals(plan, counts)]
        parts.append("Scoring of detectors and adaptation costs are not counted.")
    return "\n\n".join(parts) or "Nothing to train."


def _least(plan: Plan) -> str:
    return "at least " if plan.unknown else ""


def _longest_way(plan: Plan) -> str:
    path = plan.critical_path()
    steps = " -> ".join(f"{node.student} ({teachers(node)}, {node.epochs} epochs)" for node in path)
    hours = sum(plan.known_seconds()[node.key] for node in path) / 3600
    longest = f"{_least(plan)}{_hours(hours)} hours"
    return f"Critical path (more GPUs do not help): {longest}: {steps}"


def _totals(plan: Plan, counts: list[int]) -> str:
    on_gpus = plan.experiment.compute.gpus
    unit = f"GPUs, {on_gpus} for each stage" if on_gpus else "jobs at a time"
    rows = [[str(count), _until(plan.hours_on(count), _least(plan))] for count in counts]
    return _table([unit, "hours until all stages are trained"], rows)


def _until(hours: float | None, least: str) -> str:
    return "too few for a stage" if hours is None else least + _hours(hours)


def _disk(plan: Plan) -> str:
    needed, without = plan.disk_bytes()
    amount = f"up to {needed / 2**30:.1f} GiB" if needed or not without else UNKNOWN
    text = f"Checkpoints and predictions of the stages to train: {amount}."
    if without:
        text += (
            f" Not counted: stages of {', '.join(without)}. Run `make rehearsal` first, which counts their "
            "parameters; the validation annotations must be there, too."
        )
    return text


def _sources(sources: list[Source]) -> str:
    rows = [
        [found.user, found.place, _gigabytes(found.bytes), "yes" if found.present else "no"]
        for found in sources
    ]
    if not rows:
        return "None."
    size = sum(found.bytes for found in sources if found.bytes and not found.present)
    text = f"To download, as far as sizes are known: {_gigabytes(size)} GB."
    return "\n\n".join([_table(["for", "file or URL", "GB", "there"], rows), *[text] * bool(size)])


def _gigabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e9:.1f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _hours(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 10 else f"{hours:.2g}"
