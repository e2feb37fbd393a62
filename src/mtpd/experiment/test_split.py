"""Scores on the test split, where a data set has one. They are reported; nothing is chosen by them."""

from __future__ import annotations

from mtpd.experiment import data_specs
from mtpd.experiment.schema import Dataset

SPLIT = "test"
METRICS, PREDICTIONS = "test_metrics.json", "test_predictions.json"  # beside those of the validation split
WITH = "tested_with"  # in a row of rows.json: ``identity.digest`` of what its test scores are to be made with


def has_test(dataset: Dataset) -> bool:
    """Whether a data set has a test split. Its import finds out, so before that there is none."""
    report = data_specs.import_report(dataset)
    return bool(report) and SPLIT in report["splits"]
