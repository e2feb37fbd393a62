"""Like r18_w8.py, with 32 base channels and a 96-channel FPN."""

_base_ = ["r18_w8.py"]

model = dict(
    backbone=dict(base_channels=32),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=96),
    bbox_head=dict(in_channels=96, feat_channels=96),
)
