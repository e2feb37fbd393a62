"""Stages: what they start from, what they write, and that an interrupted one ends as if it had not been."""

import json
import shutil

import pandas as pd
import pytest
import torch
from conftest import RECIPE, build, progressive_stage, spec, weights
from processes import run_processes

from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs
from mtpd.detectors.inherit import inherit
from mtpd.distill.distiller import Distiller
from mtpd.evaluation import evaluate
from mtpd.training import history
from mtpd.training.stage import train


@pytest.fixture(scope="module")
def uninterrupted(dataset, teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    train(progressive_stage(dataset, teacher), folder / "out", folder / "work", str(folder / "progress"))
    return folder


def test_a_stage_writes_the_student_alone(uninterrupted):
    own = set(build("r18_w8").state_dict())
    assert set(weights(uninterrupted)) == own
    assert {path.name for path in (uninterrupted / "out").iterdir()} == {
        "student.pth",
        "metrics.json",
        "predictions.json",
        "inherited.json",
        "history.csv",
        "val_samples.jpg",
        "jobs.json",
    }
    meta = checkpoints.read_checkpoint(uninterrupted / "out/student.pth")["meta"]
    assert meta["dataset_meta"]["classes"] == shapes.CLASSES
    assert "RetinaNet" in meta["cfg"]


def test_history_has_every_epoch_and_the_last_ones_ap(uninterrupted):
    history = pd.read_csv(uninterrupted / "out/history.csv")
    metrics = json.loads((uninterrupted / "out/metrics.json").read_text())
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["AP"].isna().tolist() == [True, False, False]
    assert history["AP"].iloc[-1] == pytest.approx(metrics["bbox"]["AP"])
    assert (history["distill_loss_pkd"] > 0).all()


def test_progress_tells_epochs_and_time_left(uninterrupted):
    lines = (uninterrupted / "progress").read_text().splitlines()
    assert sum("s left" in line for line in lines) == 3
    assert "epoch 3/3" in lines[-2]


def test_a_stage_that_lost_only_its_results_trains_no_more(dataset, teacher, uninterrupted, tmp_path):
    train(
        progressive_stage(dataset, teacher), tmp_path / "out", uninterrupted / "work", str(tmp_path / "said")
    )
    assert "resuming after epoch 3 of 3" in (tmp_path / "said").read_text()
    expected = json.loads((uninterrupted / "out/predictions.json").read_text())
    assert json.loads((tmp_path / "out/predictions.json").read_text()) == expected
    assert (tmp_path / "out/history.csv").read_text() == (uninterrupted / "out/history.csv").read_text()


def test_a_later_stage_starts_from_the_student_before(dataset, teacher, uninterrupted, tmp_path):
    parent = str(uninterrupted / "out/student.pth")
    still = {**RECIPE, "optimizer": {"type": "SGD", "lr": 0.0}, "schedule": {"kind": "one-cycle"}}
    later = progressive_stage(dataset, teacher, parent=parent, recipe=still, epochs=1)
    train(later, tmp_path / "out", tmp_path / "work", str(tmp_path / "progress"))
    before, after = weights(uninterrupted), weights(tmp_path)
    for name in (name for name in before if not name.endswith(("running_mean", "running_var", "tracked"))):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_mixed_precision_trains_float32_weights(precision, dataset, teacher, tmp_path):
    stage = progressive_stage(dataset, teacher, precision=precision, epochs=1)
    used = set()
    original = Distiller.forward

    def spy(self, *args, **kwargs):
        used.add(torch.is_autocast_enabled("cpu"))
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Distiller, "forward", spy)
        train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))
    assert (precision == "bfloat16") in used
    found = weights(tmp_path)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32, torch.int64}
    assert all(torch.isfinite(tensor).all() for tensor in found.values())


def test_a_later_stage_can_inherit_from_its_own_teacher(dataset, teacher, uninterrupted, tmp_path):
    """``inherit: each``: neck and heads are the teacher's where they fit, all else the previous student's."""
    parent = str(uninterrupted / "out/student.pth")
    still = {"optimizer": {"type": "SGD", "lr": 0.0}, "epochs": 1}
    source = {"inherits": spec("swin_w32"), "inherited_weights": teacher}
    stage = progressive_stage(dataset, teacher, parent=parent, **source, **still)
    train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "progress"))
    before, after, taught = weights(uninterrupted), weights(tmp_path), checkpoints.read_weights(teacher)
    head = "bbox_head.retina_cls.weight"
    assert not torch.equal(before[head], taught[head])
    torch.testing.assert_close(after[head], taught[head], rtol=0, atol=0)
    for name in ("backbone.conv1.weight", "neck.lateral_convs.0.conv.weight"):  # the neck's inputs differ
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)


