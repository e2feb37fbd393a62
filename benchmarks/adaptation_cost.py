"""Adaptation costs in closed form against 1x1 convolutions trained by SGD: time, and held-out cost."""

from __future__ import annotations

import itertools
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image

from benchmarks import models, pairing
from mtpd.adaptation import cost
from mtpd.datasets import shapes
from mtpd.detectors import taps

SIDE = 96
RATES = (0.03, 0.1, 0.3)
TIMED_RATE = 0.1  # one rate only, as somebody who knew the best one would do
SIX = ("r18_w4", "r18_w8", "r18_w16", "r18_w32", "swin_w32", "zoo_r18_w16")


def measure(small: bool = False):
    images, steps, rounds, count = (4, 2, 1, 2) if small else (60, 500, 3, 6)
    batches = [{"inputs": [image]} for image in drawn_images(images)]
    yield from time_rows({name: models.detector(name).eval() for name in SIX[:count]}, batches, steps, rounds)
    yield error_row({name: models.trained(name) for name in list(models.ZOO)[:count]}, batches, steps)


def drawn_images(count):
    """Images of the demo's kind, 3 x SIDE x SIDE, uint8."""
    with tempfile.TemporaryDirectory() as place:
        shapes.generate(Path(place), "val", count, SIDE, 0)
        pictures = [np.asarray(Image.open(path)) for path in sorted(Path(place).iterdir())]
    return [torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1) for picture in pictures]  # BGR


def time_rows(detectors, batches, steps, rounds):
    found = features_of(detectors, batches)  # not measured: the first pass of all warms up
    costs = len(closed_form(detectors, batches))
    together, alone = [], []
    for _ in range(rounds):
        passes = pairing.cpu_seconds(lambda: features_of(detectors, batches))
        theirs = pairing.cpu_seconds(lambda: by_sgd(found, (TIMED_RATE,), steps))
        together.append((passes + theirs) / pairing.cpu_seconds(lambda: closed_form(detectors, batches)))
        with passes_done_before(detectors, batches):
            alone.append(theirs / pairing.cpu_seconds(lambda: closed_form(detectors, batches)))
    what = f"all {costs} level costs of {len(detectors)} detectors by SGD, {steps} steps"
    yield pairing.Row(what, "ours, the forward passes in both", together, "at least 30", " times")
    yield pairing.Row("the same", "ours, the forward passes in none", alone, "at least 30", " times")


@contextmanager
def passes_done_before(detectors, batches):
    """A context in which the costs read features that are in memory, in the order of the batches."""
    kept, compute = defaultdict(list), cost._features

    def keeping(detector, *args):
        kept[detector].append(compute(detector, *args))
        return kept[detector][-1]

    with mock.patch.object(cost, "_features", keeping):
        closed_form(detectors, batches)
    again = {detector: iter(features) for detector, features in kept.items()}
    # Nor are images normalised again: SGD's features are also those of normalised images.
    unseen = mock.patch.object(cost, "View", lambda *_: lambda *_: None)
    with unseen, mock.patch.object(cost, "_features", lambda detector, *_: next(again[detector])):
        yield


def error_row(detectors, batches, steps):
    ours, theirs = closed_form(detectors, batches), by_sgd(features_of(detectors, batches), RATES, steps)
    excess = [ours[key] - theirs[key] for key in ours]
    mean = sum(excess) / len(excess)
    what = f"held-out cost of {len(ours)} levels: ours less SGD's at its best of {len(RATES)} rates"
    return pairing.Row(what, "mean; range over the levels", [min(excess), mean, max(excess)], "at most 0")


def closed_form(detectors, batches):
    names = list(detectors)
    found = cost.measure(detectors, dict.fromkeys(names), dict.fromkeys(names, 1), batches, len(batches) // 2)
    return {(r.source, r.target, r.stride): r.cost for r in found.itertuples()}


def features_of(detectors, batches):
    return {name: _features(detector, batches) for name, detector in detectors.items()}


def by_sgd(features, rates, steps):
    """The same costs, least over the learning rates."""
    return {
        (source, target, stride): min(
            _trained(images, features[target][stride], rate, steps) for rate in rates
        )
        for source, target in itertools.permutations(features, 2)
        for stride, images in features[source].items()
        if stride in features[target]
    }


@torch.no_grad()
def _features(detector, batches):
    """(images, channels, positions) by stride."""
    found, levels = taps.find_taps(detector, None), {}
    for batch in batches:
        with taps.recorded(detector, {tap.module for tap in found}) as outputs:
            detector.extract_feat(detector.data_preprocessor(batch, False)["inputs"])
        for tap, level in zip(found, taps.read(outputs, found), strict=True):
            levels.setdefault(tap.stride, []).append(level[0].flatten(1).clone())
    return {stride: torch.stack(parts) for stride, parts in levels.items()}


def _trained(source, target, rate, steps):
    """1 - R^2 on the second half of the images, after training on the first, an image a step."""
    x, y = (_standardised(side) for side in (source, target))
    half = len(x) // 2
    weights = torch.zeros(y.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(y.shape[1], 1, requires_grad=True)
    optimizer = torch.optim.SGD([weights, bias], lr=rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        image = step % half
        loss = (weights @ x[image] + bias - y[image]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        error = (weights @ x[half:] + bias - y[half:]).square().sum()
        total = (y[half:] - y[half:].mean((0, 2), keepdim=True)).square().sum()
        return (error / total).nan_to_num(float("inf")).item()


def _standardised(features):
    mean, sd = features.mean((0, 2), keepdim=True), features.std((0, 2), keepdim=True)
    return (features - mean) / torch.where(sd > 1e-6 * sd.max(), sd, 1) * (sd > 1e-6 * sd.max())
