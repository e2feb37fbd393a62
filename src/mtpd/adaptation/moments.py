"""Sums over positions of the features of all detectors: what the least squares of every pair need."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from mtpd.detectors import taps

POSITIONS = 4096  # multiplied at once: bounds the copies of the features, and the length of float32 sums


@dataclass(frozen=True)
class Moments:
    """Sums of x - shift over positions, x the source's (Cs) and target's (Ct) channels together; float64."""

    count: int
    shift: Tensor
    total: Tensor
    products: Tensor

    @property
    def mean(self) -> Tensor:
        return self.shift + self.total / self.count

    def centred(self, mean: Tensor) -> Tensor:
        """Mean of (x - mean)(x - mean)^T, (Cs + Ct) squared."""
        offset = mean - self.shift
        cross = torch.outer(self.total / self.count, offset)
        return self.products / self.count - cross - cross.T + torch.outer(offset, offset)


@dataclass
class Level:
    """Moments of the channels of all detectors at one stride, on the grid of each detector.

    Detectors whose features have the same height and width share a grid. A product of channels is computed
    once a grid for two detectors, and the moments of every pair read it. Products are computed in float32 and
    added up in float64. In float32, the variance of channels with a large mean would be lost, so their mean
    in the first batch is subtracted before: any fixed shift gives the same moments, and after this one the
    values are about as large as their spread.
    """

    shift: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[frozenset[str], int] = field(default_factory=lambda: defaultdict(int))
    totals: dict[tuple[frozenset[str], str], Tensor] = field(default_factory=dict)
    products: dict[tuple[frozenset[str], str, str], Tensor] = field(default_factory=dict)

    def add(self, features: dict[str, Tensor]) -> None:
        """Add a batch: N x C x H x W by detector, of the same images, always in the same order."""
        for name in features.keys() - self.shift.keys():
            self.shift[name] = features[name].mean((0, 2, 3), dtype=torch.float64).float()
        owners = defaultdict(set)  # of each grid: the detectors that have it
        for name, level in features.items():
            owners[level.shape[2:]].add(name)
        for names in map(frozenset, owners.values()):
            like = features[next(iter(names))]
            flat = {
                name: taps.on_grid(x, like).transpose(0, 1).flatten(1).split(POSITIONS, 1)
                for name, x in features.items()
            }
            for parts in zip(*flat.values(), strict=True):
                self._add_positions(names, dict(zip(flat, parts, strict=True)))

    def _add_positions(self, owners: frozenset[str], parts: dict[str, Tensor]) -> None:
        """Add positions of the grid of these detectors, C x P by detector."""
        shifted = {name: x.float() - self.shift[name][:, None] for name, x in parts.items()}
        self.counts[owners] += next(iter(shifted.values())).shape[1]
        for name, x in shifted.items():
            _accumulate(self.totals, (owners, name), x.sum(1, dtype=torch.float64))
        for a, b in combinations_with_replacement(shifted, 2):
            if a == b or a in owners or b in owners:  # no pair needs the others on this grid
                _accumulate(self.products, (owners, a, b), (shifted[a] @ shifted[b].T).double())

    def pair(self, source: str, target: str) -> Moments:
        """Moments of two detectors on the target's grids."""
        grids = [owners for owners in self.counts if target in owners]  # who shares one varies with the image
        totals = (torch.cat([self.totals[grid, source], self.totals[grid, target]]) for grid in grids)
        return Moments(
            count=sum(self.counts[grid] for grid in grids),
            shift=torch.cat([self.shift[source], self.shift[target]]).double(),
            total=sum(totals),
            products=sum(self._joined(grid, source, target) for grid in grids),
        )

    def _joined(self, grid: frozenset[str], source: str, target: str) -> Tensor:
        """Products of both detectors' channels on the grid of these detectors, (Cs + Ct) squared."""
        own_s, own_t = (self.products[grid, name, name] for name in (source, target))
        if (grid, source, target) in self.products:
            cross = self.products[grid, source, target]
        else:
            cross = self.products[grid, target, source].T
        return torch.cat([torch.cat([own_s, cross], 1), torch.cat([cross.T, own_t], 1)])


def _accumulate(sums: dict[tuple, Tensor], key: tuple, value: Tensor) -> None:
    sums[key] = sums[key].add_(value) if key in sums else value
