"""Stages whose student starts from trained weights for other classes; and the checks before the first job."""

import dataclasses
import json
import shutil

import pytest
import torch
from conftest import build, progressive_stage, spec, weights
from mmengine.runner import load_checkpoint
from resuming import run, run_in_two_jobs
from test_checks import check, settings  # noqa: F401, the fixture
from test_hostile import Intruder

from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs
from mtpd.training.models import student_and_teachers
from mtpd.training.randomness import seed_everything

NAMES = ("car", shapes.CLASSES[2], "bus", shapes.CLASSES[0])  # of the checkpoint
HEAD = "bbox_head.retina_cls.weight"
STILL = {"optimizer": {"type": "SGD", "lr": 0.0}}
START = {"initial": {"class_rows": True}}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """The student's detector, trained for four classes, of which the data have two."""
    path = tmp_path_factory.mktemp("zoo") / "zoo.pth"
    found = spec("r18_w8")
    model = configs.build(configs.load_config(found["config"], {}, NAMES))
    torch.manual_seed(11)
    model.init_weights()
    torch.save({"state_dict": model.state_dict(), "meta": {"dataset_meta": {"classes": NAMES}}}, path)
    return str(path)


def alone(dataset, zoo, class_rows=True, **changes):
    """A stage without teachers that starts from them."""
    start = {"initial": {"class_rows": class_rows}, "initial_weights": zoo, **changes}
    stage = progressive_stage(dataset, "", teachers=(), teacher_weights=(), **start)
    return dataclasses.replace(stage, recipe={**stage.recipe, "loss": None})


def assert_taken(found, expected, begins):
    """Convolutions and layers of classes; statistics of batch norms follow the images."""
    names = [name for name in expected if name.startswith(begins) and "conv" in name]
    assert names
    assert all(torch.equal(found[name], expected[name]) for name in names)


def test_a_student_alone_starts_from_them(dataset, zoo, tmp_path):
    stage = alone(dataset, zoo, epochs=1, **STILL)
    run(stage, tmp_path)
    found, theirs = weights(tmp_path), checkpoints.read_weights(zoo)
    assert_taken(found, theirs, ("backbone.", "neck.", "bbox_head.cls_convs", "bbox_head.reg_convs"))
    classes = len(shapes.CLASSES)
    for anchor in range(2):
        for own, other in ((2, 1), (0, 3)):
            assert torch.equal(found[HEAD][classes * anchor + own], theirs[HEAD][4 * anchor + other])
    report = json.loads((tmp_path / "out/initial.json").read_text(encoding="utf-8"))
    assert report["rows"] == [HEAD, HEAD.replace("weight", "bias")]
    assert report["classes"] == [shapes.CLASSES[2], shapes.CLASSES[0]]
    assert checkpoints.provenance(tmp_path / "out/student.pth")["initial"] == zoo
    run(dataclasses.replace(stage, initial=None, initial_weights=None), tmp_path)
    assert not (tmp_path / "out/initial.json").exists()
    assert not torch.equal(weights(tmp_path)[HEAD], found[HEAD])


def test_what_the_student_inherits_replaces_them(dataset, teacher, zoo, tmp_path):
    """And the backbone that the config names is not asked for."""
    nowhere = {"type": "Pretrained", "checkpoint": "http://127.0.0.1:9/none-01234567.pth", "_delete_": True}
    student = {**spec("r18_w8"), "overrides": {"model.backbone.init_cfg": nowhere}}
    run(
        progressive_stage(dataset, teacher, student=student, initial_weights=zoo, epochs=1, **START, **STILL),
        tmp_path,
    )
    found = weights(tmp_path)
    assert_taken(found, checkpoints.read_weights(zoo), ("backbone.", "neck.lateral_convs"))
    assert_taken(found, checkpoints.read_weights(teacher), ("neck.fpn_convs", "bbox_head."))
    assert torch.equal(found[HEAD], checkpoints.read_weights(teacher)[HEAD])


def test_the_weights_are_those_of_stock_mmdet_with_load_from(dataset, zoo):
    """Those that a stage begins with, beside a detector that mmdet builds, draws and loads."""
    stage = alone(dataset, zoo, class_rows=False)
    config = configs.load_config(stage.student["config"], {}, shapes.CLASSES)
    ours, _ = student_and_teachers(stage, config, shapes.CLASSES, resuming=False)
    seed_everything(*stage.position().values())
    stock = configs.build(config)
    stock.init_weights()
    load_checkpoint(stock, zoo, strict=False)
    for name, value in stock.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_an_interrupted_stage_gives_identical_results(dataset, teacher, zoo, tmp_path, monkeypatch):
    stage = progressive_stage(dataset, teacher, initial_weights=zoo, **START)
    stage = dataclasses.replace(stage, inherits=None, inherited_weights=None)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(stage, whole)
    run_in_two_jobs(stage, parts, monkeypatch)
    for name in ("metrics.json", "predictions.json", "history.csv", "initial.json", "student.pth"):
        assert (parts / "out" / name).read_bytes() == (whole / "out" / name).read_bytes(), name


def test_the_checkpoint_of_another_detector_is_a_final_failure(dataset, teacher, tmp_path):
    """The teacher's, a Swin Transformer."""
    stage = progressive_stage(dataset, teacher, initial_weights=teacher, **START)
    with pytest.raises(checkpoints.CheckpointError, match="of the detector's backbone"):
        run(stage, tmp_path)
    assert "of the detector's backbone" in (tmp_path / "work/failure.txt").read_text(encoding="utf-8")


def test_where_they_lie_changes_nothing_and_their_content_all(dataset, teacher, zoo, tmp_path):
    moved, other = tmp_path / "moved.pth", tmp_path / "other.pth"
    shutil.copy(zoo, moved)
    torch.save({"state_dict": build("r18_w8", 5).state_dict()}, other)
    found = [
        progressive_stage(dataset, teacher, initial_weights=str(path), **START).fingerprint()
        for path in (zoo, moved, other)
    ]
    assert found[0] == found[1] != found[2]
    without = progressive_stage(dataset, teacher).fingerprint()
    assert without not in found


def test_they_are_tried_before_the_first_job(settings, zoo, teacher, tmp_path):  # noqa: F811
    student = settings["detectors"]["student"]

    def wrong(path, sha256=None):
        student["initial"] = {"file": str(path), "sha256": sha256, "class_rows": True}
        student["files"] = [student["config"], str(path)]
        return check(settings, tmp_path / "checks")

    (line,) = wrong(teacher)
    assert line.startswith(f"detectors.student: {student['config']}: {teacher}: found 0% of the detector's")
    (line,) = wrong(zoo, "0" * 64)
    assert "not the expected file" in line
    evil = tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "meta": Intruder(tmp_path / "made")}, evil)
    (line,) = wrong(evil)
    assert "only tensors and plain values are read" in line
    assert not (tmp_path / "made").exists()
    assert wrong(zoo) == []
