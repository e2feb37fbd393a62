"""Small RetinaNet: ResNet-18 with 8 base channels, from scratch, 64-channel FPN with strides 8, 16, 32."""

_base_ = ["mmdet::_base_/models/retinanet_r50_fpn.py"]

model = dict(
    backbone=dict(
        depth=18,
        base_channels=8,
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
    ),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=64, num_outs=3),
    bbox_head=dict(
        num_classes=6,
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        anchor_generator=dict(octave_base_scale=3, scales_per_octave=2, ratios=[1.0], strides=[8, 16, 32]),
    ),
    test_cfg=dict(max_per_img=50, nms_pre=200),
)
