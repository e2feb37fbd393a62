"""Only results that belong together stand in one table: of the settings of their rows, on the same data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mtpd import files
from mtpd.experiment import identity, test_split
from mtpd.experiment.rows import last_stage_file

NAMED = 5  # results in a message; the rest is counted
ADVICE = "Run the experiment, without naming a file: what does not fit is made again"


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
    require_made_with(
        {f"{stage['folder']}/metrics.json": stage[identity.KEY] for row in rows for stage in row["stages"]}
    )
    require_same_data(stage_metrics(rows))


def test_metrics(rows: list[dict]) -> dict[str, dict]:
    """The content of ``test_metrics.json`` of the last stage of every row, by its path."""
    paths = dict.fromkeys(last_stage_file(row, test_split.METRICS) for row in rows)
    return {path: files.read_json(path) for path in paths}


def require_tested_rows(rows: list[dict]) -> None:
    """``require_rows`` for the scores on the test split."""
    require_made_with({last_stage_file(row, test_split.METRICS): row[test_split.WITH] for row in rows})
    require_same_data(test_metrics(rows), "test")


def require_made_with(expected: dict[str, str]) -> None:
    """Check what made some metrics.

    Args:
        expected: ``identity.digest`` of the settings, by path of a ``metrics.json``.

    Raises:
        MixedResultsError: other settings made some of them.
    """
    wrong = [
        path
        for path, digest in expected.items()
        if files.fingerprint(files.read_json(path).get(identity.KEY)) != digest
    ]
    if wrong:
        raise MixedResultsError(f"made with other settings than this experiment's: {_named(wrong)}. {ADVICE}")


def require_trained_with(path: Path, provenance: dict, expected: str) -> None:
    """Check what trained a student.

    Args:
        path: of the student.
        provenance: of ``detectors.checkpoints.provenance``.
        expected: the fingerprint of ``identity.trained_with``.

    Raises:
        MixedResultsError: other settings trained it.
    """
    if files.fingerprint(provenance.get("trained_with")) != expected:
        raise MixedResultsError(f"trained with other settings than this experiment's: {path}. {ADVICE}")


def require_same_data(found: dict[str, dict], split: str = "validation") -> None:
    """Check that metrics of one data set were all computed on the same annotation file.

    Args:
        found: the content of ``metrics.json``, by where it was found.
        split: in words.

    Raises:
        MixedResultsError: they were not.
    """
    for dataset in {metrics["dataset"] for metrics in found.values()}:
        of_dataset = {name: m["annotations_sha256"] for name, m in found.items() if m["dataset"] == dataset}
        (usual, _), *others = Counter(of_dataset.values()).most_common()
        if others:
            odd = [f"{name} ({sha[:12]})" for name, sha in of_dataset.items() if sha != usual]
            raise MixedResultsError(
                f"scored on other {split} annotations of {dataset} than the rest ({usual[:12]}): "
                f"{_named(odd)}. {ADVICE}"
            )


def _named(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + f" and {len(names) - NAMED} more" * (len(names) > NAMED)
