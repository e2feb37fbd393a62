"""Student of the demo and the studies: RetinaNet, ResNet-18 with 4 base channels, for images of 96 pixels."""

_base_ = ["r18_w8.py"]

model = dict(
    backbone=dict(base_channels=4),
    neck=dict(in_channels=[4, 8, 16, 32]),
    bbox_head=dict(anchor_generator=dict(octave_base_scale=2)),  # anchors of 16 to 90 pixels
    test_cfg=dict(max_per_img=30, nms_pre=100),
)
