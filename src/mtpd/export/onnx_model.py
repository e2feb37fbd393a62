"""From a graph of torch to an ONNX model."""

from __future__ import annotations

import warnings

import torch

from mtpd.export.graph import Graph

OPSET = 20  # of ONNX; 19 is the first with deformable convolutions
EXAMPLE = (320, 448)  # height and width of the traced image; any other size works, too


def to_onnx(graph: Graph) -> bytes:
    """The graph as an ONNX model, for images and pictures of any size."""
    image = torch.zeros(*EXAMPLE, 3, dtype=torch.uint8)
    dynamic = torch.export.Dim.DYNAMIC
    shapes = {"image": {0: dynamic, 1: dynamic}, "picture_size": None}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations inside torch
        arguments = (image, torch.tensor(EXAMPLE))
        program = torch.export.export(graph, arguments, dynamic_shapes=shapes, strict=False)
        found = torch.onnx.export(
            program,
            opset_version=OPSET,
            input_names=["image", "picture_size"],
            output_names=graph.outputs,
            verbose=False,
        )
    model = found.model_proto
    for items in (model.graph.node, model.graph.value_info, model.graph.initializer, [model.graph]):
        for item in items:
            del item.metadata_props[:]  # lines of source code, a fifth of the file
    return model.SerializeToString()
