"""Teacher of the zoo: like the student r18_w4.py, with a ResNet-50 (bottlenecks) of 16 base channels."""

_base_ = ["r18_w4.py"]

model = dict(backbone=dict(depth=50, base_channels=16), neck=dict(in_channels=[64, 128, 256, 512]))
