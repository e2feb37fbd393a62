"""Stages that are interrupted, and what they have to give."""

import os
import signal

import pytest
import torch
from conftest import weights
from mmengine.hooks import Hook

from mtpd.job.errors import StoppedEarly
from mtpd.training.history import History
from mtpd.training.stage import train


def run(stage, folder):
    train(stage, folder / "out", folder / "work", str(folder / "progress"), "stage")


def assert_same_results(found, expected):
    ours, theirs = weights(found), weights(expected)
    assert list(ours) == list(theirs)
    for name in theirs:
        assert torch.equal(ours[name], theirs[name]), name
    for name in ("metrics.json", "predictions.json", "history.csv", "inherited.json"):
        assert (found / "out" / name).read_bytes() == (expected / "out" / name).read_bytes(), name


def at(moment, iteration, action):
    """A patch of History that acts at a moment of training, once."""
    original = getattr(History, moment, getattr(Hook, moment))
    done = []

    def acting(self, runner, *args, **kwargs):
        result = original(self, runner, *args, **kwargs)
        if runner.iter == iteration and not done:
            done.append(True)
            action()
        return result

    return acting


def kill(number):
    os.kill(os.getpid(), number)


def run_in_two_jobs(stage, folder, monkeypatch):
    """A signal ends the first job in the middle of an epoch, after four steps; the second one resumes."""
    with monkeypatch.context() as patch:
        patch.setattr(History, "after_train_iter", at("after_train_iter", 4, lambda: kill(signal.SIGTERM)))
        with pytest.raises(StoppedEarly):
            run(stage, folder)
    run(stage, folder)
