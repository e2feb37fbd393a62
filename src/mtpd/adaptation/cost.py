"""Adaptation cost: the error of the best linear map from the neck features of one detector to another's.

A reconstruction (docs/method.md): the paper names the cost; the formula is ours.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import permutations

import pandas as pd
import torch
from torch import Tensor, nn

from mtpd.adaptation.moments import Level, Moments
from mtpd.data.views import View
from mtpd.detectors import taps

RIDGES = [10 ** (quarter / 4) for quarter in range(-20, 9)]  # 1e-5 to 100, for channels of variance 1
NOISE = 1e-9  # of the largest variance: smaller ones are rounding


def measure(
    detectors: dict[str, nn.Module],
    modules: dict[str, list[str] | None],
    scales: dict[str, float],
    batches,
    half: int,
) -> pd.DataFrame:
    """Costs between all detectors, by level, from one pass over the probe images.

    Args:
        detectors: mmdet detectors by name, in eval mode, on one device.
        modules: names of the modules to read, by detector; None finds them.
        scales: scale of the images that each detector sees, relative to ``inputs`` of the batches.
        batches: probe images, each a mmengine batch of one image, at every scale (``mtpd.data.views``).
        half: on how many of them the maps are fitted; the rest is held out.

    Returns:
        Columns source, target, stride (pixels), cost, positions (held out); one row per pair and level.
    """
    found = {name: taps.find_taps(detector, modules[name]) for name, detector in detectors.items()}
    pairs = [
        (source, target, s)
        for source, target in permutations(detectors, 2)
        for s, _ in taps.pair_by_stride(found[source], found[target])
    ]
    levels: dict[tuple[int, bool], Level] = defaultdict(Level)
    views = {name: View(detector.data_preprocessor, scales[name]) for name, detector in detectors.items()}
    divisor = max(detector.data_preprocessor.pad_size_divisor for detector in detectors.values())
    for index, batch in enumerate(batches):
        size = tuple(-(-side // divisor) * divisor for side in batch["inputs"][0].shape[1:])
        features = {
            name: _features(detector, found[name], views[name](batch, size))
            for name, detector in detectors.items()
        }
        for stride in sorted({tap.stride for *_, tap in pairs}):
            common = {name: own[stride] for name, own in features.items() if stride in own}
            levels[stride, index < half].add(common)
    rows = []
    for source, target, tap in pairs:
        fit, held_out = (levels[tap.stride, fitted].pair(source, target) for fitted in (True, False))
        value = cost(fit, held_out, tap.channels).item()
        rows.append((source, target, tap.stride, value, held_out.count))
    return pd.DataFrame(rows, columns=["source", "target", "stride", "cost", "positions"])


@torch.no_grad()
def _features(detector: nn.Module, found: list[taps.Tap], images: Tensor) -> dict[int, Tensor]:
    """Levels by stride."""
    with taps.recorded(detector, {tap.module for tap in found}) as outputs:
        detector.extract_feat(images)
    return dict(zip([tap.stride for tap in found], taps.read(outputs, found), strict=True))


def cost(fit: Moments, held_out: Moments, source_channels: int) -> Tensor:
    """``1 - R^2``, on held-out positions, of the best 1x1 convolution from source to target.

    Every channel is standardised over both halves; constant channels are left out. R^2 is the explained
    fraction of the target's variance, over all channels together. The convolution has a bias, and a ridge
    that is chosen on the half that it is fitted on.

    Args:
        fit: moments of the half that the convolution is fitted on.
        held_out: moments of the other half.
        source_channels: Cs; the rest of the moments are the target's.

    Returns:
        A number, on the device of the moments.
    """
    inverse = _inverse_spread(fit, held_out, source_channels)
    xx, xy, yy = _blocks(fit, fit.mean, inverse, source_channels)
    weights = _ridge_regression(xx, xy, yy.sum(), fit.count)
    # The bias maps the fitted half's mean to its mean: both sides are centred there.
    xx, xy, yy = _blocks(held_out, fit.mean, inverse, source_channels)
    residual = yy.sum() - 2 * (weights * xy).sum() + ((xx @ weights) * weights).sum()
    return residual / _blocks(held_out, held_out.mean, inverse, source_channels)[2].sum()


def _inverse_spread(fit: Moments, held_out: Moments, source_channels: int) -> Tensor:
    """1 / standard deviation of every channel over both halves; 0 leaves a constant channel out."""
    count = fit.count + held_out.count
    mean = (fit.mean * fit.count + held_out.mean * held_out.count) / count
    both = (fit.centred(mean) * fit.count + held_out.centred(mean) * held_out.count) / count
    scale = both.diagonal().clamp(min=0).sqrt()
    # A channel is constant compared with its own detector: the other's features can have any scale.
    sides = scale[:source_channels], scale[source_channels:]
    alive = torch.cat([side > 1e-6 * side.max() for side in sides])
    return alive / torch.where(alive, scale, 1)


def _blocks(
    moments: Moments, mean: Tensor, inverse: Tensor, source_channels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Second moments of (x - mean) * inverse: source by source, source by target, target's diagonal."""
    c = source_channels
    second = moments.centred(mean) * torch.outer(inverse, inverse)
    return second[:c, :c], second[:c, c:], second.diagonal()[c:]


def _ridge_regression(xx: Tensor, xy: Tensor, total: Tensor, count: int) -> Tensor:
    """Weights, Cs x Ct, with the ridge of the least error of generalised cross-validation.

    The error is RSS / (1 - df / count)^2 (Golub, Heath and Wahba, Technometrics 21, 1979); df are the degrees
    of freedom of the ridge regression, and one for the bias. With one small ridge for all levels, those with
    few positions would be fitted too freely.

    Args:
        xx: second moments of the source, Cs squared.
        xy: of source by target, Cs x Ct.
        total: variance of the target, summed over its channels.
        count: positions.
    """
    variances, axes = torch.linalg.eigh(xx)
    known = variances > NOISE * variances.max()
    known[: max(0, len(xx) + 1 - count)] = False  # the smallest: n positions have n - 1 axes
    variances = torch.where(known, variances, 1)
    slopes = (axes.T @ xy) * (known / variances)[:, None]  # along each axis, without a ridge
    explained = variances * slopes.square().sum(1)
    kept = known * variances / (variances + variances.new_tensor(RIDGES)[:, None])  # of each slope, by ridge
    rss = (total - explained.sum()).clamp(min=0) + (explained * (1 - kept).square()).sum(1)
    error = rss / (1 - (1 + kept.sum(1)) / count).square()
    return axes @ (slopes * kept.index_select(0, error.argmin(0, keepdim=True)).T)
