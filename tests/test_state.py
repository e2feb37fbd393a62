"""How a stage survives: interrupted anywhere, it ends with the bits of one that was not."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pandas as pd
import pytest
import torch
from conftest import PROJECT, progressive_stage, weights
from mmengine.hooks import Hook

from mtpd import detectors, history, state, training
from mtpd.losses import LOSSES

ITERATIONS = 3  # of an epoch: 12 images, 4 a batch


@pytest.fixture(scope="module")
def uninterrupted(dataset, teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    train(progressive_stage(dataset, teacher), folder)
    return folder


def train(stage, folder):
    training.train(stage, folder / "out", folder / "work", str(folder / "progress"), "stage")


def said(folder):
    return (folder / "progress").read_text()


def assert_same_results(found, expected):
    ours, theirs = weights(found), weights(expected)
    assert list(ours) == list(theirs)
    for name in theirs:
        assert torch.equal(ours[name], theirs[name]), name
    for name in ("metrics.json", "predictions.json", "history.csv", "inherited.json"):
        assert (found / "out" / name).read_bytes() == (expected / "out" / name).read_bytes(), name


def at(moment, iteration, action):
    """A patch of History that acts at a moment of training, once."""
    original = getattr(history.History, moment, getattr(Hook, moment))
    done = []

    def acting(self, runner, *args, **kwargs):
        result = original(self, runner, *args, **kwargs)
        if runner.iter == iteration and not done:
            done.append(True)
            action()
        return result

    return acting


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("moment", "iteration"),
    [
        ("before_train_epoch", 2 * ITERATIONS),
        ("after_train_iter", 2 * ITERATIONS - 1),
        ("after_val_epoch", 2 * ITERATIONS),
        ("after_val_iter", 3 * ITERATIONS),
    ],
)
def test_a_stage_killed_anywhere_ends_as_if_it_had_not_been(
    moment, iteration, workers, dataset, teacher, uninterrupted, tmp_path, monkeypatch
):
    """With worker processes too, though the uninterrupted one had none."""
    stage = progressive_stage(dataset, teacher, workers=workers)
    with monkeypatch.context() as patch:
        patch.setattr(history.History, moment, at(moment, iteration, interrupt), raising=False)
        with pytest.raises(KeyboardInterrupt):
            train(stage, tmp_path)
    assert not (tmp_path / "out").exists()
    train(stage, tmp_path)
    assert "goes on after epoch" in said(tmp_path)
    assert_same_results(tmp_path, uninterrupted)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "pkd"])
def test_masks_and_learnt_parts_of_a_loss_go_on_too(loss, dataset, teacher, tmp_path, monkeypatch):
    stage = progressive_stage(dataset, teacher, loss=loss, epochs=2)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(stage, whole)
    with monkeypatch.context() as patch:
        patch.setattr(
            history.History, "after_train_iter", at("after_train_iter", 4, lambda: kill(signal.SIGTERM))
        )
        with pytest.raises(state.ToBeContinued):
            train(stage, parts)
    train(stage, parts)
    assert_same_results(parts, whole)


def kill(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_signal_saves_the_state_in_the_middle_of_an_epoch(
    number, accumulate, dataset, teacher, tmp_path, monkeypatch
):
    stage = progressive_stage(dataset, teacher, accumulate=accumulate)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(stage, whole)
    with monkeypatch.context() as patch:
        patch.setattr(history.History, "after_train_iter", at("after_train_iter", 4, lambda: kill(number)))
        with pytest.raises(state.ToBeContinued, match=signal.Signals(number).name):
            train(stage, parts)
    assert not (parts / "out").exists()
    train(stage, parts)
    # Accumulated gradients are not saved: with two batches a step it takes one iteration more, the last.
    where = ", iteration 2 of 3" if accumulate == 1 else ""
    assert f"goes on after epoch 1 of 3{where}\n" in said(parts)
    assert_same_results(parts, whole)


def test_a_coming_time_limit_saves_the_state(dataset, teacher, uninterrupted, tmp_path, monkeypatch):
    stage = progressive_stage(dataset, teacher)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + state.MARGIN_SECONDS - 1))
    with pytest.raises(state.ToBeContinued, match="time limit"):
        train(stage, tmp_path)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + 3600))
    train(stage, tmp_path)
    assert "iteration 1 of 3" in said(tmp_path)
    assert_same_results(tmp_path, uninterrupted)


def test_before_slurm_said_so_squeue_knows_the_time_limit(tmp_path, monkeypatch):
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/sh\n[ "$3" = 17 ] && echo 2030-01-02T03:04:05 || echo NONE\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert state.job_ends() is None
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert state.job_ends() == pd.Timestamp("2030-01-02T03:04:05").to_pydatetime().timestamp()
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    assert state.job_ends() is None


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero_the_middle(path):
    content = bytearray(path.read_bytes())
    content[1000:3000] = bytes(2000)
    path.write_bytes(content)


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [truncate, zero_the_middle, zero])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(
    damage, dataset, teacher, uninterrupted, tmp_path, monkeypatch
):
    stage = progressive_stage(dataset, teacher)
    with monkeypatch.context() as patch:
        patch.setattr(
            history.History, "before_train_epoch", at("before_train_epoch", 6, interrupt), raising=False
        )
        with pytest.raises(KeyboardInterrupt):
            train(stage, tmp_path)
    first, last = sorted((tmp_path / "work").glob("*/iter_*.pth"))
    damage(last)
    train(stage, tmp_path)
    assert f"warning: {last} is damaged" in said(tmp_path)
    assert "goes on after epoch 1 of 3" in said(tmp_path)
    assert last.with_suffix(".damaged").exists()
    assert not first.exists()  # two newer ones stand in its place
    assert_same_results(tmp_path, uninterrupted)


def test_state_of_other_settings_is_left_alone_and_named(dataset, teacher, tmp_path):
    train(progressive_stage(dataset, teacher, epochs=1), tmp_path)
    (old,) = (path for path in (tmp_path / "work").iterdir() if path.is_dir())
    content = {path.name: path.read_bytes() for path in old.glob("*.pth")}
    train(progressive_stage(dataset, teacher, epochs=2), tmp_path)
    assert (
        f"starts afresh: what {tmp_path / 'work'} holds is of other settings or inputs ({old.name})"
        in said(tmp_path)
    )
    assert {path.name: path.read_bytes() for path in old.glob("*.pth")} == content


def test_diverging_training_stops_and_keeps_the_last_good_state(dataset, teacher, tmp_path, monkeypatch):
    stage = progressive_stage(dataset, teacher)
    loss = LOSSES["pkd"].forward

    def spoilt(self, *args):
        spoilt.calls += 1
        terms = loss(self, *args)
        return {name: value * float("nan") for name, value in terms.items()} if spoilt.calls == 5 else terms

    spoilt.calls = 0
    monkeypatch.setattr(LOSSES["pkd"], "forward", spoilt)
    words = r"distill_loss_pkd is nan at iteration 5 \(epoch 2\), learning rate 0\.\d+: lower the rate"
    with pytest.raises(state.DivergedError, match=words):
        train(stage, tmp_path)
    assert not (tmp_path / "out").exists()
    (kept,) = (tmp_path / "work").glob("*/iter_*.pth")
    model = detectors.read_weights(kept)
    assert all(torch.isfinite(tensor).all() for tensor in model.values())


def test_weights_that_are_not_finite_are_never_saved(dataset, teacher, tmp_path):
    huge = progressive_stage(dataset, teacher, optimizer={"type": "SGD", "lr": 1e38}, epochs=1)
    with pytest.raises(state.DivergedError):
        train(huge, tmp_path)
    assert not list((tmp_path / "work").glob("*/iter_*.pth"))


HOLD = """
import sys, time
from pathlib import Path
from mtpd import state
with state.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_told_who_holds_the_lock(holder, tmp_path):
    words = rf"in use by process {holder.pid} on .*: wait for it"
    with pytest.raises(state.LockedError, match=words), state.held(tmp_path, wait=0):
        pass


