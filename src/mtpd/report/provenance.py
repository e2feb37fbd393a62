"""Only results that belong together stand in one table: of the settings of their rows, on the same data."""

from __future__ import annotations

from collections import Counter

from mtpd import files
from mtpd.experiment import identity

NAMED = 5  # results in a message; the rest is counted
ADVICE = "Run the experiment again (snakemake, without naming a file): what does not fit is made again"


class MixedResultsError(ValueError):
    """Results that do not belong together; the message names them."""


def stage_metrics(rows: list[dict]) -> dict[str, dict]:
    """The content of ``metrics.json`` of every stage, by its folder."""
    folders = dict.fromkeys(stage["folder"] for row in rows for stage in row["stages"])
    return {folder: files.read_json(f"{folder}/metrics.json") for folder in folders}


def require_rows(rows: list[dict]) -> None:
    """Check that every stage was made with the settings of its row, and all were scored on the same data.

    Args:
        rows: of ``rows.json``; their stages have ``folder`` and ``made_with``, of ``identity.digest``.

    Raises:
        MixedResultsError: some were not.
    """
    expected = {stage["folder"]: stage[identity.KEY] for row in rows for stage in row["stages"]}
    found = stage_metrics(rows)
    wrong = [
        folder
        for folder, metrics in found.items()
        if files.fingerprint(metrics.get(identity.KEY)) != expected[folder]
    ]
    if wrong:
        raise MixedResultsError(f"made with other settings than this experiment's: {_named(wrong)}. {ADVICE}")
    require_same_data(found)


def require_same_data(found: dict[str, dict]) -> None:
    """Check that metrics of one data set were all computed on the same annotation file.

    Args:
        found: the content of ``metrics.json``, by where it was found.

    Raises:
        MixedResultsError: they were not.
    """
    for dataset in {metrics["dataset"] for metrics in found.values()}:
        of_dataset = {name: m["annotations_sha256"] for name, m in found.items() if m["dataset"] == dataset}
        (usual, _), *others = Counter(of_dataset.values()).most_common()
        if others:
            odd = [f"{name} ({sha[:12]})" for name, sha in of_dataset.items() if sha != usual]
            raise MixedResultsError(
                f"scored on other validation annotations of {dataset} than the rest ({usual[:12]}): "
                f"{_named(odd)}. {ADVICE}"
            )


def _named(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + f" and {len(names) - NAMED} more" * (len(names) > NAMED)
