"""Batch normalisation of a student is that of one process, however many train it."""

import pytest
import torch
from conftest import progressive_stage, spec
from mmengine.config import Config
from processes import Threads
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtpd.datasets.shapes import CLASSES
from mtpd.detectors import checkpoints, configs
from mtpd.training import norms
from mtpd.training.models import student_and_teachers


def layers(momentum):
    """One that trains and one in eval mode, with statistics that a checkpoint could have."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=momentum), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    for layer in (model[0], model[2]):
        layer.running_mean.uniform_(-1, 1)
        layer.running_var.uniform_(1, 2)
        layer.num_batches_tracked += 7
    model[2].eval()
    return model.requires_grad_(False)


@pytest.mark.parametrize("momentum", [0.1, 0.03, 1.0])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_running_statistics_are_those_of_one_process(processes, momentum, monkeypatch):
    """Four steps, two micro-batches in each process, whose images become brighter and brighter."""
    passes, steps = 2, 4
    images = [torch.randn(2, 3, 5, 5) * (1 + n) + n for n in range(steps * passes * processes)]
    expected, *models = (layers(momentum) for _ in range(1 + processes))
    for part in images:
        expected(part)

    def work(rank):
        model = models[rank]
        statistics = norms.RunningStatistics(model)
        mine = images[rank::processes]
        for first in range(0, len(mine), passes):
            for part in mine[first : first + passes]:
                model(part)
            statistics.share(passes)
        return model.state_dict()

    threads = Threads(processes)
    monkeypatch.setattr(norms, "get_dist_info", threads.get_dist_info)
    monkeypatch.setattr(norms, "all_reduce", threads.all_reduce)
    found = threads.run(work)
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(found[0][name], tensor, rtol=1e-5, atol=1e-6)
        assert all(torch.equal(other[name], found[0][name]) for other in found)
    frozen = layers(momentum)[2].state_dict()
    assert all(torch.equal(found[0][f"2.{name}"], tensor) for name, tensor in frozen.items())


def test_sync_bn_is_trained_as_bn_and_saved_as_its_config_says(dataset, tmp_path):
    """It would need all processes, so all micro-batches (``tests/test_steps.py`` trains in two processes)."""
    student = {**spec("r18_w8"), "overrides": {"model.backbone.norm_cfg.type": "SyncBN"}}
    stage = progressive_stage(dataset, None, teachers=(), teacher_weights=(), student=student)
    config = configs.load_config(student["config"], student["overrides"], CLASSES)
    trained, _ = student_and_teachers(stage, config, CLASSES, resuming=False)
    assert isinstance(trained.backbone.bn1, _BatchNorm)
    assert not any(isinstance(layer, nn.SyncBatchNorm) for layer in trained.modules())
    checkpoints.save_student(tmp_path / "student.pth", trained, config, CLASSES, {})
    saved = torch.load(tmp_path / "student.pth", weights_only=True)
    stock = configs.build(Config.fromstring(saved["meta"]["cfg"], ".py"))
    assert isinstance(stock.backbone.bn1, nn.SyncBatchNorm)
    stock.load_state_dict(saved["state_dict"], strict=True)
