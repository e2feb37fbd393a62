"""The export of a student: an ONNX model, and what was measured with it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from mmdet.registry import DATASETS
from torch import Tensor, nn

from mtpd import files
from mtpd.data import coco, pipelines
from mtpd.detectors import checkpoints, complexity, configs
from mtpd.evaluation.metrics import CocoPredictions
from mtpd.evaluation.truth import DEFAULT
from mtpd.export.graph import Graph
from mtpd.export.heads import most_detections
from mtpd.export.measure import measure
from mtpd.export.onnx_model import OPSET, to_onnx
from mtpd.export.support import ExportError

AP_TOLERANCE = 0.5  # AP points: the AP of metrics.json may come from a GPU, which computes less exactly
PACKAGES = ("mtpd", "torch", "onedl-mmdetection", "onnx", "onnxscript", "onnxruntime")
CPU = Path("/proc/cpuinfo")


def export(
    dataset: dict, detector: dict, student: str | Path, metrics: dict, say: Callable[[str], None] = print
) -> tuple[bytes, dict]:
    """Export a student, and check the result on the validation images of its data set.

    Args:
        dataset: as made by ``mtpd.experiment.data_specs.scored_dataset``.
        detector: as made by ``mtpd.experiment.specs.detector``.
        student: ``student.pth``.
        metrics: the content of ``metrics.json`` beside it.
        say: takes lines of progress.

    Returns:
        The ONNX model, and the content of ``export.json``.

    Raises:
        CheckpointError: the file is damaged, or does not fit its detector.
        ExportError: the file is no student; the detector cannot be exported; the annotations are not those of
            ``metrics``; or the model does not find what mmdet finds.
    """
    _require_student(student)
    classes = coco.classes_of(dataset["train"]["annotations"])
    dataset = pipelines.at_scale(dataset, detector)
    config = configs.load_config(detector["config"], detector["overrides"], classes)
    pipelines.add_validation(config, dataset, classes, workers=0)
    model = checkpoints.load(detector, student, classes).eval()
    evaluator = dataset.get("evaluator", DEFAULT)
    metric = CocoPredictions(dataset["val"]["annotations"], model.dataset_meta["classes"], evaluator)
    _require_same_annotations(metric, metrics)
    graph = Graph(model)
    onnx = to_onnx(graph)
    settings = {
        "student_sha256": files.sha256(student),
        "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
        "opset": OPSET,
        "classes": list(model.dataset_meta["classes"]),
        "inputs": {
            "image": "height x width x 3, uint8, RGB: the picture, resized as `resize` says",
            "picture_size": "2, int64: height and width in whose pixels boxes and masks are wanted",
        },
        "outputs": graph.outputs,
        "resize": {
            "fit": list(dataset["scale"]),
            "keep_ratio": True,
            "interpolation": "OpenCV's INTER_LINEAR",
        },
        "inside_the_graph": _inside(model),
    }
    images = DATASETS.build(config.val_dataloader.dataset)
    agreement, milliseconds = measure(model, onnx, settings, images, metric, say)
    if wrong := agreement.problems():
        raise ExportError("\n".join([f"{student}: onnxruntime does not find what mmdet finds:", *wrong]))
    found = metric.summary(dataset["name"])
    _require_same_ap(student, metrics, found)
    kinds = [kind for kind in ("bbox", "segm") if kind in metrics]
    width, height = dataset["scale"]
    cost = complexity.complexity(model, torch.zeros(1, 3, height, width))
    return onnx, {
        **settings,
        "dataset": {key: found[key] for key in ("dataset", "annotations_sha256", "images", "evaluator")},
        "agreement": agreement.summary(),
        "metrics": {kind: {"metrics.json": metrics[kind], "onnxruntime": found[kind]} for kind in kinds},
        "milliseconds": {**milliseconds, "images": agreement.images, **_machine()},
        "cost": {key: cost[key] for key in ("params_m", "gmacs")},
        "versions": {package: version(package) for package in PACKAGES},
    }


def _require_student(path: str | Path) -> None:
    meta = checkpoints.read_checkpoint(path).get("meta")
    if not isinstance(meta, dict) or "mtpd" not in meta:
        raise ExportError(
            f"{path}: found a checkpoint without meta.mtpd, expected a student.pth of this project"
        )


def _require_same_annotations(metric: CocoPredictions, metrics: dict) -> None:
    path, found, expected = metric.truth.path, metric.truth.sha256, metrics["annotations_sha256"]
    if found != expected:
        raise ExportError(
            f"{path}: found SHA-256 {found[:16]}..., expected {expected[:16]}... (metrics.json): the student "
            "was scored on other annotations; restore them, or score the student again"
        )


def _require_same_ap(student: str | Path, metrics: dict, found: dict) -> None:
    for kind in {"bbox", "segm"} & metrics.keys():
        first, second = metrics[kind]["AP"], found.get(kind, {}).get("AP", float("nan"))
        if not abs(first - second) <= AP_TOLERANCE:
            raise ExportError(
                f"{student}: AP ({kind}) with onnxruntime: found {second:.2f}, expected {first:.2f} "
                f"(metrics.json) within {AP_TOLERANCE}"
            )


def _inside(detector: nn.Module) -> dict:
    """The settings of what the graph does itself."""
    network = detector.data_preprocessor
    normalised = network._enable_normalize
    head = detector.roi_head if hasattr(detector, "roi_head") else detector.bbox_head
    final = head.test_cfg
    return {
        "channel_order_of_the_network": "RGB" if network._channel_conversion else "BGR",
        "mean": _rounded(network.mean) if normalised else None,
        "std": _rounded(network.std) if normalised else None,
        "padding_divisor": network.pad_size_divisor,
        "padding_value": network.pad_value,
        "score_threshold": final.score_thr,
        "nms_iou_threshold": final.nms.iou_threshold,
        "most_detections": most_detections(head),
        **({"mask_threshold": final.mask_thr_binary} if detector.with_mask else {}),
    }


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 3) for value in values.flatten().tolist()]


def _machine() -> dict:
    lines = CPU.read_text(encoding="utf-8").splitlines() if CPU.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.machine(), "threads": torch.get_num_threads()}
