"""Checkpoints: read as data, refused where they do not fit."""

import pickle

import pytest
import torch
from conftest import PROJECT, build

from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs


class Intruder:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_checkpoint_with_code_in_it_is_refused_and_does_not_run(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "meta": Intruder()}, path)
    with pytest.raises(checkpoints.CheckpointError, match=r"evil\.pth: refused"):
        checkpoints.read_weights(path)
    assert "code ran" not in capsys.readouterr().out
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = tmp_path / "half.pth"
    torch.save({"state_dict": build("r18_w8").state_dict()}, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(checkpoints.CheckpointError, match=r"half\.pth"):
        checkpoints.read_weights(path)


def test_a_checkpoint_of_another_detector_is_refused_by_its_tensors(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"state_dict": build("swin_w32").state_dict()}, path)
    with pytest.raises(checkpoints.CheckpointError, match=r"missing .*unexpected .*misshapen"):
        checkpoints.load_weights(build("r18_w8"), path)


def test_weights_come_back_as_they_were_written(tmp_path):
    config = configs.load_config(str(PROJECT / "config/detectors/r18_w8.py"), {}, shapes.CLASSES)
    student = build("r18_w8", 3)
    checkpoints.save_student(tmp_path / "student.pth", student, config, shapes.CLASSES, {"seed": 0})
    loaded = build("r18_w8", 4)
    checkpoints.load_weights(loaded, tmp_path / "student.pth")
    for name, value in student.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["student.pth"]


def test_a_stock_config_takes_the_classes_of_the_data():
    config = configs.load_config("mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", {}, ("cell", "platelet"))
    assert config.model.bbox_head.num_classes == 2
    assert "train_dataloader" not in config


def test_overrides_go_in_by_dotted_key():
    config = configs.load_config(
        "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", {"model.backbone.depth": 18}, ("cell",)
    )
    assert config.model.backbone.depth == 18


def test_a_half_precision_copy_is_the_same_detector_and_half_as_large(tmp_path):
    detector = build("r18_w16")
    detector.backbone.layer1[0].bn1.running_var.fill_(1e6)  # beyond half's range
    config = configs.load_config(str(PROJECT / "config/detectors/r18_w16.py"), {}, shapes.CLASSES)
    checkpoints.save_student(tmp_path / "full.pth", detector, config, shapes.CLASSES, {})
    checkpoints.save_half_precision(tmp_path / "full.pth", tmp_path / "half.pth")
    copy = build("r18_w16", seed=1)
    checkpoints.load_weights(copy, tmp_path / "half.pth")
    for name, tensor in detector.state_dict().items():
        torch.testing.assert_close(copy.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    assert checkpoints.classes_of_checkpoint(tmp_path / "half.pth") == shapes.CLASSES
    assert (tmp_path / "half.pth").stat().st_size < 0.55 * (tmp_path / "full.pth").stat().st_size
    assert str(tmp_path) not in str(checkpoints.read_checkpoint(tmp_path / "half.pth")["meta"])
