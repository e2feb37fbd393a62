"""A change of the code that changes what a stage trains has to raise RESULTS_VERSION (CONTRIBUTING.md)."""

import pandas as pd
import pytest
from conftest import PROJECT, progressive_stage

from mtpd import RESULTS_VERSION, files
from mtpd.training.stage import train

KNOWN = PROJECT / "tests/data/results_version.json"
RELATIVE = 1e-3  # other processors round otherwise


def test_a_small_stage_has_the_losses_of_this_results_version(dataset, teacher, tmp_path):
    train(progressive_stage(dataset, teacher), tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    losses = pd.read_csv(tmp_path / "out/history.csv")["loss"].tolist()
    found = {"results_version": RESULTS_VERSION, "losses": losses}
    known = files.read_json(KNOWN)
    if known["results_version"] != RESULTS_VERSION:
        files.write_json(KNOWN, found)
        pytest.fail(
            f"{KNOWN} now has the losses of results version {RESULTS_VERSION}: look at them, commit it"
        )
    why = "the code trains otherwise: undo it, or raise RESULTS_VERSION (CONTRIBUTING.md) and test again"
    assert losses == pytest.approx(known["losses"], rel=RELATIVE), why
