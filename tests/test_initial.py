"""Trained weights that a detector starts from: which tensors and rows it takes, beside tables by hand."""

import copy
import math

import pytest
import torch
from mmengine.runner import load_checkpoint
from test_hostile import Intruder
from test_old_checkpoints import FAMILIES
from test_zoo_checkpoints import detector

from mtpd.checks import trainable
from mtpd.detectors import checkpoints, configs
from mtpd.detectors.initial import COCO, start_from

OWN = ("cat", "zebu", "person")  # of COCO: cat is number 15, person number 0
OTHERS = ("disc", "square", "star")
# The rows of the classes in a checkpoint of COCO's 80, by the rows of the new layer; -1: it starts anew.
SOFTMAX = [15, -1, 0, 80]  # with the background, last
BOXES = [60, 61, 62, 63, -1, -1, -1, -1, 0, 1, 2, 3]  # four numbers of each class
MASKS = [15, -1, 0]
ANCHORS = [row for anchor in range(9) for row in (80 * anchor + 15, -1, 80 * anchor)]
ROI = "roi_head.bbox_head"
ROWS = {
    "faster_rcnn": {f"{ROI}.fc_cls": SOFTMAX, f"{ROI}.fc_reg": BOXES},
    "mask_rcnn": {
        f"{ROI}.fc_cls": SOFTMAX,
        f"{ROI}.fc_reg": BOXES,
        "roi_head.mask_head.conv_logits": MASKS,
    },
    "retinanet": {"bbox_head.retina_cls": ANCHORS},
    "fcos": {"bbox_head.conv_cls": MASKS},
    "gfl": {"bbox_head.gfl_cls": MASKS},
}


def spec(family):
    source, overrides, _ = FAMILIES[family]
    return {"config": f"mmdet::{source}", "overrides": overrides}


def built(family, seed, classes):
    source, overrides, _ = FAMILIES[family]
    return detector(f"mmdet::{source}", seed, overrides, classes)


def saved(path, weights, meta=None):
    torch.save({"state_dict": weights, "meta": meta or {}}, path)
    return path


def expected(drawn, theirs, rows):
    """The tensors of a detector, by a table of rows for each layer of classes."""
    table = {f"{layer}.{kind}": found for layer, found in rows.items() for kind in ("weight", "bias")}
    tensors = {name: value for name, value in theirs.items() if name not in table}
    for name, found in table.items():
        picked = [drawn[name][at] if row < 0 else theirs[name][row] for at, row in enumerate(found)]
        tensors[name] = torch.stack(picked)
    return tensors


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    wrong = [name for name in wanted if not torch.equal(found[name], wanted[name])]
    assert not wrong


