"""The main table of an experiment: a row for each teacher, student and arm; and how tables are written."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from mtpd import files
from mtpd.experiment import scores, test_split
from mtpd.experiment.rows import last_stage_file
from mtpd.report import provenance, stamps, statistics

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
COST = {"params_m": "params (M)", "gmacs": "GMACs", "ms_per_image": "ms/image"}
HALF_WIDTH = "\N{PLUS-MINUS SIGN}95%"  # of the interval of AP
ON_TEST = "test "  # begins the names of columns with numbers of the test split
BESIDE = {name: f"{ON_TEST}{name}" for name in ("AP", HALF_WIDTH)}
DIFFERENCE = ("difference", "95% low", "95% high")
DIGITS = {
    **dict.fromkeys(("params (M)", "GMACs", *DIFFERENCE, *(ON_TEST + name for name in DIFFERENCE), "rho"), 2),
    **dict.fromkeys(("sum of step costs", "largest step cost"), 3),
}
NOTHING = "\N{EN DASH}"


def seed_rows(rows: list[dict]) -> pd.DataFrame:
    """One line for each arm, chain, seed and kind (bbox, segm), with the COCO numbers of its last stage.

    Args:
        rows: the experiment's (``arm``, ``student``, ``recipe``, ``chain``, ``seed``, ``stages``).

    Raises:
        MixedResultsError: as ``provenance.require_rows``.
        NoResultError: nothing was scored.
    """
    provenance.require_rows(rows)
    return _seed_rows(rows, "metrics.json")


def tested_seed_rows(rows: list[dict]) -> pd.DataFrame | None:
    """The scores of every row on the test split, if the data have one."""
    if not any(test_split.WITH in row for row in rows):
        return None
    provenance.require_tested_rows(rows)
    return _seed_rows(rows, test_split.METRICS)


def _seed_rows(rows: list[dict], file: str) -> pd.DataFrame:
    lines = []
    for row in rows:
        metrics = scores.read(last_stage_file(row, file))
        what = {key: row[key] for key in ("arm", "student", "recipe", "chain", "seed")}
        lines += [{**what, "kind": kind, **shown(metrics[kind])} for kind in _kinds(metrics)]
    return pd.DataFrame(lines)


def _kinds(metrics: dict) -> list[str]:
    return [kind for kind in ("bbox", "segm") if kind in metrics]


def shown(numbers: dict[str, float]) -> dict[str, float]:
    """The metrics of the table; NaN for COCO's -1 (-100 here): the split has no object of this size."""
    return {name: numbers[name] if numbers[name] >= 0 else math.nan for name in METRICS}


def histories(rows: list[dict]) -> pd.DataFrame:
    """Every row's epochs: its stages' ``history.csv``, with arm, student, chain, seed and stage (0, ...)."""
    lines = [
        _validated(pd.read_csv(f"{stage['folder']}/history.csv")).assign(
            arm=row["arm"], student=row["student"], chain=row["chain"], seed=row["seed"], stage=number
        )
        for row in rows
        for number, stage in enumerate(row["stages"])
    ]
    return pd.concat(lines, ignore_index=True)


def _validated(history: pd.DataFrame) -> pd.DataFrame:
    return history.assign(AP=history["AP"].where(history["AP"] >= 0))  # -100: nothing was scored


def main_table(
    seeds: pd.DataFrame,
    detectors: dict[str, dict],
    complexity: pd.DataFrame,
    test: tuple[pd.DataFrame, dict[str, dict]] | None = None,
) -> pd.DataFrame:
    """Teachers and students first, by AP, then the arms in the order of the experiment file.

    Args:
        seeds: of ``seed_rows``.
        detectors: ``metrics.json`` by detector.
        complexity: columns ``params_m``, ``gmacs``, ``ms_per_image``, by detector (index).
        test: ``seeds`` and ``detectors`` of the test split, if there is one: its AP stands beside the other.
    """
    table = _scored(seeds, detectors)
    if test:
        table = beside(table, _scored(*test), ["row", "role", "detector", "chain", "kind"])
    table = table.join(complexity.rename(columns=COST), on="detector")
    ap = [name for name in ("AP", HALF_WIDTH, *BESIDE.values()) if name in table]
    columns = ["row", "role", "detector", "chain", "seeds", *ap, *METRICS[1:], *COST.values()]
    if (table["kind"] == "segm").any():
        columns.insert(4, "kind")
    return table[columns].astype({"seeds": "Int64"})


def beside(table: pd.DataFrame, test: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """A table with the AP on the test split of the line that has the same ``keys``."""
    columns = {name: new for name, new in BESIDE.items() if name in test}
    return table.merge(test[[*keys, *columns]].rename(columns=columns), "left", keys)


def _scored(seeds: pd.DataFrame, detectors: dict[str, dict]) -> pd.DataFrame:
    students = list(dict.fromkeys(seeds["student"]))
    lines = [
        {"row": name, "role": "student" if name in students else "teacher", "detector": name, "kind": kind}
        | shown(found[kind])
        for name, found in detectors.items()
        for kind in _kinds(found)
    ]
    alone = pd.DataFrame(lines).sort_values(["role", "AP"], ascending=[False, False])
    groups = seeds.groupby(["arm", "student", "chain", "kind"], sort=False)
    arms = groups[list(METRICS)].mean().reset_index()
    arms[HALF_WIDTH] = groups["AP"].agg(half_width).to_numpy()
    arms["seeds"] = groups.size().to_numpy()
    arms = arms.rename(columns={"arm": "row", "student": "detector"}).assign(role="arm")
    return pd.concat([alone, arms], ignore_index=True)


def half_width(ap: pd.Series) -> float:
    """Half the width of the interval of the mean over seeds, AP points; NaN with one seed."""
    found = ap.dropna()
    half = statistics.mean_interval(found).half if len(found) else None
    return float("nan") if half is None else half


def write(path: Path, *tables: pd.DataFrame) -> None:
    """Write tables as CSV, Markdown or LaTeX, by the name's ending; those of a rehearsal are stamped."""
    form = {".csv": lambda table: table.to_csv(index=False), ".md": as_markdown, ".tex": as_latex}[
        path.suffix
    ]
    files.write_text(path, stamps.stamped(path, "\n".join(map(form, tables))))


def as_markdown(table: pd.DataFrame) -> str:
    return readable(table).to_markdown(index=False, disable_numparse=True) + "\n"


def as_latex(table: pd.DataFrame) -> str:
    columns = "".join("r" if is_numeric_dtype(kind) else "l" for kind in table.dtypes)
    return readable(table).map(_escape).rename(columns=_escape).to_latex(index=False, column_format=columns)


def _escape(text: str) -> str:
    for symbol in "_&%#":
        text = text.replace(symbol, f"\\{symbol}")
    return text.replace("~", r"\textasciitilde{}").replace("\N{PLUS-MINUS SIGN}", r"$\pm$")


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The cells as text, rounded per column."""
    return table.apply(lambda column: column.map(partial(_cell, digits=DIGITS.get(column.name, 1))))


def _cell(value, digits: int) -> str:
    if pd.isna(value):
        return NOTHING
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
