"""Checkpoints of mmdet's model zoo: they load as in stock mmdet, tensor for tensor, or are refused."""

from collections import OrderedDict

import pytest
import torch
from mmengine.runner import load_checkpoint

from mtpd.detectors import checkpoints, configs
from mtpd.detectors.inherit import inherit

FCOS = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"
FOVEA = "mmdet::foveabox/fovea_r50_fpn_4xb4-1x_coco.py"
REPPOINTS = "mmdet::reppoints/reppoints-moment_r50_fpn_1x_coco.py"
ENDINGS = ("cls", "reg", "centerness")
DCN = "mmdet::dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py"
DETECTORS = "mmdet::detectors/cascade-rcnn_r50-sac_1x_coco.py"
SWIN = "mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py"
RETINANET = "mmdet::retinanet/retinanet_r18_fpn_1x_coco.py"


def detector(source, seed=0, overrides=None, classes=("disc", "square")):
    """One of mmdet's, with random weights, statistics of batch norms included."""
    torch.manual_seed(seed)
    built = configs.build(configs.without_pretraining(configs.load_config(source, overrides or {}, classes)))
    with torch.no_grad():
        for value in built.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.1, 1)
    return built


def renamed(old):
    """The weights with the names that a version of 2020 gave them: no versions of modules in the file."""

    def old_name(name):
        for new, before in old.items():
            name = name.replace(new, before)
        return name

    return lambda weights: OrderedDict((old_name(name), value) for name, value in weights.items())


def without(*endings):
    def change(weights):
        for name in [name for name in weights if name.endswith(endings)]:
            del weights[name]
        return weights

    return change


FILES = {
    "fcos-of-2020": (FCOS, renamed({f".conv_{end}.": f".fcos_{end}." for end in ENDINGS})),
    "foveabox-of-2020": (FOVEA, renamed({".conv_cls.": ".fovea_cls.", ".conv_reg.": ".fovea_reg."})),
    "reppoints-without-versions": (REPPOINTS, renamed({})),
    "reppoints": (REPPOINTS, lambda weights: weights),
    "dcn": (DCN, lambda weights: weights),
    "dcn-without-versions": (DCN, renamed({})),
    "swin": (SWIN, lambda weights: weights),
    "no-aws-buffers": (DETECTORS, without(".weight_gamma", ".weight_beta")),
    "no-counters": (RETINANET, without(".num_batches_tracked")),
    "no-counters-no-versions": (RETINANET, lambda w: without(".num_batches_tracked")(renamed({})(w))),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_it_loads_as_in_stock_mmdet(case, tmp_path):
    source, change = FILES[case]
    torch.save({"state_dict": change(detector(source).state_dict())}, tmp_path / "zoo.pth")
    stock, own = detector(source, 1), detector(source, 2)
    load_checkpoint(stock, str(tmp_path / "zoo.pth"), map_location="cpu")
    checkpoints.load_weights(own, tmp_path / "zoo.pth")
    for name, value in stock.state_dict().items():
        torch.testing.assert_close(own.state_dict()[name], value, rtol=0, atol=0)


def test_old_names_that_stock_mmdet_no_longer_finds_are_refused(tmp_path):
    """mmcv renames a deformable convolution's offsets, but torch no longer shows it the old names."""
    old = renamed({".conv2.conv_offset.": ".conv2_offset."})(detector(DCN).state_dict())
    torch.save({"state_dict": old}, tmp_path / "dcn.pth")
    result = detector(DCN).load_state_dict(old, strict=False)
    assert "backbone.layer2.0.conv2.conv_offset.weight" in result.missing_keys
    with pytest.raises(checkpoints.CheckpointError, match=r"dcn\.pth: does not fit .* missing .* unexpected"):
        checkpoints.load_weights(detector(DCN), tmp_path / "dcn.pth")


def test_what_a_student_inherits_has_the_names_of_the_teachers_own_modules(tmp_path):
    source, change = FILES["fcos-of-2020"]
    torch.save({"state_dict": change(detector(source).state_dict())}, tmp_path / "zoo.pth")
    spec = {"config": source, "overrides": {}}
    teacher = checkpoints.load(spec, tmp_path / "zoo.pth", ("disc", "square")).state_dict()
    report = inherit(detector(source, 1), teacher)
    assert "bbox_head.conv_cls.weight" in report["inherited"]
    assert not report["absent"]


def test_a_student_keeps_the_versions_of_its_modules(tmp_path):
    student, config = detector(RETINANET), configs.load_config(RETINANET, {}, ("disc", "square"))
    checkpoints.save_student(tmp_path / "full.pth", student, config, ("disc", "square"), {})
    checkpoints.save_half_precision(tmp_path / "full.pth", tmp_path / "half.pth")
    for file in ("full.pth", "half.pth"):
        versions = checkpoints.read_weights(tmp_path / file)._metadata
        assert versions["backbone.bn1"]["version"] == 2
