"""Intervals: of a mean over seeds, of a paired difference, and of a rank correlation.

All are 95% intervals. AP and its differences are in AP points (AP is 0 to 100).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
ONE_SEED = "one seed: no interval"
RESAMPLES = 10_000
FEWEST_TO_CORRELATE = 3  # two points always give a correlation of 1 or -1


@dataclass(frozen=True)
class Estimate:
    """A mean of ``count`` values; ``half`` is half the width of its interval, None with one value."""

    mean: float
    half: float | None
    count: int

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.mean + self.half


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of ``count`` pairs, and its interval; None where there is none."""

    rho: float | None
    low: float | None
    high: float | None
    count: int


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean and its Student-t interval: ``mean +- t * s / sqrt(n)``.

    ``s`` is the standard deviation with n - 1 in the denominator, and t the 97.5% quantile of Student's
    distribution with n - 1 degrees of freedom. The values should be independent and about normal.
    Equal values give an interval of width 0.

    Args:
        values: at least one, AP points.
    """
    count = len(values)
    if count < 2:
        return Estimate(float(np.mean(values)), None, count)
    quantile = stats.t.ppf((1 + LEVEL) / 2, count - 1)
    half = quantile * np.std(values, ddof=1) / np.sqrt(count)
    return Estimate(float(np.mean(values)), float(half), count)


def paired_difference(arm: Mapping[Hashable, float], control: Mapping[Hashable, float]) -> Estimate:
    """Mean of arm minus control over the seeds that both have; the interval is that of a paired t-test.

    It is ``mean_interval`` of the differences, seed by seed. What a seed changes in the same way for both
    (the order of the images) cancels.

    Args:
        arm: AP points by seed.
        control: the same; at least one seed is shared.
    """
    return mean_interval([arm[seed] - control[seed] for seed in arm if seed in control])


def verdict(difference: Estimate) -> str:
    """What the interval of a difference says, in words."""
    if difference.half is None:
        return ONE_SEED
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "no difference shown"


def rank_correlation(x: Sequence[float], y: Sequence[float], seed: int = 0) -> Correlation:
    """Spearman's rho of pairs (x, y), with a percentile bootstrap interval.

    What is resampled are the pairs, with replacement, ``RESAMPLES`` times. The interval is from the 2.5% to
    the 97.5% quantile of the rhos of these samples. Samples in which all x or all y are equal have no rho and
    are left out. A pair is one order of teachers, with its AP averaged over seeds. So the interval says how
    much rho depends on which orders were trained; it does not contain the spread between seeds. It is too
    narrow with few orders (if rho is 1 or -1, its width is 0), and because orders that share teachers are not
    independent.

    Args:
        x: a prediction for each order.
        y: AP points of each order.
        seed: of the resampling.
    """
    pairs = np.array([x, y], dtype=float)
    count = pairs.shape[1]
    if count < FEWEST_TO_CORRELATE or (np.ptp(pairs, axis=1) == 0).any():
        return Correlation(None, None, None, count)
    chosen = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    low, high = np.nanquantile(_spearman(pairs[:, chosen]), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Correlation(float(_spearman(pairs)), float(low), float(high), count)


def _spearman(pairs: np.ndarray) -> np.ndarray:
    """Rho along the last axis of a (2, ..., n) array: Pearson's correlation of the ranks, ties averaged."""
    ranks = stats.rankdata(pairs, axis=-1)
    x, y = ranks - ranks.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):  # 0 / 0 where all are equal
        return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
