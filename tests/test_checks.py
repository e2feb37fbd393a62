"""The checks before the first job: what is checked again, what a stage writes, which detectors can train."""

import copy
import subprocess
import sys

import pytest
import torch
import yaml
from conftest import PROJECT, build, spec
from mmengine.config import Config

from mtpd.checks import disk, problems
from mtpd.checks.subjects import Kind, Passed
from mtpd.checks.trainable import try_loss
from mtpd.datasets import shapes
from mtpd.detectors import configs, operators
from mtpd.experiment import specs
from mtpd.experiment.folders import Layout
from mtpd.experiment.reading import load_experiment

ALONE = {"optimizer": {"type": "SGD", "lr": 0.01}, "clip_grad": 35, "paramwise": None, "precision": "float32"}


def detector(name, trained):
    found = spec(name)
    return {**found, "file": None, "sha256": None, "trained": trained, "files": [found["config"]]}


@pytest.fixture
def settings(dataset):
    """What an experiment with a student and a teacher asks for."""
    return {
        "dataset": {
            **copy.deepcopy(dataset),
            **{name: {**dataset[name], "content": name} for name in ("train", "val")},
            "generated": False,
            "train_images": None,
            "val_images": None,
        },
        "detectors": {"student": detector("r18_w8", True), "swin": detector("swin_w32", False)},
        "recipes": {"alone": ALONE, "pkd": copy.deepcopy(ALONE)},
        "pairs": [("student", "swin")],
        "inherits": [("student", "swin")],
        "ordered": True,
        "gpus": 0,
    }


def test_every_kind_of_subject_is_checked_in_one_round():
    """A kind that stood in no round would be left out without a word."""
    assert sorted(kind for methods in problems.ROUNDS for kind in methods) == sorted(Kind)


def check(settings, folder):
    return problems.problems(settings, Passed(settings, folder), print)


def test_the_students_and_what_has_train_are_tried():
    content = yaml.safe_load((PROJECT / "tests/data/small.yaml").read_text())
    content["detectors"]["swin32"] = {"config": "config/detectors/swin_w32.py", "file": "swin.pth"}
    found = specs.checks(load_experiment(content), Layout("demo", "shapes"))
    assert {name: spec["trained"] for name, spec in found["detectors"].items()} == {
        "r18w8": True,
        "r18w16": True,
        "r18w32": True,
        "swin32": False,
    }
    assert (found["dataset"]["train_images"], found["dataset"]["val_images"]) == (640, 120)
    assert found["gpus"] == 0


def test_what_has_passed_is_not_checked_again(settings, tmp_path):
    assert len(Passed(settings, tmp_path).to_check()) == 10
    assert check(settings, tmp_path) == []
    assert Passed(settings, tmp_path).to_check() == []


