"""Students for tests of the export: random weights that find objects, and what mmdet finds with them."""

import numpy as np
import torch
from conftest import RECIPE, build, spec
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config

from mtpd import files
from mtpd.data import pipelines
from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs
from mtpd.evaluation.evaluate import evaluate
from mtpd.experiment import identity

MADE_WITH = {"seed": 0}  # of the student

# The last layers, whose random weights are too small to find anything.
HEADS = {
    "r18_w8": ["bbox_head.retina_cls"],
    "lite0": ["bbox_head.retina_cls"],
    "reppoints_w8": ["bbox_head.reppoints_cls_out"],
    "mask_rcnn_w8": ["roi_head.bbox_head.fc_cls", "rpn_head.rpn_cls", "roi_head.mask_head.conv_logits"],
}


def stir(detector, heads, std=0.5, bias=-1.0):
    """Give these layers random weights of this spread, so that scores and masks differ."""
    torch.manual_seed(1)
    for name in heads:
        layer = detector.get_submodule(name)
        torch.nn.init.normal_(layer.weight, std=std)
        torch.nn.init.constant_(layer.bias, bias)


def student(folder, name, dataset):
    """A student of the project, as ``saved`` saves it."""
    detector = build(name)
    stir(detector, HEADS[name])
    return saved(folder, detector, spec(name), dataset)


def saved(folder, detector, spec, dataset):
    """``student.pth`` as a stage writes it, and its ``metrics.json``."""
    config = configs.load_config(spec["config"], spec["overrides"], shapes.CLASSES)
    pipelines.add_validation(config, dataset, shapes.CLASSES, workers=0)
    path = folder / "student.pth"
    provenance = {"teachers": [], "trained_with": MADE_WITH}
    checkpoints.save_student(path, detector, config, shapes.CLASSES, provenance)
    metrics = evaluate(dataset, spec, str(path), folder / "work").summary(dataset["name"])
    files.write_json(folder / "metrics.json", {**metrics, identity.KEY: MADE_WITH})
    return path


def source(sha256, license):
    return {"sha256": sha256, "license": license}


def export_spec(dataset, name):
    """What the script gets, as ``mtpd.experiment.card_specs.export`` makes it."""
    return {
        identity.KEY: files.fingerprint(MADE_WITH),
        "trained_with": files.fingerprint(MADE_WITH),
        "dataset": dataset,
        "data": "drawn by the workflow",
        "license": None,
        "detector": spec(name),
        "student": name,
        "recipe": "pkd",
        "settings": RECIPE,
        "chain": "swin@1+wide@2",
        "inherited": ["swin", None],
        "seed": 0,
        "teachers": {
            "swin": {**spec("swin_w32"), "training": "trained for 3 epochs", **source(None, None)},
            "wide": {**spec("r18_w32"), "training": "taken from wide.pth", **source("0123", "CC BY 4.0")},
        },
    }


def pictures():
    """Pictures of other shapes than the data set's, also larger and smaller ones."""
    random = np.random.default_rng(0)
    for height, width in ((64, 64), (50, 90), (131, 77), (24, 40)):
        coarse = random.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        yield coarse.repeat(8, 0).repeat(8, 1)[:height, :width].copy()


def by_mmdet(path):
    """Stock mmdet's inference with the config inside a student's checkpoint."""
    config = torch.load(path, weights_only=True)["meta"]["cfg"]
    model = init_detector(Config.fromstring(config, ".py"), str(path), device="cpu")

    def find(picture):
        found = inference_detector(model, picture).pred_instances
        values = {key: value.numpy() for key, value in found.items()}
        return {"boxes": values.pop("bboxes"), **values}

    return find


def partners(first, second):
    """How many detections of the first are among the second."""
    near = np.abs(first["boxes"][:, None] - second["boxes"][None]).max(-1, initial=0) < 0.02
    near &= np.abs(first["scores"][:, None] - second["scores"][None]) < 2e-4
    near &= first["labels"][:, None] == second["labels"][None]
    if "masks" in first:
        different = (first["masks"][:, None] ^ second["masks"][None]).sum((-1, -2))
        near &= different <= 1 + 0.002 * first["masks"].sum((-1, -2))[:, None]
    return int(near.any(1).sum())
