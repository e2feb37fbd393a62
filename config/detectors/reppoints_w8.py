"""Small RepPoints: ResNet-18 with 8 base channels, trained from scratch, 64-channel FPN."""

_base_ = ["mmdet::reppoints/reppoints-moment_r50_fpn_1x_coco.py"]

model = dict(
    backbone=dict(depth=18, base_channels=8, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=64, num_outs=3),
    bbox_head=dict(
        num_classes=6,
        in_channels=64,
        feat_channels=64,
        point_feat_channels=64,
        stacked_convs=1,
        point_strides=[8, 16, 32],
    ),
    test_cfg=dict(nms_pre=200, max_per_img=50),
)
