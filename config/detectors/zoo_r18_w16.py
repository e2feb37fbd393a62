"""Teacher of the zoo: like the student r18_w4.py, with 16 base channels."""

_base_ = ["r18_w4.py"]

model = dict(backbone=dict(base_channels=16), neck=dict(in_channels=[16, 32, 64, 128]))
