"""RetinaNet of the demo: a small Swin Transformer of 32 embedding channels, from scratch, 64-channel FPN."""

_base_ = ["mmdet::_base_/models/retinanet_r50_fpn.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="SwinTransformer",
        embed_dims=32,
        depths=[2, 2, 2, 2],
        num_heads=[2, 4, 8, 16],
        window_size=4,
        drop_path_rate=0.1,
        out_indices=(0, 1, 2, 3),
        convert_weights=False,
        init_cfg=None,
    ),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64, num_outs=3),
    bbox_head=dict(
        num_classes=6,
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        anchor_generator=dict(octave_base_scale=3, scales_per_octave=2, ratios=[1.0], strides=[8, 16, 32]),
    ),
    test_cfg=dict(max_per_img=50, nms_pre=200),
)
