"""Teacher of the zoo: like the student r18_w4.py, with 32 base channels."""

_base_ = ["r18_w4.py"]

model = dict(backbone=dict(base_channels=32), neck=dict(in_channels=[32, 64, 128, 256]))
