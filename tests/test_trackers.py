"""Trackers see what history.csv has, go on with their run when a stage resumes, and change no result."""

import dataclasses
import importlib.util

import pandas as pd
import pytest
import torch
from conftest import progressive_stage, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mtpd.job import trackers
from mtpd.training.stage import train

PLACE = "few/students/student/pkd/swin@3/seed0"


def run(folder, stage):
    work = folder / "work" / PLACE
    work.mkdir(parents=True, exist_ok=True)
    train(stage, folder / "out", work, str(folder / "said"))
    return work / stage.fingerprint()


@pytest.fixture(scope="module")
def tracked(dataset, teacher, tmp_path_factory):
    """A stage of three epochs, called twice, as after a kill before its results were written."""
    folder = tmp_path_factory.mktemp("tracked")
    stage = dataclasses.replace(progressive_stage(dataset, teacher), trackers=("tensorboard",))
    run(folder, stage)
    return folder, run(folder, stage)


def test_tensorboard_has_the_history(tracked):
    folder, state = tracked
    events = EventAccumulator(str(state / "tensorboard"))
    events.Reload()
    history = pd.read_csv(folder / "out/history.csv")
    ap = {event.step: event.value for event in events.Scalars("AP")}
    validated = history.dropna(subset="AP")
    assert list(ap) == validated["epoch"].tolist()
    assert list(ap.values()) == pytest.approx(validated["AP"].tolist(), abs=1e-4)
    losses = [event for event in events.Scalars("distill_loss_pkd")]
    assert [event.step for event in losses] == sorted({event.step for event in losses})  # once each
    assert losses[-1].step == 9  # three epochs of three steps


def test_a_tracker_changes_no_weight(tracked, dataset, teacher, tmp_path):
    state = run(tmp_path, progressive_stage(dataset, teacher))
    assert state.name == tracked[1].name  # the same fingerprint
    assert not (state / "tensorboard").exists()
    expected = weights(tracked[0])
    assert all(torch.equal(value, expected[name]) for name, value in weights(tmp_path).items())


def test_a_run_of_wandb_is_named_by_its_stage_and_keeps_its_id(tmp_path):
    (backend,) = trackers.visualizer(("wandb",), tmp_path / PLACE / "abc", "few")["vis_backends"]
    name = "student/pkd/swin@3/seed0"
    assert backend["init_kwargs"] == {"project": "few", "name": name, "id": "abc", "resume": "allow"}


@pytest.mark.skipif(not importlib.util.find_spec("mlflow"), reason="mlflow is not installed")
def test_a_run_of_mlflow_keeps_its_id(tmp_path, monkeypatch):
    import mlflow

    address = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_RUN_ID", "")
    (tmp_path / PLACE / "abc").mkdir(parents=True)
    for _ in range(2):
        trackers.visualizer(("mlflow",), tmp_path / PLACE / "abc", "few")
    client = mlflow.MlflowClient(address)
    (one,) = client.search_runs([client.get_experiment_by_name("few").experiment_id])
    assert one.info.run_name == "student/pkd/swin@3/seed0"
