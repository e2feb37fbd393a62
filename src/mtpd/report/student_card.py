"""The card of an exported student: what it is, how it was trained, what it reaches, how to use it."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pandas as pd
import yaml

from mtpd import files
from mtpd.experiment import chains, layout
from mtpd.report import cards, statistics, tables

TEMPLATE = Path(__file__).with_suffix(".md")
SHOWN = ("AP", "AP50", "AP75")
KINDS = {"bbox": "boxes", "segm": "masks"}
PROGRAMS = {"metrics.json": "mmdet (metrics.json)", "onnxruntime": "onnxruntime"}


def card(spec: dict, export: dict, metrics: dict, student: Path) -> str:
    """A Markdown page.

    Args:
        spec: of ``mtpd.experiment.cards.export``.
        export: the content of ``export.json``.
        metrics: the content of the student's ``metrics.json``.
        student: its ``student.pth``; the folders of other seeds beside its own give the interval.
    """
    strict = {"undefined": jinja2.StrictUndefined, "keep_trailing_newline": True}
    template = jinja2.Template(TEMPLATE.read_text(encoding="utf-8"), **strict)
    return template.render(
        spec=spec,
        export=export,
        metrics=metrics,
        student=student,
        size=" x ".join(map(str, export["resize"]["fit"])),
        inside=export["inside_the_graph"],
        found=export["agreement"],
        took=export["milliseconds"],
        results=_results(export["metrics"]),
        seeds=_seeds(student, spec["chain"], metrics),
        stages=chains.parse(spec["chain"]).stages,
        unnamed="not named in the experiment file",
        recipe=yaml.safe_dump(spec["settings"], sort_keys=False).strip(),
        config=cards.config,
        versions=cards.versions,
    )


def _results(metrics: dict) -> str:
    return tables.as_markdown(
        pd.DataFrame(
            [
                {"of": KINDS[kind], "with": PROGRAMS[program], **{name: numbers[name] for name in SHOWN}}
                for kind, by_program in metrics.items()
                for program, numbers in by_program.items()
            ]
        )
    )


def _seeds(student: Path, chain: str, metrics: dict) -> str:
    """AP over the seeds that are there, trained with the same settings, scored on the same annotations."""
    paths = sorted(student.parent.parent.glob("seed*/metrics.json"))
    found = {path.parent.name: files.read_json(path) for path in paths}
    settings = _settings(student.parent, chain)
    same = {
        name: other["bbox"]["AP"]
        for name, other in found.items()
        if other["annotations_sha256"] == metrics["annotations_sha256"]
        and settings
        and _settings(student.parent.with_name(name), chain) == settings
    }
    if len(same) < 2:
        return "AP is that of one seed: there is no interval over seeds."
    mean = statistics.mean_interval(list(same.values()))
    interval = f"{mean.mean:.1f}, 95% interval {mean.low:.1f} to {mean.high:.1f}"
    return f"AP of boxes over {mean.count} seeds ({', '.join(same)}): {interval}."


def _settings(folder: Path, chain: str) -> list[dict] | None:
    """Of the stages up to the student in a folder, without the seed; None if some are not known any more."""
    stages = [folder.parent.with_name(str(prefix)) / folder.name for prefix in chains.parse(chain).prefixes]
    specs = [Path(layout.work(str(stage)), layout.LAST_SPEC) for stage in stages]
    if not all(path.exists() for path in specs):
        return None
    return [files.read_json(path) | {"seed": None} for path in specs]
