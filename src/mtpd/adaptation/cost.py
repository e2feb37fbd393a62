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
from mtpd.data.pipelines import rescaled
from mtpd.detectors import taps


def measure(
    detectors: dict[str, nn.Module],
    modules: dict[str, list[str] | None],
    scales: dict[str, float],
    batches,
    half: int,
    ridge: float,
) -> pd.DataFrame:
    """Costs between all detectors, by level, from one pass over the probe images.

    Args:
        detectors: mmdet detectors by name, in eval mode, on one device.
        modules: names of the modules to read, by detector; None finds them.
        scales: scale of the images that each detector sees, relative to the batches.
        batches: probe images, each a mmengine batch of one image (``inputs``).
        half: on how many of them the maps are fitted; the rest is held out.
        ridge: see ``cost``.

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
    for index, batch in enumerate(batches):
        features = {name: _features(detectors[name], found[name], batch, scales[name]) for name in detectors}
        for stride in sorted({tap.stride for *_, tap in pairs}):
            common = {name: own[stride] for name, own in features.items() if stride in own}
            levels[stride, index < half].add(common)
    rows = []
    for source, target, tap in pairs:
        fit, held_out = (levels[tap.stride, fitted].pair(source, target) for fitted in (True, False))
        value = cost(fit, held_out, tap.channels, ridge).item()
        rows.append((source, target, tap.stride, value, held_out.count))
    return pd.DataFrame(rows, columns=["source", "target", "stride", "cost", "positions"])


@torch.no_grad()
def _features(detector: nn.Module, found: list[taps.Tap], batch: dict, scale: float) -> dict[int, Tensor]:
    """Levels by stride."""
    with taps.recorded(detector, {tap.module for tap in found}) as outputs:
        detector.extract_feat(rescaled(detector.data_preprocessor(batch, False)["inputs"], scale))
    return dict(zip([tap.stride for tap in found], taps.read(outputs, found), strict=True))


def cost(fit: Moments, held_out: Moments, source_channels: int, ridge: float) -> Tensor:
    """``1 - R^2``, on held-out positions, of the best 1x1 convolution from source to target.

    Every channel is standardised over both halves; constant channels are left out. R^2 is the explained
    fraction of the target's variance, over all channels together.

    Args:
        fit: moments of the half that the convolution is fitted on.
        held_out: moments of the other half.
        source_channels: Cs; the rest of the moments are the target's.
        ridge: added to the source's (unit) variances.

    Returns:
        A number, on the device of the moments.
    """
    count = fit.count + held_out.count
    mean = (fit.mean * fit.count + held_out.mean * held_out.count) / count
    both = (fit.centred(mean) * fit.count + held_out.centred(mean) * held_out.count) / count
    scale = both.diagonal().clamp(min=0).sqrt()
    # A channel is constant compared with its own detector: the other's features can have any scale.
    sides = scale[:source_channels], scale[source_channels:]
    alive = torch.cat([side > 1e-6 * side.max() for side in sides])
    inverse = alive / torch.where(alive, scale, 1)  # 0 leaves a channel out
    a, b, _ = _normal_equations(fit, mean, inverse, source_channels)
    # 1 for a channel that is left out: its weight is 0, also without a ridge. The bias has no ridge.
    penalty = torch.cat([ridge + (~alive[:source_channels]).to(a.dtype), a.new_zeros(1)])
    weights = torch.linalg.solve(a + penalty.diag(), b)
    a, b, total = _normal_equations(held_out, mean, inverse, source_channels)
    residual = total.sum() - 2 * (weights * b).sum() + ((a @ weights) * weights).sum()
    return residual / (total - b[-1].square()).sum()


def _normal_equations(
    moments: Moments, mean: Tensor, inverse: Tensor, source_channels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of channels (x - mean) * inverse, with a source channel that is always 1 for the bias.

    The bias is needed because the mean of one half can differ from the whole's.

    Returns:
        Source by source, (Cs + 1) squared; source by target, (Cs + 1) x Ct; squares of the target, Ct.
    """
    c = source_channels
    second = moments.centred(mean) * torch.outer(inverse, inverse)
    first = (moments.mean - mean) * inverse
    last = torch.cat([first[:c], first.new_ones(1)])
    a = torch.cat([torch.cat([second[:c, :c], first[:c, None]], 1), last[None]])
    return a, torch.cat([second[:c, c:], first[None, c:]]), second.diagonal()[c:]
