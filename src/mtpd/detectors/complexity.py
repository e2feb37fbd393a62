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
FEW_PROPOSALS = 100


@torch.no_grad()
def complexity(detector: nn.Module, image: Tensor, quick: bool = False) -> dict[str, float]:
    """Cost of backbone, neck and heads on one image, without the post-processing after the last head.

    For a two-stage detector this includes the proposals, because the second stage needs them. Here mmdet runs
    the mask heads of a cascade on every proposal (of 1000, usually), those of a Mask R-CNN on the first 100.

    Args:
        detector: an mmdet detector, in eval mode.
        image: 1 x 3 x H x W, on the detector's device.
        quick: as in a rehearsal: ``FEW_PROPOSALS`` at most, and a single run, that of the counting.

    Returns:
        ``params_m`` (millions), ``gmacs`` (10^9 multiply-adds, which mmdet's tools call FLOPs) and
        ``ms_per_image`` (median).
    """
    size = tuple(image.shape[2:])
    shapes = dict.fromkeys(("img_shape", "ori_shape", "pad_shape", "batch_input_shape"), size)
    samples = [DetDataSample(metainfo={"img_id": 0, "scale_factor": (1.0, 1.0), **shapes})]
    if quick and hasattr(detector, "rpn_head"):
        settings = detector.rpn_head.test_cfg
        settings.max_per_img = min(settings.max_per_img, FEW_PROPOSALS)
    with FlopCounterMode(display=False) as counter:
        counted = _timed(detector, image, samples)
    return {
        "params_m": sum(p.numel() for p in detector.parameters()) / 1e6,
        "gmacs": counter.get_total_flops() / 2e9,
        "ms_per_image": counted if quick else _milliseconds(detector, image, samples),
    }


def _milliseconds(detector: nn.Module, image: Tensor, samples: list[DetDataSample]) -> float:
    for _ in range(WARM_UP):
        _timed(detector, image, samples)
    times: list[float] = []
    total = 0.0
    while len(times) < MIN_RUNS or total < 1000 * MIN_SECONDS:
        times.append(_timed(detector, image, samples))
        total += times[-1]
    return statistics.median(times)


def _timed(detector: nn.Module, image: Tensor, samples: list[DetDataSample]) -> float:
    """Milliseconds of one run."""
    started = time.perf_counter()
    detector(image, samples, mode="tensor")
    if image.is_cuda:
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - started)


def complexities(dataset: dict, specs: dict[str, dict], quick: bool = False) -> pd.DataFrame:
    """``complexity`` of each detector, by name (index), on an image of the size that it sees."""
    classes = coco.classes_of(dataset["train"]["annotations"])
    found = {}
    for name, spec in specs.items():
        config = configs.load_config(spec["config"], spec["overrides"], classes)
        detector = configs.build(configs.without_pretraining(config)).to(get_device()).eval()
        width, height = pipelines.at_scale(dataset, spec)["scale"]
        image = torch.zeros(1, 3, height, width, device=get_device())
        found[name] = complexity(detector, image, quick)
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("detector")
