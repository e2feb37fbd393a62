"""The report page: one HTML file with the tables, plots and pictures of an experiment.

It is a page of our own, not Snakemake's report: that one shows files by rule, and this one answers questions.
"""

from __future__ import annotations

from pathlib import Path

import jinja2
import pandas as pd
from matplotlib import pyplot as plt

from mtpd import files, fonts
from mtpd.experiment.folders import is_rehearsal
from mtpd.report import imported_data, page_figures, stamps, statistics, tables
from mtpd.report.findings import Findings
from mtpd.report.tables import BESIDE, ON_TEST

NO_CLAIM = "no claim: one seed"


def build(
    settings: dict,
    results: Path,
    annotations: Path,
    images: Path,
    commands: list[str],
    imported: list[Path] | None = None,
) -> str:
    """The page as HTML, which needs no other file and no network.

    Args:
        settings: of ``mtpd.experiment.outputs.report_page``.
        results: folder of the experiment's tables and plots.
        annotations: COCO annotation file of the validation split.
        images: folder of its images.
        commands: how to make the results again.
        imported: ``import.json`` and the pictures of the data, if they are imported.
    """
    findings = Findings.read(settings)
    main = pd.read_csv(results / "tables/main.csv", dtype={"seeds": "Int64"})
    compared = pd.read_csv(results / "tables/comparison.csv") if settings["compared"] else pd.DataFrame()
    several = len(settings["students"]) > 1
    names = "".join(findings.classes)
    plt.rcParams["font.family"] = fonts.families(names)
    if lacking := fonts.warning(names):
        print(lacking)
    pictures = page_figures.seen_by_each(findings, annotations, images)
    first = findings.metrics[findings.student]
    content = {
        "settings": settings,
        "stamp": stamps.WORDS if is_rehearsal(results) else None,
        "images": first["images"],
        "lacking": lacking,
        "versions": first["versions"] | {"evaluator": first["evaluator"]},
        "verdicts": [line for _, row in compared.iterrows() for line in verdicts(row, several)],
        "tested": BESIDE["AP"] in main,
        "main": _sortable(main if several else main.drop(columns="detector")),
        "data": _data(*imported) if imported else None,
        "orders": {name: files.read_json(path) for name, path in settings["orders"].items()},
        "figures": [
            *page_figures.drawn_before(settings["plots"]),
            *page_figures.drawn_here(findings, main),
            pictures,
        ],
        "stages": _sortable(findings.stage_costs()),
        "commands": commands,
    }
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=folder, autoescape=True).get_template("page.html").render(content)


def verdicts(row: pd.Series, several_students: bool) -> list[dict[str, str]]:
    """A comparison on the validation split and, if there is one, on the test split."""
    on_test = {name.removeprefix(ON_TEST): value for name, value in row.items() if name.startswith(ON_TEST)}
    if not on_test:
        return [verdict(row, several_students)]
    splits = {", validation split": row, ", test split": pd.Series({**row, **on_test})}
    return [verdict(numbers, several_students, split) for split, numbers in splits.items()]


def _data(report: Path, *pictures: Path) -> dict:
    """What went into the experiment."""
    content = imported_data.described(report)
    shown = {name: _sortable(content[name]) for name in ("splits", "classes", "changes")}
    return {**shown, "notes": content["notes"], "figures": page_figures.of_data(pictures)}


def verdict(row: pd.Series, several_students: bool, split: str = "") -> dict[str, str]:
    """A comparison as a sentence, and what it shows."""
    said = f"{row['arm']} ({row['chain']}) against {row['control']} ({row['control chain']})"
    masks = {"bbox": ", boxes", "segm": ", masks"}.get(row.get("kind"), "")
    said = f"{row['student']}: {said}{masks}{split}" if several_students else f"{said}{masks}{split}"
    if pd.isna(row["95% low"]):
        shown = row["verdict"].replace(statistics.ONE_SEED, NO_CLAIM)
        return {"text": f"{said}: {row['difference']:+.1f} AP", "verdict": shown}
    interval = f"95% interval {row['95% low']:+.1f} to {row['95% high']:+.1f}, {row['seeds']} seeds"
    return {"text": f"{said}: {row['difference']:+.1f} AP ({interval})", "verdict": row["verdict"]}


def _sortable(table: pd.DataFrame) -> dict:
    """A table as text, with the value by which each cell is sorted."""
    pairs = zip(tables.readable(table).to_numpy(), table.to_numpy(), strict=True)
    rows = [
        [
            {"text": text, "value": "" if pd.isna(value) else value}
            for text, value in zip(texts, values, strict=True)
        ]
        for texts, values in pairs
    ]
    return {"columns": list(table.columns), "rows": rows}
