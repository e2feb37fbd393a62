"""Small Mask R-CNN: ResNet-18 with 8 base channels, trained from scratch, 64-channel FPN, small heads."""

_base_ = ["mmdet::_base_/models/mask-rcnn_r50_fpn.py"]

sampled = dict(sampler=dict(num=64))
model = dict(
    backbone=dict(depth=18, base_channels=8, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=64, num_outs=4),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[4], ratios=[1.0], strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(in_channels=64, fc_out_channels=128, num_classes=6),
        mask_roi_extractor=dict(out_channels=64),
        mask_head=dict(in_channels=64, num_convs=2, conv_out_channels=64, num_classes=6),
    ),
    train_cfg=dict(rpn=sampled, rpn_proposal=dict(nms_pre=200, max_per_img=64), rcnn=sampled),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=64), rcnn=dict(max_per_img=50)),
)
