"""The moving average of the student's weights: against a plain loop, and where a stage resumes."""

import json
import math
import signal
from types import SimpleNamespace

import pytest
import torch
from conftest import progressive_stage, weights
from resuming import assert_same_results, at, kill, run

from mtpd.detectors import checkpoints
from mtpd.evaluation.evaluate import evaluate
from mtpd.job.errors import StoppedEarly
from mtpd.training.averaging import AverageWeights
from mtpd.training.history import History
from mtpd.training.models import student_of

MOMENTUM, GAMMA = 0.2, 3
EMA = {"momentum": MOMENTUM, "gamma": GAMMA}


@pytest.fixture(scope="module")
def steps():
    """The plain weights of the student after every step."""
    return []


@pytest.fixture(scope="module")
def averaged(dataset, teacher, steps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("averaged")
    original = History.after_train_iter

    def watched(self, runner, *args, **kwargs):
        state = student_of(runner.model).state_dict()
        steps.append({name: tensor.clone() for name, tensor in state.items()})
        return original(self, runner, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "after_train_iter", watched)
        run(progressive_stage(dataset, teacher, ema=EMA), folder)
    return folder


def test_the_published_weights_are_the_average_of_a_plain_loop(averaged, steps):
    found = weights(averaged)
    for name, value in steps[0].items():
        if not value.is_floating_point():
            continue
        average = value.double()
        for step, state in enumerate(steps[1:], 1):
            momentum = MOMENTUM + (1 - MOMENTUM) * math.exp(-(1 + step) / GAMMA)
            average = (1 - momentum) * average + momentum * state[name].double()
        assert torch.allclose(found[name].double(), average, rtol=1e-5, atol=1e-6), name
    assert found.keys() == steps[0].keys()  # no adaptor, no part of a loss


def test_training_goes_on_with_the_plain_weights(averaged, steps, dataset, teacher, tmp_path):
    """Also after a validation in the middle of the stage."""
    run(progressive_stage(dataset, teacher), tmp_path)
    plain, other = weights(tmp_path), weights(averaged)
    assert all(torch.equal(plain[name], steps[-1][name]) for name in plain)
    assert not all(torch.equal(plain[name], other[name]) for name in plain)


def test_the_scores_are_those_of_the_published_weights(averaged, dataset, teacher, tmp_path):
    student = progressive_stage(dataset, teacher).student
    metric = evaluate(dataset, student, averaged / "out/student.pth", tmp_path, 0)
    assert metric.predictions == json.loads((averaged / "out/predictions.json").read_text())


@pytest.mark.parametrize("iteration", [4, 6])
def test_an_average_resumes_bit_for_bit(iteration, averaged, dataset, teacher, tmp_path, monkeypatch):
    """In the middle of an epoch, and after a validation."""
    stage = progressive_stage(dataset, teacher, ema=EMA)
    with monkeypatch.context() as patch:
        act = at("after_train_iter", iteration, lambda: kill(signal.SIGTERM))
        patch.setattr(History, "after_train_iter", act)
        with pytest.raises(StoppedEarly):
            run(stage, tmp_path)
    (newest,) = sorted((tmp_path / "work").glob("*/iter_*.pth"))[-1:]
    saved = checkpoints.read_checkpoint(newest)
    assert saved["average"]["steps"] == iteration + 1
    run(stage, tmp_path)
    assert_same_results(tmp_path, averaged)


def test_an_average_counts_in_the_fingerprint(dataset, teacher):
    given = ({}, {"ema": EMA}, {"ema": {**EMA, "gamma": 4}}, {"ema": {**EMA, "momentum": 0.1}})
    found = {progressive_stage(dataset, teacher, **changes).fingerprint() for changes in given}
    assert len(found) == len(given)


def test_a_layer_that_stands_twice_is_exchanged_once():
    """Heads of some detectors share their layers, which then have several names each."""
    shared = torch.nn.BatchNorm1d(2)
    student = torch.nn.ModuleList([shared, shared])
    hook = AverageWeights(**EMA)
    hook.before_run(SimpleNamespace(model=student))
    for tensor in (shared.weight, shared.running_mean):
        tensor.data.fill_(7)
    hook.before_val_epoch(None)
    assert shared.weight.tolist() == [1, 1] and shared.running_mean.tolist() == [0, 0]
    hook.after_val_epoch(None)
    assert shared.weight.tolist() == shared.running_mean.tolist() == [7, 7]
