"""Steps: the images of each, shared among processes, give the same results for any number of them."""

import dataclasses
import math
import random
import shutil
import signal
from collections import Counter
from unittest import mock

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from conftest import progressive_stage, spec, weights
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.dataset import DefaultSampler
from mmengine.model import BaseModel
from processes import run_processes, start_processes

from mtpd.job.errors import StoppedEarly
from mtpd.training import steps
from mtpd.training.randomness import SeedImage
from mtpd.training.stage import train


class Sizes(list):
    """A data set of which only the sizes of images are known."""

    def get_data_info(self, index):
        return dict(zip(("width", "height"), self[index], strict=True))


def passed(sizes, batch_size, micro_batch, rank=0, processes=1, epoch=0, skip=0, before=0):
    """The micro-batches that a process gets in one epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "get_dist_info", lambda: (rank, processes))
        sampler = steps.StepSampler(sizes, 3, before, batch_size, micro_batch)
        sampler.set_epoch(epoch)
        sampler.skip = skip
        images = list(sampler)
        assert skip or len(images) == len(sampler)
    return [images[i : i + micro_batch] for i in range(0, len(images), micro_batch)]


shapes_of_images = st.lists(st.sampled_from([(4, 3), (3, 4), (3, 3)]), min_size=1, max_size=40).map(Sizes)


@given(shapes_of_images, st.integers(1, 4), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_images_are_grouped_as_by_mmdet(sizes, micro_batch, epoch):
    """mmdet's sampler is the reference, for all but the last micro-batch, which here is filled up."""
    seed = int(np.random.SeedSequence([3, epoch]).generate_state(1)[0])
    order = DefaultSampler(sizes, shuffle=True, seed=seed)
    expected = list(AspectRatioBatchSampler(order, micro_batch))
    found = passed(sizes, micro_batch, micro_batch, epoch=epoch)
    assert len(found) == len(expected)
    assert found[:-1] == expected[:-1]
    assert found[-1][: len(expected[-1])] == expected[-1]


@given(shapes_of_images, st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 2, 4]))
@settings(max_examples=50, deadline=None)
def test_processes_share_every_step(sizes, micro_batch, in_process, processes):
    batch_size = micro_batch * in_process * processes
    whole = passed(sizes, batch_size, micro_batch)
    shares = [passed(sizes, batch_size, micro_batch, rank, processes) for rank in range(processes)]
    assert {len(share) for share in shares} == {math.ceil(len(sizes) / batch_size) * in_process}
    together = [part for parts in zip(*shares, strict=True) for part in parts]
    assert together == whole
    seen = Counter(image for part in whole for image in part)
    assert set(seen) == set(range(len(sizes)))
    # No image comes more often than filling up the last step needs.
    assert max(seen.values()) <= 1 + math.ceil(batch_size / len(sizes))


def test_a_later_stage_goes_on_where_the_first_one_ended():
    """Epochs are counted over the chain, and no epoch of another seed has the same order."""
    sizes = Sizes([(4, 3)] * 40)
    first = [passed(sizes, 4, 2, epoch=epoch) for epoch in range(4)]
    assert [passed(sizes, 4, 2, epoch=epoch, before=2) for epoch in range(2)] == first[2:]
    assert len({str(found) for found in first}) == 4
    other = steps.StepSampler(sizes, 4, 0, 4, 2)
    assert list(other) not in [[image for part in found for image in part] for found in first]


@given(shapes_of_images, st.integers(0, 10))
@settings(max_examples=30, deadline=None)
def test_a_pass_can_start_in_the_middle(sizes, skip):
    whole = passed(sizes, 4, 2)
    assert passed(sizes, 4, 2, skip=skip) == whole[2 * skip :]


def test_flips_of_a_later_stage_are_those_of_later_epochs():
    def drawn(epochs_before, epoch, image=7):
        first = SeedImage(3, epochs_before)
        first.epoch = epoch
        first.transform({"sample_idx": image})
        return random.random()

    assert drawn(2, 0) == drawn(0, 2)
    assert len({drawn(0, epoch, image) for epoch in range(4) for image in range(5)}) == 20


def test_steps_are_counted_from_the_first_stage_on(dataset, teacher, tmp_path, monkeypatch):
    """Three steps an epoch, two epochs before."""
    seen = []
    monkeypatch.setattr(steps, "seed_everything", lambda *numbers: seen.append(numbers))
    stage = dataclasses.replace(progressive_stage(dataset, teacher, epochs=1), epochs_before=2)
    train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    assert seen == [(stage.seed, step, 0) for step in (6, 7, 8)]


def test_a_step_that_cannot_be_shared_is_an_error():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "get_dist_info", lambda: (0, 3))
        with pytest.raises(ValueError, match="found 16; expected a multiple of 6"):
            steps.images_of_process(16, 2)


def test_losses_are_averaged_over_micro_batches():
    losses = [
        {"loss": torch.tensor(1.0), "acc": torch.tensor(0.5)},
        {"loss": torch.tensor(2.0), "acc": torch.tensor(0.0)},
    ]
    assert steps.mean_losses(losses) == {"loss": 1.5, "acc": 0.25}


