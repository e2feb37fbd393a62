"""What only a GPU can show. Skipped without one."""

import pandas as pd
import pytest
import torch
from conftest import build, progressive_stage, spec, weights
from mmengine.dataset import pseudo_collate
from processes import run_processes

from mtpd.adaptation import cost
from mtpd.detectors import operators
from mtpd.training.stage import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


def test_mmcv_has_its_operators():
    operators.require_gpus(1)


def test_costs_are_those_of_the_cpu():
    torch.manual_seed(0)
    batches = [pseudo_collate([{"inputs": torch.randint(0, 255, (3, 96, 96))}]) for _ in range(8)]
    names = ("r18_w8", "r18_w16")
    found = []
    for device in ("cpu", "cuda"):
        detectors = {name: build(name).to(device).eval() for name in names}
        nothing = dict.fromkeys(names)
        found.append(cost.measure(detectors, nothing, dict.fromkeys(names, 1.0), batches, 4, 1e-4))
    on_cpu, on_gpu = (table.set_index(["source", "target", "stride"])["cost"] for table in found)
    assert (on_cpu - on_gpu).abs().max() < 1e-3


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("student", ["r18_w8", "mask_rcnn_w8"])
def test_a_stage_trains(student, precision, dataset, teacher, tmp_path):
    """RetinaNet has mmcv's focal loss, Mask R-CNN its RoIAlign and NMS."""
    changes = {"student": spec(student), "precision": precision, "epochs": 1}
    if student == "mask_rcnn_w8":
        changes |= {"teachers": (), "teacher_weights": ()}
    train(
        progressive_stage(dataset, teacher, **changes),
        tmp_path / "out",
        tmp_path / "work",
        str(tmp_path / "said"),
    )
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_give_the_losses_of_one(dataset, teacher, tmp_path):
    stage = progressive_stage(dataset, teacher, micro_batch_size=1, optimizer={"type": "SGD", "lr": 1e-3})
    histories = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        run_processes(stage, folder, processes)
        histories.append(pd.read_csv(folder / "out/history.csv").drop(columns="AP"))
    pd.testing.assert_frame_equal(*histories, rtol=1e-3)
