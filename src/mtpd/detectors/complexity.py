"""What it costs to run a detector: parameters, multiply-adds, milliseconds."""

from __future__ import annotations

import statistics
import time

import pandas as pd
import torch
from mmdet.structures import DetDataSample
from mmengine.device import get_device
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mtpd.data import coco, pipelines
from mtpd.detectors import configs

WARM_UP = 3
MIN_RUNS, MIN_SECONDS = 10, 2.0


@torch.no_grad()
def complexity(detector: nn.Module, image: Tensor, once: bool = False) -> dict[str, float]:
    """Cost of backbone, neck and heads on one image, without the post-processing after the last head.

    For a two-stage detector this includes the proposals, because the second stage needs them.

    Args:
        detector: an mmdet detector, in eval mode.
        image: 1 x 3 x H x W, on the detector's device.
        once: time a single run, without warming up, as in a rehearsal.

    Returns:
        ``params_m`` (millions), ``gmacs`` (10^9 multiply-adds, which mmdet's tools call FLOPs) and
        ``ms_per_image`` (median).
    """
    size = tuple(image.shape[2:])
    shapes = dict.fromkeys(("img_shape", "ori_shape", "pad_shape", "batch_input_shape"), size)
    samples = [DetDataSample(metainfo={"img_id": 0, "scale_factor": (1.0, 1.0), **shapes})]
    with FlopCounterMode(display=False) as counter:
        detector(image, samples, mode="tensor")
    return {
        "params_m": sum(p.numel() for p in detector.parameters()) / 1e6,
        "gmacs": counter.get_total_flops() / 2e9,
        "ms_per_image": _milliseconds(detector, image, samples, once),
    }


def _milliseconds(detector: nn.Module, image: Tensor, samples: list[DetDataSample], once: bool) -> float:
    warm_up, min_runs, min_seconds = (0, 1, 0.0) if once else (WARM_UP, MIN_RUNS, MIN_SECONDS)
    for _ in range(warm_up):
        detector(image, samples, mode="tensor")
    times: list[float] = []
    while len(times) < min_runs or sum(times) < min_seconds:
        started = time.perf_counter()
        detector(image, samples, mode="tensor")
        if image.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def complexities(dataset: dict, specs: dict[str, dict], once: bool = False) -> pd.DataFrame:
    """``complexity`` of each detector, by name (index), on an image of the size that it sees."""
    classes = coco.classes_of(dataset["train"]["annotations"])
    found = {}
    for name, spec in specs.items():
        config = configs.load_config(spec["config"], spec["overrides"], classes)
        detector = configs.build(configs.without_pretraining(config)).to(get_device()).eval()
        width, height = pipelines.at_scale(dataset, spec)["scale"]
        image = torch.zeros(1, 3, height, width, device=get_device())
        found[name] = complexity(detector, image, once)
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("detector")