def copied(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


METAS = {
    "mmdet-3": {"dataset_meta": {"classes": COCO}},
    "mmdet-3.0": {"dataset_meta": {"CLASSES": COCO}},
    "mmdet-2": {"CLASSES": COCO},
    "none": {},
}


@pytest.mark.parametrize(
    ("family", "meta"),
    [*((family, "mmdet-3") for family in ROWS), *(("retinanet", meta) for meta in METAS)],
)
def test_rows_of_classes_of_equal_names_are_taken(family, meta, tmp_path):
    theirs = copied(built(family, 1, COCO))
    path = saved(tmp_path / "zoo.pth", theirs, METAS[meta])
    ours = built(family, 2, OWN)
    drawn = copied(ours)
    report = start_from(ours, path, spec(family), OWN)
    assert_equal(ours.state_dict(), expected(drawn, theirs, ROWS[family]))
    assert sorted(report["rows"]) == sorted(
        f"{layer}.{kind}" for layer in ROWS[family] for kind in ("bias", "weight")
    )
    assert sorted([*report["taken"], *report["rows"]]) == sorted(drawn)
    assert sorted(report["classes"]) == ["cat", "person"]
    assert not any(report[outcome] for outcome in ("other_classes", "other_shape", "absent", "unused"))


@pytest.mark.parametrize(
    ("classes", "names", "option"),
    [(OTHERS, COCO, True), (OWN, COCO, False), (OTHERS, OWN, True), (OTHERS, OWN, False), (OWN, None, True)],
    ids=["no-name-agrees", "option-off", "as-many-others", "as-many-others-off", "three-without-names"],
)
def test_layers_of_other_classes_start_anew(classes, names, option, tmp_path):
    theirs = copied(built("faster_rcnn", 1, names or OTHERS))
    path = saved(tmp_path / "other.pth", theirs, {"CLASSES": names} if names else {})
    ours = built("faster_rcnn", 2, classes)
    drawn = copied(ours)
    report = start_from(ours, path, spec("faster_rcnn"), classes, class_rows=option)
    anew = {layer: [-1] * len(drawn[f"{layer}.bias"]) for layer in ROWS["faster_rcnn"]}
    assert_equal(ours.state_dict(), expected(drawn, theirs, anew))
    assert len(report["other_classes"]) == 4
    assert report["classes"] == report["rows"] == []


def test_classes_in_another_order_are_taken_by_name(tmp_path):
    theirs = copied(built("faster_rcnn", 1, OWN))
    path = saved(tmp_path / "own.pth", theirs, {"CLASSES": OWN})
    ours = built("faster_rcnn", 2, OWN[::-1])
    drawn = copied(ours)
    start_from(ours, path, spec("faster_rcnn"), OWN[::-1])
    boxes = [8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3]
    rows = {f"{ROI}.fc_cls": [2, 1, 0, 3], f"{ROI}.fc_reg": boxes}
    assert_equal(ours.state_dict(), expected(drawn, theirs, rows))


@pytest.mark.parametrize("option", [True, False])
def test_all_is_taken_where_the_classes_are_the_same(option, tmp_path):
    theirs = copied(built("fcos", 1, OWN))
    path = saved(tmp_path / "own.pth", theirs, {"CLASSES": OWN})
    ours = built("fcos", 2, OWN)
    start_from(ours, path, spec("fcos"), OWN, class_rows=option)
    assert_equal(ours.state_dict(), theirs)


def test_old_names_and_a_prefix_are_read_as_elsewhere(tmp_path):
    """A file of 2020 with FCOS's old names, in a wrapper for several GPUs."""
    theirs = copied(built("fcos", 1, COCO))
    old = {"conv_cls": "fcos_cls", "conv_reg": "fcos_reg", "conv_centerness": "fcos_centerness"}
    named = {}
    for name, value in theirs.items():
        for new, before in old.items():
            name = name.replace(f"bbox_head.{new}.", f"bbox_head.{before}.")
        named[f"module.{name}"] = value
    path = saved(tmp_path / "old.pth", named)
    ours = built("fcos", 2, OWN)
    drawn, said = copied(ours), []
    start_from(ours, path, spec("fcos"), OWN, say=said.append)
    assert_equal(ours.state_dict(), expected(drawn, theirs, ROWS["fcos"]))
    assert f"{len(theirs)} tensors are read without 'module.'" in said[0]


def test_what_is_not_taken_is_named(tmp_path):
    theirs = copied(built("retinanet", 1, OWN))
    theirs["neck.lateral_convs.0.conv.bias"] = torch.zeros(7)
    del theirs["neck.fpn_convs.1.conv.bias"]
    theirs["mask_head.weight"] = torch.zeros(3)
    path, said = saved(tmp_path / "own.pth", theirs, {"CLASSES": OWN}), []
    report = start_from(built("retinanet", 2, OWN), path, spec("retinanet"), OWN, say=said.append)
    assert report["other_shape"] == ["neck.lateral_convs.0.conv.bias"]
    assert report["absent"] == ["neck.fpn_convs.1.conv.bias"]
    assert report["unused"] == ["mask_head.weight"]
    assert said == [
        f"{path}: {len(report['taken'])} taken; 1 other shape (neck.lateral_convs.0.conv.bias); "
        "1 absent (neck.fpn_convs.1.conv.bias); 1 unused (mask_head.weight)"
    ]


def test_the_checkpoint_of_another_backbone_is_refused(tmp_path):
    path = saved(tmp_path / "swin.pth", copied(built("swin", 1, COCO)))
    wanted = r"found 0% of the detector's backbone in it, expected at least 50%: .*or leave out 'initial'"
    with pytest.raises(checkpoints.CheckpointError, match=wanted):
        start_from(built("mask_rcnn", 2, OWN), path, spec("mask_rcnn"), OWN)


@pytest.mark.parametrize(("layers", "enough"), [((1, 2, 3), False), ((1, 2, 4), True)])
def test_half_of_the_backbone_is_enough(layers, enough, tmp_path):
    """Layers 1, 2 and 3 have a third of its numbers, layer 4 the rest."""
    theirs = copied(built("retinanet", 1, OWN))
    kept = tuple(f"backbone.layer{layer}." for layer in layers)
    path = saved(tmp_path / "part.pth", {name: theirs[name] for name in theirs if name.startswith(kept)})
    ours = built("retinanet", 2, OWN)
    if enough:
        assert start_from(ours, path, spec("retinanet"), OWN)["absent"]
        return
    with pytest.raises(checkpoints.CheckpointError, match=r"found 3\d% of the detector's backbone"):
        start_from(ours, path, spec("retinanet"), OWN)


def test_code_in_the_file_does_not_run(tmp_path):
    theirs = copied(built("retinanet", 1, COCO))
    path = saved(tmp_path / "evil.pth", theirs, {"more": Intruder(tmp_path / "made")})
    with pytest.raises(checkpoints.CheckpointError, match="only tensors and plain values are read"):
        start_from(built("retinanet", 2, OWN), path, spec("retinanet"), OWN)
    assert not (tmp_path / "made").exists()


def loss(model):
    """Of a training step on two images, by name."""
    pictures = {"inputs": [trainable._image()] * 2, "data_samples": [trainable._sample(False)] * 2}
    torch.manual_seed(0)  # for the boxes that a two-stage detector samples
    model.train()
    losses = model(**model.data_preprocessor(copy.deepcopy(pictures), True), mode="loss")
    return {name: value.item() for name, value in model.parse_losses(losses)[1].items()}


def initialised(family, seed, classes):
    found = spec(family)
    model = configs.build(configs.load_config(found["config"], found["overrides"], classes))
    torch.manual_seed(seed)
    model.init_weights()
    return model


@pytest.mark.parametrize("family", ["retinanet", "faster_rcnn", "fcos"])
def test_the_loss_is_that_of_stock_mmdet_with_load_from(family, tmp_path):
    """mmengine's runner calls load_checkpoint with ``load_from``; it lets heads of other shapes be."""
    path = saved(tmp_path / "zoo.pth", initialised(family, 1, COCO).state_dict(), METAS["mmdet-3"])
    ours, stock, untouched = (initialised(family, 2, OWN) for _ in range(3))
    start_from(ours, path, spec(family), OWN, class_rows=False)
    load_checkpoint(stock, str(path), strict=False)
    losses = [loss(model) for model in (ours, stock, untouched)]
    assert losses[0] == losses[1] != losses[2]
    assert all(math.isfinite(value) for value in losses[0].values())
