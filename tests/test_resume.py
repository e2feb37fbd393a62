"""Resuming: an interrupted stage gives results identical to those of an uninterrupted run."""

import multiprocessing
import signal
import subprocess
import time

import pytest
import torch
from conftest import progressive_stage
from resuming import assert_same_results, at, kill, run, run_in_two_jobs

from mtpd.detectors import checkpoints
from mtpd.distill.losses import LOSSES
from mtpd.job import stopping
from mtpd.job.errors import DivergedError, StoppedEarly
from mtpd.training.history import History

ITERATIONS = 3  # of an epoch: 12 images, 4 a batch


@pytest.fixture(scope="module")
def uninterrupted(dataset, teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(progressive_stage(dataset, teacher), folder)
    return folder


def said(folder):
    return (folder / "progress").read_text()


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
def test_a_killed_stage_resumes_and_gives_identical_results(
    moment, iteration, workers, dataset, teacher, uninterrupted, tmp_path, monkeypatch
):
    """With worker processes too, although the uninterrupted run had none."""
    stage = progressive_stage(dataset, teacher, workers=workers)
    with monkeypatch.context() as patch:
        patch.setattr(History, moment, at(moment, iteration, interrupt), raising=False)
        with pytest.raises(KeyboardInterrupt):
            run(stage, tmp_path)
    assert not (tmp_path / "out").exists()
    run(stage, tmp_path)
    assert "resuming after epoch" in said(tmp_path)
    assert_same_results(tmp_path, uninterrupted)
    assert '"earlier_jobs": 1' in (tmp_path / "out/jobs.json").read_text()


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "pkd"])
def test_random_masks_and_learnt_parts_of_a_loss_resume_too(loss, dataset, teacher, tmp_path, monkeypatch):
    stage = progressive_stage(dataset, teacher, loss=loss, epochs=2)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(stage, whole)
    run_in_two_jobs(stage, parts, monkeypatch)
    assert_same_results(parts, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("micro_batch", [None, 2])
def test_a_signal_saves_the_state_in_the_middle_of_an_epoch(
    number, micro_batch, dataset, teacher, tmp_path, monkeypatch
):
    stage = progressive_stage(dataset, teacher, micro_batch_size=micro_batch)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(stage, whole)
    with monkeypatch.context() as patch:
        patch.setattr(History, "after_train_iter", at("after_train_iter", 4, lambda: kill(number)))
        with pytest.raises(StoppedEarly, match=signal.Signals(number).name):
            run(stage, parts)
    assert not (parts / "out").exists()
    run(stage, parts)
    assert "resuming after epoch 1 of 3, iteration 2 of 3\n" in said(parts)
    assert_same_results(parts, whole)


def kill_all():
    """SIGTERM to the trainer and its data loaders, from another process, as from a batch system."""
    processes = [*multiprocessing.active_children(), multiprocessing.current_process()]
    assert len(processes) == 1 + 2
    subprocess.run(["kill", *(str(process.pid) for process in processes)], check=True)


def test_a_signal_to_all_processes_of_a_job_saves_the_state(
    dataset, teacher, uninterrupted, tmp_path, monkeypatch
):
    stage = progressive_stage(dataset, teacher, workers=2)
    with monkeypatch.context() as patch:
        patch.setattr(History, "after_train_iter", at("after_train_iter", 4, kill_all))
        with pytest.raises(StoppedEarly, match="SIGTERM"):
            run(stage, tmp_path)
    run(stage, tmp_path)
    assert_same_results(tmp_path, uninterrupted)


def test_the_state_is_saved_before_the_time_limit(dataset, teacher, uninterrupted, tmp_path, monkeypatch):
    stage = progressive_stage(dataset, teacher)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + stopping.MARGIN_SECONDS - 1))
    with pytest.raises(StoppedEarly, match="time limit"):
        run(stage, tmp_path)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + 3600))
    run(stage, tmp_path)
    assert "iteration 1 of 3" in said(tmp_path)
    assert_same_results(tmp_path, uninterrupted)


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
        patch.setattr(History, "before_train_epoch", at("before_train_epoch", 6, interrupt), raising=False)
        with pytest.raises(KeyboardInterrupt):
            run(stage, tmp_path)
    first, last = sorted((tmp_path / "work").glob("*/iter_*.pth"))
    damage(last)
    run(stage, tmp_path)
    assert f"warning: {last} is damaged" in said(tmp_path)
    assert "resuming after epoch 1 of 3" in said(tmp_path)
    assert last.with_suffix(".damaged").exists()
    assert not first.exists()  # two newer ones stand in its place
    assert_same_results(tmp_path, uninterrupted)


def test_saved_state_with_different_settings_is_kept_and_reported(dataset, teacher, tmp_path):
    run(progressive_stage(dataset, teacher, epochs=1), tmp_path)
    (old,) = (path for path in (tmp_path / "work").iterdir() if path.is_dir())
    content = {path.name: path.read_bytes() for path in old.glob("*.pth")}
    run(progressive_stage(dataset, teacher, epochs=2), tmp_path)
    assert (
        f"starting over: the saved state in {tmp_path / 'work'} has different settings or inputs ({old.name})"
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
    words = (
        r"distill_loss_pkd is nan at iteration 5 \(epoch 2\), learning rate 0\.\d+: lower the learning rate"
    )
    with pytest.raises(DivergedError, match=words):
        run(stage, tmp_path)
    assert not (tmp_path / "out").exists()
    (kept,) = (tmp_path / "work").glob("*/iter_*.pth")
    model = checkpoints.read_weights(kept)
    assert all(torch.isfinite(tensor).all() for tensor in model.values())


def test_weights_that_are_not_finite_are_never_saved(dataset, teacher, tmp_path):
    huge = progressive_stage(dataset, teacher, optimizer={"type": "SGD", "lr": 1e38}, epochs=1)
    with pytest.raises(DivergedError):
        run(huge, tmp_path)
    assert not list((tmp_path / "work").glob("*/iter_*.pth"))


def test_a_full_disk_costs_no_saved_checkpoint(dataset, teacher, uninterrupted, tmp_path, monkeypatch):
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
            run(stage, tmp_path)
    assert len(list((tmp_path / "work").glob("*/iter_*.pth"))) == 1
    assert not list((tmp_path / "work").glob("*/*.partial"))
    run(stage, tmp_path)
    assert_same_results(tmp_path, uninterrupted)
