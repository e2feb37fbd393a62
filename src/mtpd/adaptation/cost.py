"""Adaptation cost: the error of the best linear map from the neck features of one detector to another's.

A reconstruction (docs/method.md): the paper names the cost; the formula is ours.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import permutations

import pandas as pd
import torch
from torch import Tensor, nn

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
    moments: dict[tuple, Moments] = defaultdict(Moments)
    for index, batch in enumerate(batches):
        features = {name: _features(detectors[name], found[name], batch, scales[name]) for name in detectors}
        for source, target in permutations(detectors, 2):
            for s, t in taps.pair_by_stride(found[source], found[target]):
                moments[source, target, s.stride, index < half].add(features[source][s], features[target][t])
    rows = []
    for source, target in permutations(detectors, 2):
        for s, _ in taps.pair_by_stride(found[source], found[target]):
            fit, held_out = (moments[source, target, s.stride, fitted] for fitted in (True, False))
            value = cost(fit, held_out, s.channels, ridge)
            rows.append((source, target, s.stride, value, held_out.count))
    return pd.DataFrame(rows, columns=["source", "target", "stride", "cost", "positions"])


def over_levels(costs: pd.DataFrame) -> dict[tuple[str, str], float]:
    """C(source -> target): the mean over levels."""
    return costs.groupby(["source", "target"])["cost"].mean().to_dict()


@torch.no_grad()
def _features(
    detector: nn.Module, found: list[taps.Tap], batch: dict, scale: float
) -> dict[taps.Tap, Tensor]:
    with taps.recorded(detector, {tap.module for tap in found}) as outputs:
        detector.extract_feat(rescaled(detector.data_preprocessor(batch, False)["inputs"], scale))
    return dict(zip(found, taps.read(outputs, found), strict=True))


@dataclass
class Moments:
    """Sums over positions for least squares, in float64: source (Cs) and target (Ct) channels together."""

    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    products: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, source: Tensor, target: Tensor) -> None:
        """Add a batch: N x Cs x Hs x Ws and N x Ct x Ht x Wt; the source is resized to the target's grid."""
        both = torch.cat([taps.on_grid(source, target), target], 1).transpose(0, 1).flatten(1).double()
        self.count += both.shape[1]
        self.total = self.total + both.sum(1)
        self.products = self.products + both @ both.T

    def centred(self, mean: Tensor) -> Tensor:
        """Mean of (x - mean)(x - mean)^T, (Cs + Ct) squared."""
        cross = torch.outer(self.total / self.count, mean)
        return self.products / self.count - cross - cross.T + torch.outer(mean, mean)


def cost(fit: Moments, held_out: Moments, source_channels: int, ridge: float) -> float:
    """``1 - R^2``, on held-out positions, of the best 1x1 convolution from source to target.

    Every channel is standardised over both halves; constant channels are left out. R^2 is the explained
    fraction of the target's variance, over all channels together.

    Args:
        fit: moments of the half that the convolution is fitted on.
        held_out: moments of the other half.
        source_channels: Cs; the rest of the moments are the target's.
        ridge: added to the source's (unit) variances.
    """
    count = fit.count + held_out.count
    mean = (fit.total + held_out.total) / count
    both = (fit.centred(mean) * fit.count + held_out.centred(mean) * held_out.count) / count
    scale = both.diagonal().clamp(min=0).sqrt()
    alive = scale > 1e-6 * scale.max()
    source = alive.clone()
    source[source_channels:] = False
    target = alive & ~source
    unit = torch.outer(scale, scale).clamp(min=torch.finfo(torch.float64).tiny)
    # The bias is a source channel that is always 1: the mean of the fitted half can differ from the whole's.
    fit_mean, held_mean = ((m.total / m.count - mean) / scale for m in (fit, held_out))
    a, b = _with_bias(fit.centred(mean) / unit, fit_mean, source, target)
    penalty = ridge * torch.eye(len(a), dtype=a.dtype)
    penalty[-1, -1] = 0
    weights = torch.linalg.solve(a + penalty, b)
    a, b = _with_bias(held_out.centred(mean) / unit, held_mean, source, target)
    total = (held_out.centred(mean) / unit).diagonal()[target]
    residual = total.sum() - 2 * (weights * b).sum() + ((a @ weights) * weights).sum()
    variance = total - held_mean[target].square()
    return float(residual / variance.sum())


def _with_bias(second: Tensor, mean: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Normal equations with a constant channel: (Cs + 1) squared, and (Cs + 1) x Ct."""
    a = torch.ones(int(source.sum()) + 1, int(source.sum()) + 1, dtype=second.dtype)
    a[:-1, :-1] = second[source][:, source]
    a[:-1, -1] = a[-1, :-1] = mean[source]
    return a, torch.cat([second[source][:, target], mean[target][None]])
