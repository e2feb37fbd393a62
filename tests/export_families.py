"""Small detectors of families that mmdet's own configs describe, for tests of the export."""

import torch
from exports import stir
from torch.nn.modules.batchnorm import _BatchNorm

from mtpd.detectors import configs

PADDED = {"model.data_preprocessor.pad_size_divisor": 32}
RESNET18 = {
    "model.backbone.depth": 18,
    "model.backbone.base_channels": 16,
    "model.neck.in_channels": [16, 32, 64, 128],
    "model.neck.out_channels": 16,
}
THIN = {"model.backbone.widen_factor": 0.125, "model.backbone.deepen_factor": 0.167}
NECK = {"model.neck.in_channels": [32, 64, 128], "model.neck.out_channels": 32}
HEAD = {"model.bbox_head.in_channels": 32, "model.bbox_head.feat_channels": 32}
LEVELS = range(3)

# Config, overrides, last layers of scores and of boxes, each with the spread of its random weights.
SMALL = {
    "gfl": (
        "mmdet::gfl/gfl_r50_fpn_1x_coco.py",
        {**RESNET18, "model.bbox_head.in_channels": 16, "model.bbox_head.feat_channels": 16,
         "model.bbox_head.stacked_convs": 1, "model.bbox_head.reg_max": 8,
         "model.bbox_head.norm_cfg": {"type": "GN", "num_groups": 4}},
        (["bbox_head.gfl_cls"], 0.1),
        (["bbox_head.gfl_reg"], 0.1),
    ),
    "rtmdet": (
        "mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
        {**THIN, **NECK, **HEAD, **PADDED, "model.test_cfg.score_thr": 0.3},
        ([f"bbox_head.rtm_cls.{level}" for level in LEVELS], 0.03),
        ([f"bbox_head.rtm_reg.{level}" for level in LEVELS], 0.03),
    ),
    "yolox": (
        "mmdet::yolox/yolox_tiny_8xb8-300e_coco.py",
        {**THIN, **NECK, **HEAD, "model.test_cfg.score_thr": 0.08},
        ([f"bbox_head.multi_level_conv_{kind}.{level}" for kind in ("cls", "obj") for level in LEVELS], 0.03),
        ([f"bbox_head.multi_level_conv_reg.{level}" for level in LEVELS], 0.01),
    ),
}  # fmt: skip


def spec(family):
    """The detector, as a stage gets it."""
    config, overrides, *_ = SMALL[family]
    return {"config": config, "overrides": overrides, "image_scale": 1, "taps": None}


def build(family, classes):
    """The detector with random weights that find objects, in eval mode."""
    source, overrides, of_scores, of_boxes = SMALL[family]
    config = configs.without_pretraining(configs.load_config(source, overrides, classes))
    torch.manual_seed(0)
    detector = configs.build(config)
    detector.init_weights()
    adapt_statistics(detector)
    stir(detector, *of_scores)
    stir(detector, *of_boxes, bias=1.0)  # so large that they overlap
    return detector.eval()


def adapt_statistics(detector):
    """Take the statistics of batch normalisation from random images; else deep features hardly differ."""
    for module in detector.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0
    images = [torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8).repeat_interleave(8, 1) for _ in range(4)]
    images = [image.repeat_interleave(8, 2) for image in images]
    with torch.no_grad():
        detector.train()(detector.data_preprocessor({"inputs": images})["inputs"], mode="tensor")
