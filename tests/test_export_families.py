"""Students of GFL, RTMDet and YOLOX: exported, they find what mmdet finds, in pictures of several sizes."""

import export_families
import onnxruntime
import pytest
import torch
from exports import by_mmdet, partners, pictures, saved

from mtpd import files
from mtpd.datasets import shapes
from mtpd.export import predict
from mtpd.export.export import export
from mtpd.export.graph import Graph

FIT = [160, 128]
AP_TOLERANCE = 0.1


def finds_the_same(path, find):
    expected = by_mmdet(path)
    for picture in pictures():
        first, second = expected(picture), find(predict.inputs(picture, {"resize": {"fit": FIT}}))
        # One more or less: where a score is at a threshold, the last digits decide.
        assert len(first["scores"]) > 20
        assert partners(first, second) >= len(first["scores"]) - 1
        assert partners(second, first) >= len(second["scores"]) - 1


@pytest.fixture
def student(family, tmp_path, dataset):
    detector = export_families.build(family, shapes.CLASSES)
    return saved(tmp_path, detector, export_families.spec(family), {**dataset, "scale": FIT}), detector


@pytest.mark.parametrize("family", export_families.SMALL)
def test_the_graph_finds_what_stock_mmdet_finds(family, student):
    path, detector = student
    graph = Graph(detector)

    def find(inputs):
        with torch.no_grad():
            found = graph(*(torch.from_numpy(value) for value in inputs.values()))
        return {name: value.numpy() for name, value in zip(graph.outputs, found, strict=True)}

    finds_the_same(path, find)


@pytest.mark.slow  # half a minute for each family: torch traces and converts the graph
@pytest.mark.parametrize("family", export_families.SMALL)
def test_onnxruntime_finds_what_stock_mmdet_finds(family, student, dataset):
    path, _ = student
    metrics = files.read_json(path.parent / "metrics.json")
    model, numbers = export({**dataset, "scale": FIT}, export_families.spec(family), path, metrics)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = numbers["outputs"]
    finds_the_same(path, lambda inputs: dict(zip(outputs, session.run(outputs, inputs), strict=True)))
    assert numbers["agreement"]["images"] == 6
    both = numbers["metrics"]["bbox"]
    assert both["metrics.json"]["AP"] > 0
    assert both["onnxruntime"]["AP"] == pytest.approx(both["metrics.json"]["AP"], abs=AP_TOLERANCE)
