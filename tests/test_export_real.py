"""Real configs of mmdet, random weights, small pictures: the exported graph finds what mmdet finds."""

import onnxruntime
import pytest
import torch
from exports import partners, pictures, stir
from mmdet.apis import inference_detector

from mtpd.data import pipelines
from mtpd.detectors import configs
from mtpd.export import predict
from mtpd.export.graph import Graph
from mtpd.export.onnx_model import to_onnx

CLASSES = tuple(f"class {number}" for number in range(80))
FIT = (320, 256)
ROI = ["rpn_head.rpn_cls", "roi_head.bbox_head.fc_cls"]
# Last layers, and the spread of their random weights at which scores are neither all low nor all 1.
REAL = {
    "retinanet/retinanet_r50_fpn_1x_coco.py": (["bbox_head.retina_cls"], 0.03),
    "reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco.py": (["bbox_head.reppoints_cls_out"], 0.03),
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py": ([*ROI, "roi_head.mask_head.conv_logits"], 0.5),
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py": (ROI, 0.5),
    "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py": (["bbox_head.conv_cls"], 0.03),  # trained on BGR
    "atss/atss_r50_fpn_1x_coco.py": (["bbox_head.atss_cls"], 0.03),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL, ids=lambda name: name.partition("/")[0])
def test_a_config_of_mmdet_finds_the_same(name, dataset):
    config = configs.without_pretraining(configs.load_config(f"mmdet::{name}", {}, CLASSES))
    pipelines.add_validation(config, {**dataset, "scale": FIT}, CLASSES, workers=0)
    detector = configs.build(config).eval()
    detector.init_weights()
    stir(detector, *REAL[name])
    detector.cfg = config
    graph = Graph(detector)
    session = onnxruntime.InferenceSession(to_onnx(graph), providers=["CPUExecutionProvider"])
    for picture in pictures():
        with torch.no_grad():
            values = inference_detector(detector, picture).pred_instances
        expected = {key.replace("bboxes", "boxes"): value.numpy() for key, value in values.items()}
        inputs = predict.inputs(picture, {"resize": {"fit": FIT}})
        found = dict(zip(graph.outputs, session.run(graph.outputs, inputs), strict=True))
        assert len(expected["scores"]) > 10
        assert partners(expected, found) >= len(expected["scores"]) - 1
        assert partners(found, expected) >= len(found["scores"]) - 1
