"""Checkpoints in the forms that older versions of mmdet wrote, for every family of the model zoo.

They must load tensor for tensor. The old names are written here by hand. mmdet 2.28 names the modules of
these families as mmdet 3 does (their sources were compared); before that, FCOS had other names for its
predictors. The zoo's files of 2020 know no versions of modules, and have no counters of batch norms. The
detectors are mmdet's, with few channels where this changes no name.
"""

import re
from collections import OrderedDict

import pytest
import torch
import yaml
from conftest import PROJECT
from mmengine.logging import HistoryBuffer
from test_zoo_checkpoints import detector as random_detector

from mtpd.detectors import checkpoints

OWN, OTHERS = ("disc", "square"), ("a", "b", "c")  # the classes of the checkpoints, and of the experiment
WIDTHS = [32, 64, 128, 256]  # of a ResNet-50 with 8 base channels
NO_INIT = {"model.backbone.init_cfg": None}
NARROW = {**NO_INIT, "model.backbone.base_channels": 8, "model.neck.in_channels": WIDTHS}
FC = {"model.roi_head.bbox_head.fc_out_channels": 64}
CASCADE = {f"model.roi_head.bbox_head.{stage}.fc_out_channels": 64 for stage in range(3)}

# A config of every family, what makes it small, and the old names of its tensors.
FAMILIES = {
    "retinanet": ("retinanet/retinanet_r50_fpn_1x_coco.py", NARROW, {}),
    "faster_rcnn": ("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", {**NARROW, **FC}, {}),
    "mask_rcnn": ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", {**NARROW, **FC}, {}),
    "cascade_rcnn": ("cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py", {**NARROW, **CASCADE}, {}),
    "dcn": ("dcn/cascade-mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py", {**NARROW, **CASCADE}, {}),
    "dcn_pooling": ("dcn/faster-rcnn_r50_fpn_dpool_1x_coco.py", {**NARROW, **FC}, {}),
    "swin": ("swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py", {**NO_INIT, **FC}, {}),
    "reppoints": ("reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco.py", NARROW, {}),
    "fcos": (
        "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
        NARROW,
        {
            r"bbox_head\.conv_cls\.": "bbox_head.fcos_cls.",
            r"bbox_head\.conv_reg\.": "bbox_head.fcos_reg.",
            r"bbox_head\.conv_centerness\.": "bbox_head.fcos_centerness.",
        },
    ),
    "gfl": ("gfl/gfl_r50_fpn_1x_coco.py", NARROW, {}),
    "htc": ("htc/htc_r50_fpn_1x_coco.py", {**NARROW, **CASCADE}, {}),
    "detectors": ("detectors/detectors_htc-r50_1x_coco.py", CASCADE, {}),
}


def built(family, seed):
    """A detector of a family, with random values in every tensor, also in statistics of batch norms."""
    source, overrides, _ = FAMILIES[family]
    return random_detector(f"mmdet::{source}", seed, overrides, OWN)


def optimizer_of(detector):
    """The state of SGD after a step, with a momentum for every parameter."""
    sgd = torch.optim.SGD(detector.parameters(), lr=0.01, momentum=0.9)
    for parameter in detector.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    sgd.step()
    detector.load_state_dict(before)
    return sgd.state_dict()


def renamed(family, weights):
    """The weights under their old names; neither versions of modules nor counters of batch norms."""
    old = OrderedDict()
    for name, value in weights.items():
        for new, before in FAMILIES[family][2].items():
            name = re.sub(new, before, name)
        if not name.endswith("num_batches_tracked"):
            old[name] = value
    return old


def mmdet_1(family, detector):
    """As of 2020: the weights and the optimiser of a run, and the config as text."""
    meta = {"mmdet_version": "1.0rc1+621ecd2", "mmcv_version": "0.2.15", "time": "Thu Jan 30 03:30:00 2020"}
    meta |= {"config": "model = dict(type='RetinaNet')\n", "CLASSES": OWN, "epoch": 12, "iter": 87960}
    weights = renamed(family, detector.state_dict())
    return {"meta": meta, "state_dict": weights, "optimizer": optimizer_of(detector)}


def mmdet_2(family, detector):
    """As of 2021: what the tool for publishing leaves; the versions of modules are in the file."""
    meta = {"env_info": "sys.platform: linux", "mmdet_version": "2.11.0+c1cb9a4", "mmcv_version": "1.3.3"}
    meta |= {"seed": None, "exp_name": "config.py", "hook_msgs": {}, "time": "Wed Jun  2 10:59:31 2021"}
    meta |= {"config": "model = dict(type='RetinaNet')\n", "CLASSES": list(OWN), "epoch": 24, "iter": 175920}
    return {"meta": meta, "state_dict": detector.state_dict()}


def mmdet_3(family, detector):
    """As mmengine writes it in training, with logs and the optimiser."""
    meta = {
        "cfg": "model = dict(type='RetinaNet')\n",
        "seed": 1,
        "experiment_name": "run",
        "time": "20220810",
    }
    meta |= {"mmengine_version": "0.4.0", "epoch": 12, "iter": 87960}
    meta["dataset_meta"] = {"CLASSES": OWN, "PALETTE": [(220, 20, 60), (119, 11, 32)]}
    log = HistoryBuffer([0.5, 0.25], [1, 1])
    hub = {"log_scalars": {"train/loss": log}, "runtime_info": {"epoch": 12}, "resumed_keys": {}}
    schedules = [{"by_epoch": True, "last_step": 12, "_global_step": 12}]
    more = {"message_hub": hub, "param_schedulers": schedules, "optimizer": optimizer_of(detector)}
    return {"meta": meta, "state_dict": detector.state_dict(), **more}


@pytest.mark.slow
@pytest.mark.parametrize("write", [mmdet_1, mmdet_2, mmdet_3])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_loads_tensor_for_tensor(family, write, tmp_path):
    detector = built(family, 1)
    torch.save(write(family, detector), tmp_path / "zoo.pth")
    source, overrides, _ = FAMILIES[family]
    spec = {"config": f"mmdet::{source}", "overrides": overrides}
    loaded = checkpoints.load(spec, tmp_path / "zoo.pth", OTHERS)
    assert loaded.dataset_meta["classes"] == OWN
    expected, found = detector.state_dict(), loaded.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if write is mmdet_1 and name.endswith("num_batches_tracked"):
            assert found[name] == 0
        else:
            assert torch.equal(found[name], value), name


def test_old_names_differ_where_a_family_had_others():
    """Otherwise the test above would load the new names only."""
    weights = built("fcos", 1).state_dict()
    changed = renamed("fcos", weights).keys() - weights.keys()
    predictors = ("cls", "reg", "centerness")
    assert changed == {f"bbox_head.fcos_{name}.{kind}" for name in predictors for kind in ("bias", "weight")}


def test_every_family_of_the_papers_detectors_is_here():
    detectors = yaml.safe_load((PROJECT / "config/paper/zoo.yaml").read_text())["detectors"].values()
    families = {found["config"].removeprefix("mmdet::").split("/")[0] for found in detectors}
    assert families <= FAMILIES.keys()
