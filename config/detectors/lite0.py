"""RetinaNet on EfficientNet-Lite0 (timm, from ImageNet), 64-channel FPN, strides 8 to 64, 3.5 M weights."""

_base_ = ["mmdet::_base_/models/retinanet_r50_fpn.py"]

model = dict(
    data_preprocessor=dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0]),
    backbone=dict(
        _delete_=True,
        type="TimmBackbone",
        name="tf_efficientnet_lite0",
        out_indices=(2, 3, 4),
        init_cfg=dict(type="Pretrained", checkpoint="timm://tf_efficientnet_lite0"),
    ),
    neck=dict(in_channels=[40, 112, 320], start_level=0, out_channels=64, num_outs=4),
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        anchor_generator=dict(octave_base_scale=3, scales_per_octave=2, strides=[8, 16, 32, 64]),
    ),
    test_cfg=dict(max_per_img=50, nms_pre=500),
)
