"""The card of an exported student: what it is, how it was trained, what it reaches, how to use it."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pandas as pd
import yaml

from mtpd.experiment import chains, scores
from mtpd.report import cards, tables

TEMPLATE = Path(__file__).with_suffix(".md")
SHOWN = ("AP", "AP50", "AP75")
PROGRAMS = {"metrics.json": "mmdet (metrics.json)", "onnxruntime": "onnxruntime"}


def card(spec: dict, export: dict, metrics: dict, student: Path) -> str:
    """A Markdown page.

    Args:
        spec: of ``mtpd.experiment.cards.export``.
        export: the content of ``export.json``.
        metrics: the content of the student's ``metrics.json``.
        student: path of its ``student.pth``.
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
                {
                    "of": scores.KINDS[kind],
                    "with": PROGRAMS[program],
                    **{name: numbers[name] for name in SHOWN},
                }
                for kind, by_program in metrics.items()
                for program, numbers in by_program.items()
            ]
        )
    )