@pytest.mark.parametrize(("micro_batch", "passes"), [(None, 1), (2, 2), (1, 4)])
def test_micro_batches_make_one_step(micro_batch, passes, dataset, teacher, tmp_path):
    """Three steps an epoch."""
    stage = progressive_stage(dataset, teacher, micro_batch_size=micro_batch, epochs=1)
    with watched(torch.optim.AdamW, "step") as step, watched(BaseModel, "train_step") as train_step:
        train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    assert (step.call_count, train_step.call_count) == (3, 3 * passes)


def watched(kind, method):
    return mock.patch.object(kind, method, autospec=True, side_effect=getattr(kind, method))


# Small steps of plain SGD: differences in the order of sums stay small.
STEADY = {"optimizer": {"type": "SGD", "lr": 1e-3}, "micro_batch_size": 1, "loss": "mgd", "epochs": 7}
SYNCED = {**spec("r18_w8"), "overrides": {"model.backbone.norm_cfg.type": "SyncBN"}}


@pytest.fixture(scope="module")
def one_process(dataset, teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one_process")
    stage = progressive_stage(dataset, teacher, **STEADY, student=SYNCED)
    train(stage, folder / "out", folder / "work", str(folder / "said"))
    return folder


def assert_same_results(found, expected):
    """Losses and weights, also the running statistics of batch normalisation."""
    ours, theirs = (
        pd.read_csv(folder / "out/history.csv").drop(columns="AP") for folder in (found, expected)
    )
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-5, atol=0)
    known = weights(expected)
    for name, tensor in weights(found).items():
        torch.testing.assert_close(tensor, known[name], rtol=1e-3, atol=1e-5, msg=name)


# In the default suite, two processes do so from the fourth step: the next test.
@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_any_number_of_processes_gives_the_same_student(processes, dataset, teacher, one_process, tmp_path):
    """21 steps of 4 images, with the random masks of MGD, and batch normalisation that is trained."""
    stage = progressive_stage(dataset, teacher, **STEADY, student=SYNCED)
    run_processes(stage, tmp_path, processes)
    assert_same_results(tmp_path, one_process)
    assert [path.name for path in (tmp_path / "work").iterdir() if path.is_dir()] == [stage.fingerprint()]


def test_two_processes_resume_what_one_began(dataset, teacher, one_process, tmp_path, monkeypatch):
    """Interrupted in the middle of an epoch."""
    stage = progressive_stage(dataset, teacher, **STEADY, student=SYNCED)
    original = steps.StepLoop.run_iter

    def stopping(self, *args, **kwargs):
        if self.iter == 3:
            signal.raise_signal(signal.SIGTERM)
        original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(steps.StepLoop, "run_iter", stopping)
        with pytest.raises(StoppedEarly):
            train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    run_processes(stage, tmp_path, 2)
    assert "resuming after epoch 1 of 7, iteration 1 of 3" in (tmp_path / "said").read_text()
    assert_same_results(tmp_path, one_process)


# Students whose heads look at other processes (GFL), or draw samples at random (Mask R-CNN).
NARROW = {"model.backbone.base_channels": 8, "model.backbone.depth": 18, "model.backbone.init_cfg": None}
GFL = {
    **spec("r18_w8"),
    "config": "mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    "overrides": {**NARROW, "model.neck.in_channels": [8, 16, 32, 64]},
}


@pytest.mark.slow  # the default suite has two processes with the head of a RetinaNet
@pytest.mark.parametrize("student", [GFL, spec("mask_rcnn_w8")], ids=["gfl", "mask_rcnn"])
def test_heads_with_randomness_or_a_view_of_other_processes(student, dataset, tmp_path):
    """Two processes, interrupted in the second epoch; one goes on."""
    changes = {**STEADY, "loss": "pkd", "epochs": 2, "teachers": (), "teacher_weights": ()}
    stage = progressive_stage(dataset, None, **changes, student=student)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(stage, whole / "out", whole / "work", str(whole / "said"))
    parts.mkdir()
    run_processes(dataclasses.replace(stage, epochs=2), parts, 2)
    assert_same_results(parts, whole)
    # The last checkpoint was two processes' work; without it, one process repeats the second epoch.
    (folder,) = (path for path in (parts / "work").iterdir() if path.is_dir())
    max(folder.glob("iter_*.pth")).unlink()
    shutil.rmtree(parts / "out")
    train(stage, parts / "out", parts / "work", str(parts / "said"))
    assert "resuming after epoch 1 of 2" in (parts / "said").read_text()
    assert_same_results(parts, whole)


@pytest.mark.slow  # the default suite has the same status after a signal (test_stopping)
def test_processes_that_stop_early_end_with_that_status(dataset, teacher, tmp_path):
    stage = progressive_stage(dataset, teacher, **STEADY)
    running = start_processes(stage, tmp_path, 2, SLURM_JOB_END_TIME="1")
    _, wrong = running.communicate()
    assert running.returncode == 75, wrong[-2000:]
    assert "stopped early" in wrong
    assert len(list((tmp_path / "work").glob("*/iter_*.pth"))) == 1


def test_processes_end_with_their_launcher(dataset, teacher, tmp_path):
    """Else they would go on using GPUs that count as free."""
    stage = progressive_stage(dataset, teacher, **{**STEADY, "epochs": 200})
    running = start_processes(stage, tmp_path, 2)
    holder = tmp_path / "work/holder.json"
    while running.poll() is None and not holder.exists():
        pass
    workers = psutil.Process(running.pid).children(recursive=True)
    assert len(workers) >= 2
    running.kill()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