CHANGES = {
    "learning rate": (lambda s: s["recipes"]["pkd"]["optimizer"].update(lr=0.1), {("recipe", "pkd")}),
    "student": (
        lambda s: s["detectors"]["student"].update(overrides={"model.neck.num_outs": 4}),
        {
            ("detector", "student"),
            ("pair", "student", "swin"),
            ("inheriting", "student", "swin"),
            ("masks", "train"),
            ("masks", "val"),
        },
    ),
    "arm": (lambda s: s["pairs"].append(("swin", "student")), {("pair", "swin", "student")}),
    "val": (
        lambda s: s["dataset"]["val"].update(content="another"),
        {("split", "val"), ("masks", "val")},
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_only_what_changed_is_checked_again(what, settings, tmp_path):
    before = Passed(settings, tmp_path)
    for subject in before.to_check():
        before.add(subject, {})
    change, again = CHANGES[what]
    change(settings)
    assert set(Passed(settings, tmp_path).to_check()) == again


def test_a_pair_does_not_pass_while_its_detector_is_wrong(settings, tmp_path):
    settings["detectors"]["swin"]["overrides"] = {"model.backbone.dpth": 18}
    (line,) = check(settings, tmp_path)
    assert line.startswith("detectors.swin: ")
    left = Passed(settings, tmp_path).to_check()
    assert left == [("detector", "swin"), ("pair", "student", "swin"), ("inheriting", "student", "swin")]


def test_a_wrong_transform_is_told_before_the_first_job(settings, tmp_path):
    settings["recipes"]["pkd"]["augment"] = [{"type": "RandomShift"}, {"type": "Mosaic"}]
    (line,) = check(settings, tmp_path)
    assert line.startswith("recipes.pkd.augment.1: Mosaic mixes several images")


@pytest.mark.parametrize(
    ("recipe", "copies"),
    [
        ({"optimizer": {"type": "SGD", "lr": 0.01}}, 1 + 1.3 * 2 * 2),
        ({"optimizer": {"type": "AdamW", "lr": 0.01}}, 1 + 1.3 * 2 * 3),
        ({"optimizer": {"type": "AdamW", "lr": 0.01}, "ema": {}}, 1 + 1.3 * 2 * 4),
    ],
)
def test_the_disk_must_hold_all_that_stages_write(recipe, copies, settings, tmp_path, monkeypatch):
    settings["recipes"] = {"alone": {**ALONE, **recipe}}
    passed = Passed(settings, tmp_path)
    passed.add(("detector", "student"), {"numbers": 1000, "masks": True})
    passed.add(("split", "val"), {"images": 7})
    needed = round(3 * (4 * 1000 * copies + 7 * 100 * 600))
    for free, found in ((needed, 0), (needed - 1, 1)):
        monkeypatch.setattr(disk.shutil, "disk_usage", lambda _, free=free: Config({"free": free}))
        assert len(disk.problems(settings, passed, {"student": 3})) == found


@pytest.mark.parametrize(
    "name", ["r18_w8", "cascade_w32", "mask_rcnn_w8", "mask_rcnn_swin", "reppoints_w8", "swin_w32"]
)
def test_detectors_that_train_pass(name):
    try_loss(build(name), masks=name in ("cascade_w32", "mask_rcnn_w8", "mask_rcnn_swin"))


@pytest.mark.parametrize(
    "config",
    [
        "fcos/fcos_r18_fpn_gn-head-center-normbbox-centeronreg-giou_8xb8-amp-lsj-200e_coco.py",
        "gfl/gfl_r50_fpn_1x_coco.py",
        "atss/atss_r50_fpn_1x_coco.py",
        "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
    ],
)
def test_stock_detectors_that_train_pass(config):
    found = configs.load_config(f"mmdet::{config}", {}, shapes.CLASSES)
    try_loss(configs.build(configs.without_pretraining(found)), masks=False)


def test_weights_that_are_not_initialised_do_not_matter():
    """torch.empty gives whatever was in memory."""
    detector = build("r18_w8")
    with torch.no_grad():
        detector.bbox_head.retina_cls.weight.fill_(float("nan"))
        detector.bbox_head.retina_reg.weight.fill_(3e38)
    try_loss(detector, masks=False)
    assert all(parameter.isfinite().all() for parameter in detector.parameters())


def test_trying_a_loss_leaves_no_gradients_and_the_mode():
    student = build("r18_w8").eval()
    try_loss(student, masks=False)
    assert not student.training
    assert all(parameter.grad is None for parameter in student.parameters())


def test_a_teacher_that_cannot_be_trained_is_accepted(settings, tmp_path):
    config = "mmdet::htc/htc_r50_fpn_1x_coco.py"
    settings["detectors"]["swin"].update(config=config, files=[])
    settings["inherits"] = []
    assert check(settings, tmp_path) == []


def test_gpus_need_the_operators_of_mmcv(settings, tmp_path, monkeypatch):
    settings["gpus"] = 1
    monkeypatch.setattr(operators, "get_compiling_cuda_version", lambda: "12.8")
    assert check(settings, tmp_path / "with") == []
    monkeypatch.setattr(operators, "get_compiling_cuda_version", lambda: "not available")
    (line,) = check(settings, tmp_path / "without")
    assert line.startswith("compute.gpus: mmcv was built without CUDA operators")
    assert "TORCH_CUDA_ARCH_LIST" in line
    with pytest.raises(RuntimeError, match="MMCV_WHEEL or MMCV_INDEX"):
        operators.require_cuda_operators()


def test_snakemake_itself_needs_no_torch_for_keys_disk_and_schedules():
    code = (
        "import sys; from mtpd.checks import disk, stage_lengths, subjects; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
