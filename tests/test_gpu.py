"""Every body runs on the CPU in the default suite, and on a GPU where there is one (``make test-gpu``).

References are torchvision's operators, least squares, or the same computation, in float64 on the CPU.
"""

import dataclasses
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import torch
from conftest import PROJECT, build, progressive_stage, spec, weights
from mmcv import ops
from mmdet.models.losses import FocalLoss
from processes import run_processes
from test_adaptation import by_least_squares, probe_images, stride_8
from torch.func import functional_call
from torch.nn.functional import one_hot
from torchvision import ops as reference

from mtpd.adaptation.cost import measure
from mtpd.distill.losses import LOSSES
from mtpd.training.stage import train

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)
OPTIONS = {
    "mgd": {"mask_ratio": 0.0, "alpha_mean": 1.0},  # nothing is hidden: what is, the device draws
    "fgd": dict.fromkeys(("alpha", "beta", "gamma", "lambda_"), 1.0),  # no term hides another's error
}
REGIONS = torch.tensor([[0.0, 1, 1, 9, 7], [1, 2.5, 0, 6, 8]])  # image, x1, y1, x2, y2


@pytest.fixture(params=["cpu", CUDA])
def device(request, monkeypatch):
    """Where stages and tests compute."""
    monkeypatch.setattr("mmengine.device.utils.DEVICE", request.param)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # float32 as on the CPU
    return request.param


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_agree(found, expected, inputs, device):
    """The value and its gradients, in float32 on the device, are the reference's, in float64 on the CPU."""
    results = []
    for compute, place, dtype in ((found, device, torch.float32), (expected, "cpu", torch.float64)):
        leaves = [x.detach().to(place, dtype).requires_grad_() for x in inputs]
        value = compute(*leaves)
        assert value.device.type == place
        value.square().sum().backward()
        results.append([value, *(leaf.grad for leaf in leaves)])
    ours, theirs = results
    largest = max(gradient.abs().max().item() for gradient in theirs[1:])  # some are 0 but for rounding
    assert largest > 0
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found.double().cpu(), expected, rtol=1e-3, atol=1e-4 * largest)


def test_roi_align(device):
    assert_agree(
        lambda x: ops.roi_align(x, REGIONS.to(x), (3, 2), 0.5, 2, "avg", True),
        lambda x: reference.roi_align(x, REGIONS.to(x), (3, 2), 0.5, 2, True),
        [random(2, 4, 8, 10)],
        device,
    )


def test_deformable_convolution(device):
    inputs = [random(2, 4, 8, 10), random(2, 18, 8, 10, seed=1), random(6, 4, 3, 3, seed=2)]
    assert_agree(
        lambda x, offset, weight: ops.deform_conv2d(x, offset, weight, 1, 1),
        lambda x, offset, weight: reference.deform_conv2d(x, offset, weight, padding=1),
        inputs,
        device,
    )


def test_modulated_deformable_convolution(device):
    inputs = [random(2, 4, 8, 10), random(2, 18, 8, 10, seed=1), random(2, 9, 8, 10, seed=3)]
    inputs += [random(6, 4, 3, 3, seed=2), random(6, seed=4)]
    assert_agree(
        lambda x, offset, mask, weight, bias: ops.modulated_deform_conv2d(
            x, offset, mask, weight, bias, 1, 1
        ),
        lambda x, offset, mask, weight, bias: reference.deform_conv2d(x, offset, weight, bias, 1, 1, 1, mask),
        inputs,
        device,
    )


def test_deformable_attention(device):
    """On CPUs, mmcv has it in PyTorch's operators: the reference."""
    attention = ops.MultiScaleDeformableAttention(
        embed_dims=8, num_heads=2, num_levels=2, num_points=2
    ).eval()
    shapes = torch.tensor([[4, 5], [2, 3]])

    def attend(query, value):
        attention.to(query)
        levels = {
            "spatial_shapes": shapes.to(query.device),
            "level_start_index": torch.tensor([0, 20]).to(query.device),
        }
        points = torch.full((2, 7, 2, 2), 0.4).to(query)
        return attention(query, value=value, reference_points=points, **levels) - query

    assert_agree(attend, attend, [random(7, 2, 8), random(26, 2, 8, seed=1)], device)


def test_focal_loss(device):
    """mmcv's operator on GPUs, mmdet's own function on CPUs."""
    labels = torch.tensor([0, 3, 1, 3, 2, 0])  # 3 is the background
    targets = one_hot(labels, 4)[:, :3]
    assert_agree(
        lambda x: FocalLoss(loss_weight=2.0)(x, labels.to(x.device)),
        lambda x: 2 * reference.sigmoid_focal_loss(x, targets.to(x), reduction="sum") / x.numel(),
        [random(6, 3)],
        device,
    )


