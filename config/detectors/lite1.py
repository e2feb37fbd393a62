"""Like lite0.py, on EfficientNet-Lite1."""

_base_ = ["lite0.py"]

model = dict(
    backbone=dict(
        name="tf_efficientnet_lite1",
        init_cfg=dict(type="Pretrained", checkpoint="timm://tf_efficientnet_lite1"),
    ),
)
