"""Like lite0.py, on EfficientNet-Lite2."""

_base_ = ["lite0.py"]

model = dict(
    backbone=dict(
        name="tf_efficientnet_lite2",
        init_cfg=dict(type="Pretrained", checkpoint="timm://tf_efficientnet_lite2"),
    ),
    neck=dict(in_channels=[48, 120, 352]),
)