def test_nms(device):
    corners = 50 * torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    boxes, scores = (
        torch.cat([corners, corners + 10 + random(200, 2).abs()], 1),
        random(200, seed=1).sigmoid(),
    )
    expected = reference.nms(boxes.double(), scores.double(), 0.3)
    found, kept = ops.nms(boxes.to(device), scores.to(device), 0.3)
    assert found.device.type == device
    assert kept.tolist() == expected.tolist()
    assert 10 < len(kept) < 190


@pytest.mark.parametrize("name", LOSSES)
def test_a_distillation_loss_and_its_gradients(name, device):
    """Also those of its learnt parts."""
    loss = LOSSES[name]([8], **OPTIONS.get(name, {}))
    learnt = [random(*parameter.shape, seed=2) / 3 for parameter in loss.parameters()]
    names = [key for key, _ in loss.named_parameters()]
    boxes = [torch.tensor([[0.1, 0.2, 0.7, 0.6]]), torch.zeros(0, 4)]

    def total(student, teacher, *parameters):
        given = ([student], [teacher], [of_image.to(student) for of_image in boxes])
        return sum(functional_call(loss, dict(zip(names, parameters, strict=True)), given).values())

    assert_agree(total, total, [random(2, 8, 6, 9), random(2, 8, 6, 9, seed=1), *learnt], device)


def test_adaptation_costs(device):
    detectors = {"a": build("r18_w8").eval(), "b": build("swin_w32", 2).eval()}
    scales = {"a": 1.0, "b": 1.5}
    seen = {name: stride_8(detector, scales[name]) for name, detector in detectors.items()}
    on_device = {name: detector.to(device) for name, detector in detectors.items()}
    costs = measure(on_device, dict.fromkeys(scales), scales, probe_images(), half=3)
    assert len(costs) == 6
    for row in costs[costs.stride == 8].itertuples():
        expected = by_least_squares(seen[row.source], seen[row.target])
        assert row.cost == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("student", "device", "precision"),
    [
        ("r18_w8", "cpu", "float32"),
        pytest.param("mask_rcnn_w8", "cpu", "bfloat16", marks=pytest.mark.slow),
        *(
            pytest.param(student, "cuda", precision, marks=pytest.mark.gpu)
            for student in ("r18_w8", "mask_rcnn_w8")
            for precision in ("float32", "bfloat16", "float16")  # float16 needs a GPU
        ),
    ],
    indirect=["device"],
)
def test_a_stage_trains(student, device, precision, dataset, teacher, tmp_path):
    """Three steps and a validation. RetinaNet has mmcv's focal loss, Mask R-CNN its RoIAlign and NMS."""
    stage = progressive_stage(dataset, teacher, student=spec(student), precision=precision, epochs=1)
    train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())
    assert len(pd.read_csv(tmp_path / "out/history.csv")) == 1


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow), CUDA], indirect=True)
def test_two_processes_give_the_losses_of_one(device, dataset, teacher, tmp_path):
    """On GPUs, each on one of its own."""
    if device == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("only one GPU is here: two GPUs were not compared with one")
    stage = progressive_stage(dataset, teacher, micro_batch_size=1, optimizer={"type": "SGD", "lr": 1e-3})
    visible = {} if device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
    histories = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        run_processes(dataclasses.replace(stage), folder, processes, **visible)
        histories.append(pd.read_csv(folder / "out/history.csv").drop(columns="AP"))
    pd.testing.assert_frame_equal(*histories, rtol=1e-3)


@pytest.mark.parametrize("device", ["cpu", CUDA], indirect=True)
def test_a_job_of_slurm_gets_its_gpu(device, tmp_path, monkeypatch):
    """Account and partition come from the environment, as for experiments."""
    if device == "cpu":
        (tmp_path / "sbatch").write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
        (tmp_path / "sbatch").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.chdir(tmp_path)
    if not shutil.which("sbatch"):
        pytest.skip("there is no sbatch: no job with --gpus was submitted")
    gpus = int(device == "cuda")
    look = f"from mtpd.detectors import operators; operators.require_gpus({gpus})"
    exec(look)  # here first
    command = ["sbatch", "--wait", f"--gpus={gpus}", "--time=10", "--output=logs/test-gpu-%j.log"]
    command += [f"--export=ALL,PYTHONPATH={PROJECT / 'src'}", f"--wrap={sys.executable} -c '{look}'"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}; the job's messages: logs/test-gpu-*.log"
