"""Teacher of the zoo: a small Swin Transformer, with the anchors of the student r18_w4.py."""

_base_ = ["swin_w32.py"]

model = dict(
    bbox_head=dict(anchor_generator=dict(octave_base_scale=2)),
    test_cfg=dict(max_per_img=30, nms_pre=100),
)