def test_a_mask_rcnn_is_scored_on_boxes_and_masks(dataset, tmp_path):
    small = {
        "model.backbone.depth": 18,
        "model.backbone.init_cfg": None,
        "model.neck.in_channels": [64, 128, 256, 512],
    }
    student = {
        **spec("r18_w8"),
        "config": "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
        "overrides": small,
    }
    low = {**student["overrides"], "model.test_cfg.rcnn.score_thr": 0.0}
    one = progressive_stage(
        dataset, None, student={**student, "overrides": low}, teachers=(), teacher_weights=(), epochs=1
    )
    train(one, tmp_path / "out", tmp_path / "work", str(tmp_path / "progress"))
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    rows = json.loads((tmp_path / "out/predictions.json").read_text())
    assert {"bbox", "segm"} <= set(metrics)
    assert rows
    assert all({"bbox", "segmentation"} <= set(row) for row in rows)


def test_a_teacher_keeps_the_classes_it_was_trained_for(dataset, tmp_path):
    """Its detections count by class name, and its class layers are not inherited."""
    classes = ("ring", "zebra", "disc")
    config = configs.load_config(spec("swin_w32")["config"], {}, classes)
    torch.manual_seed(0)
    other = configs.build(config)
    other.init_weights()
    checkpoints.save_student(tmp_path / "other.pth", other, config, classes, {})
    loaded = checkpoints.load(spec("swin_w32"), tmp_path / "other.pth", shapes.CLASSES)
    assert loaded.dataset_meta["classes"] == classes
    low = {**spec("swin_w32"), "overrides": {"model.test_cfg.score_thr": 0.0}}
    found = evaluate.evaluate(dataset, low, tmp_path / "other.pth", tmp_path / "work").predictions
    names = {i: name for i, name in enumerate(shapes.CLASSES, 1)}
    assert {names[row["category_id"]] for row in found} == {"ring", "disc"}
    train(
        progressive_stage(dataset, str(tmp_path / "other.pth"), epochs=1),
        tmp_path / "out",
        tmp_path / "work",
        str(tmp_path / "progress"),
    )
    inherited = json.loads((tmp_path / "out/inherited.json").read_text())
    assert inherited["other_classes"] == ["bbox_head.retina_cls.weight", "bbox_head.retina_cls.bias"]
    assert "bbox_head.retina_reg.weight" in inherited["inherited"]


@pytest.mark.parametrize(
    ("distilled", "warned"), [(0.0, True), (0.5, False), (99.0, False), (101.0, True), (0.009, True)]
)
def test_losses_of_very_different_size_are_reported(distilled, warned):
    means = {"loss": 1.0 + distilled, "loss_cls": 1.0, "distill_loss_mgd": distilled}
    assert bool(history.imbalance(means)) == warned


def test_a_stage_without_a_teacher_has_no_losses_to_compare():
    assert history.imbalance({"loss": 1.0, "loss_cls": 1.0}) is None


def test_inheriting_takes_neck_and_heads_where_they_fit():
    student, teacher = build("r18_w8", 0), build("r18_w16", 1)
    backbone = student.backbone.conv1.weight.clone()
    report = inherit(student, teacher.state_dict())
    torch.testing.assert_close(student.bbox_head.retina_cls.weight, teacher.bbox_head.retina_cls.weight)
    torch.testing.assert_close(student.backbone.conv1.weight, backbone)
    assert report["skipped"] == [f"neck.lateral_convs.{i}.conv.weight" for i in range(3)]
    assert not report["absent"]


@pytest.mark.slow
def test_processes_under_torchrun_train_one_student(dataset, teacher, tmp_path):
    """Two processes with two images each, and again where only the results were lost."""
    stage = progressive_stage(dataset, teacher, micro_batch_size=2, epochs=2)
    run_processes(stage, tmp_path, 2)
    first = weights(tmp_path)
    assert set(first) == set(build("r18_w8").state_dict())
    history = pd.read_csv(tmp_path / "out/history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert len(list((tmp_path / "work").glob("*/iter_00000000[36].pth"))) == 2  # 12 images, 4 a step
    said = (tmp_path / "said").read_text()
    assert said.count("epoch 2/2") == 1  # one process speaks
    metrics = (tmp_path / "out/metrics.json").read_bytes()
    shutil.rmtree(tmp_path / "out")
    run_processes(stage, tmp_path, 2)
    assert "resuming after epoch 2 of 2" in (tmp_path / "said").read_text()
    assert all(torch.equal(first[name], tensor) for name, tensor in weights(tmp_path).items())
    assert (tmp_path / "out/metrics.json").read_bytes() == metrics
