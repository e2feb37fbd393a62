"""Cards of published detectors and of exported students: how they were trained, what they reach."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pandas as pd
import yaml

from mtpd import files
from mtpd.experiment import chains, scores
from mtpd.report import tables

STUDENT = Path(__file__).with_name("student_card.md")
SHOWN = ("AP", "AP50", "AP75")
PROGRAMS = {"metrics.json": "mmdet (metrics.json)", "onnxruntime": "onnxruntime"}


def of_detectors(spec: dict, published: dict[str, tuple[Path, dict]]) -> str:
    """A Markdown page with a table and a section for each detector.

    Args:
        spec: of ``mtpd.experiment.card_specs.publish``.
        published: by detector, the published file and the metrics of the detector it was made from.
    """
    lines = [
        {"detector": name, **tables.shown(found["bbox"]), "MB": path.stat().st_size / 1e6}
        for name, (path, found) in published.items()
    ]
    table = pd.DataFrame(lines).sort_values("AP")[["detector", "AP", "AP50", "AP75", "APs", "APm", "MB"]]
    sections = [_section(name, spec, *published[name]) for name in table["detector"]]
    return "\n".join(
        [f"# Detectors of the experiment `{spec['experiment']}`\n", tables.as_markdown(table), *sections]
    )


def of_student(spec: dict, export: dict, metrics: dict, student: Path) -> str:
    """A Markdown page.

    Args:
        spec: of ``mtpd.experiment.card_specs.export``.
        export: the content of ``export.json``.
        metrics: the content of the student's ``metrics.json``.
        student: path of its ``student.pth``.
    """
    strict = {"undefined": jinja2.StrictUndefined, "keep_trailing_newline": True}
    template = jinja2.Template(STUDENT.read_text(encoding="utf-8"), **strict)
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
        config=config,
        versions=versions,
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


def _section(name: str, spec: dict, path: Path, found: dict) -> str:
    detector = spec["detectors"][name]
    return f"""## {name}

- config: {config(detector)}
- data: `{spec["dataset"]["name"]}`, {spec["data"]}; classes: those of the data set
- training: {detector["training"]}
- AP {found["bbox"]["AP"]:.1f} on {found["images"]} validation images, before the conversion to half precision
- file: `{path.name}`, SHA-256 `{files.sha256(path)}`
- versions: {versions(found["versions"])}
"""


def versions(found: dict[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in found.items())


def config(detector: dict) -> str:
    """A detector's config, with its overrides if it has some."""
    overrides = f", overrides {detector['overrides']}" if detector["overrides"] else ""
    return f"`{detector['config']}`{overrides}"
