"""What a stage keeps at each step, without training: history, checkpoints, reasons to stop."""

import os
import signal
from types import SimpleNamespace

import pytest
import torch

from mtpd.job import stopping
from mtpd.job.errors import DivergedError, StoppedEarly
from mtpd.job.progress import ProgressFile
from mtpd.job.stopping import Stop
from mtpd.training import checkpointing
from mtpd.training.checkpointing import SaveState
from mtpd.training.history import History

STEPS = 3  # of an epoch


class Runner:
    """The part of mmengine's runner that hooks look at; a checkpoint is the number of its iteration."""

    def __init__(self):
        self.iter, self.epoch, self.rate = 0, 0, 0.0
        self.train_dataloader = range(STEPS)
        self.optim_wrapper = SimpleNamespace(get_lr=lambda: {"lr": [self.rate, 99.0]})
        self.weight = torch.zeros(1)
        self.model = SimpleNamespace(state_dict=lambda: {"weight": self.weight})

    def save_checkpoint(self, folder, name, by_epoch):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(f"{by_epoch}")


def history(tmp_path, validate_every=1, said=None):
    progress = ProgressFile(tmp_path / "state", writes=False)
    say = (lambda text: None) if said is None else said.append
    return History(say, epochs=4, validate_every=validate_every, annotations="v1", progress=progress)


def test_a_row_has_the_rate_and_the_mean_losses_of_its_epoch(tmp_path):
    runner, hook = Runner(), history(tmp_path)
    hook.before_train(runner)
    for losses, rate, ap in (((3.0, 6.0, 9.0), 0.1, 12.5), ((1.0, 1.0, 4.0), 0.01, 20.0)):
        runner.rate = rate
        for value in losses:
            hook.after_train_iter(runner, 0, outputs={"loss_cls": value, "loss": 2 * value})
            runner.iter += 1
        hook.after_train_epoch(runner)
        runner.epoch += 1
        hook.after_val_epoch(runner, {"AP": ap})
    assert hook.rows == [
        {"epoch": 1, "lr": 0.1, "AP": 12.5, "annotations": "v1", "loss_cls": 6.0, "loss": 12.0},
        {"epoch": 2, "lr": 0.01, "AP": 20.0, "annotations": "v1", "loss_cls": 2.0, "loss": 4.0},
    ]


@pytest.mark.parametrize(
    ("epoch", "ap", "due"),
    [
        (None, None, False),  # nothing is trained yet
        (1, None, False),
        (2, None, True),  # interrupted before its validation
        (2, 12.5, False),
        (3, None, False),
        (4, None, True),
        (4, 12.5, True),  # the last: the predictions are no part of a checkpoint
    ],
)
def test_which_validation_a_resumed_stage_lacks(epoch, ap, due, tmp_path):
    """Of four epochs, validated every second."""
    hook = history(tmp_path, validate_every=2)
    hook.rows = [{"epoch": epoch, "AP": ap}] if epoch else []
    assert hook._unvalidated() == due


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(checkpointing, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def saved(folder):
    return [int(path.stem.removeprefix("iter_")) for path in sorted(folder.glob("iter_*.pth"))]


def test_a_checkpoint_is_written_every_ten_minutes_and_after_an_epoch(clock, tmp_path):
    """Steps take 100 seconds; the last two checkpoints are kept."""
    runner, hook = Runner(), SaveState(tmp_path, SimpleNamespace(reason=None))
    hook.before_train(runner)
    newest = []
    for _ in range(16):
        clock.now += 100
        hook.after_train_iter(runner, 0)
        runner.iter += 1
        newest.append(saved(tmp_path)[-1:])
    assert newest == [[]] * 6 + [[7]] * 7 + [[14]] * 3
    hook.after_train_epoch(runner)
    assert saved(tmp_path) == [14, 16]
    kept = [path.read_text(encoding="utf-8") for path in sorted(tmp_path.glob("iter_*.pth"))]
    assert kept == ["False", "True"]  # whether the epoch is complete


def test_a_reason_to_stop_saves_the_step_first(clock, tmp_path):
    runner, stop = Runner(), SimpleNamespace(reason=None)
    hook = SaveState(tmp_path, stop)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    assert saved(tmp_path) == []
    stop.reason = "received SIGTERM"
    with pytest.raises(StoppedEarly, match="received SIGTERM"):
        hook.after_train_iter(runner, 0)
    assert saved(tmp_path) == [1]
    with pytest.raises(StoppedEarly):
        hook.after_val_iter(runner, 0)


def test_a_weight_that_is_not_finite_is_not_saved(clock, tmp_path):
    runner, hook = Runner(), SaveState(tmp_path, SimpleNamespace(reason=None))
    hook.before_train(runner)
    runner.weight = torch.tensor([float("inf")])
    with pytest.raises(DivergedError, match="weight is not finite after iteration 0"):
        hook.after_train_epoch(runner)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("left", "stops"), [(119, True), (121, False)])
def test_a_stage_stops_two_minutes_before_the_time_limit(left, stops, monkeypatch):
    monkeypatch.setattr(stopping, "time", SimpleNamespace(time=lambda: 1000.0))
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(1000 + left))
    assert Stop().reason == ("the job's time limit is near" if stops else None)


def test_only_a_second_ctrl_c_stops_at_once():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Stop() as stop:
        assert stop.reason is None
        signal.raise_signal(signal.SIGINT)
        assert stop.reason == "received SIGINT"
        signal.raise_signal(signal.SIGTERM)
        assert stop.reason == "received SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
