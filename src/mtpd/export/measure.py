"""What an exported model finds on the validation images: compared with mmdet, scored, and timed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from torch import nn
from torch.utils.data import Dataset

from mtpd.evaluation.metrics import CocoPredictions
from mtpd.export import predict
from mtpd.export.agreement import Agreement, Detections
from mtpd.export.support import ExportError

COMPARED = 100  # images on which onnxruntime is compared with mmdet
STEP = 500  # images between two lines of progress


def measure(
    detector: nn.Module,
    model: bytes,
    settings: dict,
    images: Dataset,
    metric: CocoPredictions,
    say: Callable[[str], None],
) -> tuple[Agreement, dict[str, float]]:
    """Run the exported model on all images, and mmdet on the first ``COMPARED``, in turns.

    Args:
        detector: the mmdet detector, in eval mode, with float32 weights on the CPU.
        model: the exported one.
        settings: what ``predict.inputs`` needs.
        images: mmdet's data set of the validation split.
        metric: receives what the exported model finds; scored at the end.
        say: takes lines of progress.

    Raises:
        ExportError: an image is missing or damaged.

    Returns:
        Their differences, and the median milliseconds of each for one image: without reading and resizing the
        picture, with all post-processing, on as many threads as torch uses.
    """
    session = _session(model)
    agreement, times = Agreement(), {"mmdet": [], "onnxruntime": []}
    for number in range(len(images)):
        listed = images.get_data_info(number)
        picture = predict.read(listed["img_path"])
        if picture is None:
            raise ExportError(f"{listed['img_path']}: no picture that OpenCV can read")
        inputs = predict.inputs(picture, settings)
        found, milliseconds = _timed(lambda: session.run(settings["outputs"], inputs))  # noqa: B023
        found = dict(zip(settings["outputs"], found, strict=True))
        metric.process(None, [_sample(listed["img_id"], found)])
        if number < COMPARED:
            expected, of_mmdet = _of_mmdet(detector, images[number])
            agreement.add(Path(listed["img_path"]).name, picture.shape[:2], expected, found)
            times["mmdet"].append(of_mmdet)
            times["onnxruntime"].append(milliseconds)
        elif number % STEP == 0:
            say(f"{number} of {len(images)} images")
    metric.compute_metrics(metric.results)
    return agreement, {name: statistics.median(values) for name, values in times.items()}


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _of_mmdet(detector: nn.Module, item: dict) -> tuple[Detections, float]:
    """What mmdet's own inference finds, and in how many milliseconds."""
    batch = {"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]}
    with torch.no_grad():
        (sample,), milliseconds = _timed(lambda: detector.test_step(batch))
    found = {key: value.numpy() for key, value in sample.pred_instances.items()}
    return {"boxes": found.pop("bboxes"), **found}, milliseconds


def _timed(run: Callable):
    """What it returns, and how many milliseconds it took."""
    started = time.perf_counter()
    result = run()
    return result, 1000 * (time.perf_counter() - started)


def _sample(image_id: int, found: Detections) -> dict:
    """Detections as mmdet hands them to a metric."""
    tensors = {name: torch.from_numpy(value) for name, value in found.items()}
    return {"img_id": image_id, "pred_instances": {"bboxes": tensors.pop("boxes"), **tensors}}
