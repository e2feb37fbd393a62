"""Like r18_w8.py, with a small Swin Transformer of 32 embedding channels."""

_base_ = ["r18_w8.py"]

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
    neck=dict(in_channels=[32, 64, 128, 256]),
)
