"""The paper's results beside ours."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mtpd import files
from mtpd.experiment import chains
from mtpd.report import provenance, tables

COCO = ("coco2017", 5000)  # name of the data set in config/paper, and images of COCO's val2017
KEYS = ["id", "kind"]  # of a result; one run may give two, of boxes and of masks
COLUMNS = ["id", "student", "kind", "loss", "arm", "teachers", "epochs", "paper's AP", "source"]
OURS = ["data", "recipe", "chain", "seeds", "AP", tables.HALF_WIDTH, "difference", "full scale"]


def read_published(path: Path) -> pd.DataFrame:
    """The paper's results (config/paper/results.csv): a line for each ``id`` and ``kind`` (bbox, segm)."""
    found = pd.read_csv(path, dtype={"epochs": str})
    return found.rename(columns={"metric": "kind", "ap": "paper's AP"})


def finished(rows: list[dict]) -> pd.DataFrame:
    """A line for each seed and kind of the rows that reproduce a result of the paper and have been scored.

    A stage that several experiments share counts once.

    Args:
        rows: of ``rows.json`` of one or several experiments; those that reproduce nothing are left out.
    """
    runs = {(row["paper"], row["stages"][-1]["folder"]): row for row in rows if "paper" in row}
    scored = [row for row in runs.values() if all(map(_is_scored, row["stages"]))]
    provenance.require_rows(scored)
    lines = [tables.seed_rows([row]).assign(id=row["paper"], **_data(row)) for row in scored]
    return pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=KEYS)


def _is_scored(stage: dict) -> bool:
    return Path(stage["folder"], "metrics.json").exists()


def _data(row: dict) -> dict[str, str | int]:
    """On what a row was scored."""
    metrics = files.read_json(f"{row['stages'][-1]['folder']}/metrics.json")
    return {"dataset": metrics["dataset"], "images": metrics["images"]}


def table(published: pd.DataFrame, seeds: pd.DataFrame) -> pd.DataFrame:
    """A row for each of the paper's results, and ours where there is one.

    A result that was reproduced in several ways (at full scale, and in a rehearsal) has several rows.

    Args:
        published: of ``read_published``.
        seeds: of ``finished``.
    """
    if seeds.empty:
        return published[COLUMNS].assign(**dict.fromkeys(OURS))
    runs = [*KEYS, "dataset", "images", "student", "recipe", "chain"]
    groups = seeds.astype({"AP": float}).groupby(runs, sort=False)["AP"]
    ours = groups.agg(["mean", "count", tables.half_width]).reset_index().drop(columns="student")
    ours = ours.rename(columns={"mean": "AP", "count": "seeds", "half_width": tables.HALF_WIDTH})
    found = published.merge(ours, on=KEYS, how="left")
    found["data"] = [_data_of(row) for row in found.to_dict("records")]
    found["difference"] = found["AP"] - found["paper's AP"]
    found["full scale"] = [_full_scale(row) for row in found.to_dict("records")]
    return found[[*COLUMNS, *OURS]].astype({"seeds": "Int64"})


def _data_of(row: dict) -> str | None:
    """The data set of a run, with its number of validation images."""
    return None if pd.isna(row["chain"]) else f"{row['dataset']} ({row['images']:.0f})"


def _full_scale(row: dict) -> str | None:
    """Whether ours has the paper's data, epochs, and teachers where it names them."""
    if pd.isna(row["chain"]):
        return None
    stages = chains.parse(row["chain"]).stages
    epochs = "+".join(str(stage.epochs) for stage in stages)
    teachers = " > ".join("~".join(stage.teachers) for stage in stages)
    named = teachers if pd.isna(row["teachers"]) else row["teachers"]
    ours = (row["dataset"], row["images"], epochs, teachers)
    return "yes" if ours == (*COCO, row["epochs"], named) else "no"


def missing(published: pd.DataFrame, found: pd.DataFrame) -> dict[str, list[str]]:
    """The ids without a result of ours at full scale, by the experiment that gives it."""
    done = set(found.loc[found["full scale"] == "yes", "id"])
    left = published[~published["id"].isin(done)].drop_duplicates("id")
    return {name: list(group["id"]) for name, group in left.groupby("experiment", sort=False)}