def test_a_second_process_waits(holder, tmp_path):
    holder.stdin.close()
    with state.held(tmp_path, wait=60):
        assert holder.wait() == 0


def test_a_dead_holders_lock_is_taken_over(holder, tmp_path):
    holder.kill()
    holder.wait()
    with state.held(tmp_path, wait=0):
        assert json.loads((tmp_path / "holder.json").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "holder.json").exists()


def test_a_holder_on_another_machine_counts_while_it_refreshes(tmp_path):
    file = tmp_path / "holder.json"
    file.write_text(json.dumps({"host": "node7", "pid": 1, "job": "42", "since": "2026-01-01T00:00:00"}))
    with pytest.raises(state.LockedError, match="process 1 on node7, job 42"), state.held(tmp_path, wait=0):
        pass
    long_ago = time.time() - state.FORGET_SECONDS - 1
    os.utime(file, (long_ago, long_ago))
    with state.held(tmp_path, wait=0):
        assert json.loads(file.read_text())["host"] != "node7"


def test_a_full_disk_is_told_and_what_was_saved_stays(dataset, teacher, uninterrupted, tmp_path, monkeypatch):
    stage = progressive_stage(dataset, teacher)
    save = torch.save
    calls = []

    def full(content, target, *args, **kwargs):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return save(content, target, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match=r"No space left on device: .*work"):
            train(stage, tmp_path)
    assert len(list((tmp_path / "work").glob("*/iter_*.pth"))) == 1
    assert not list((tmp_path / "work").glob("*/*.partial"))
    train(stage, tmp_path)
    assert_same_results(tmp_path, uninterrupted)
