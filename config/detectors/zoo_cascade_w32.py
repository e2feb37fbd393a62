"""Teacher of the zoo: Cascade R-CNN, ResNet-18 with 32 base channels, 96-channel FPN (strides 4 to 32).

Nothing of its neck and heads fits the student r18_w4.py, whose neck has 64 channels.
Its heads and their training are lists, which `_base_` replaces as a whole: so they repeat cascade_w32.py.
"""

_base_ = ["mmdet::_base_/models/cascade-rcnn_r50_fpn.py"]

CHANNELS = 96


def _head(stds):
    return dict(
        type="Shared2FCBBoxHead",
        in_channels=CHANNELS,
        fc_out_channels=128,
        roi_feat_size=7,
        num_classes=6,
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_means=[0.0, 0.0, 0.0, 0.0], target_stds=stds),
        reg_class_agnostic=True,
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
    )


def _training(overlap):
    return dict(
        assigner=dict(
            type="MaxIoUAssigner",
            pos_iou_thr=overlap,
            neg_iou_thr=overlap,
            min_pos_iou=overlap,
            match_low_quality=False,
            ignore_iof_thr=-1,
        ),
        sampler=dict(
            type="RandomSampler", num=32, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True
        ),
        pos_weight=-1,
        debug=False,
    )


model = dict(
    backbone=dict(depth=18, base_channels=32, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=CHANNELS, num_outs=4),
    rpn_head=dict(
        in_channels=CHANNELS,
        feat_channels=CHANNELS,
        anchor_generator=dict(scales=[4], ratios=[1.0], strides=[4, 8, 16, 32]),  # 16 to 128 pixels
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=1),  # a bin is about one position wide: more samples only cost time
            out_channels=CHANNELS,
            featmap_strides=[4, 8, 16, 32],
            finest_scale=24,
        ),
        bbox_head=[
            _head([0.1, 0.1, 0.2, 0.2]),
            _head([0.05, 0.05, 0.1, 0.1]),
            _head([0.033, 0.033, 0.067, 0.067]),
        ],
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=64),
        rcnn=[_training(0.5), _training(0.6), _training(0.7)],
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=64), rcnn=dict(max_per_img=30)),
)
