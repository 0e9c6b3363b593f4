"""95 % intervals of shares, of their differences, and of how well scores tell two groups apart."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

NORMAL = 1.959964  # standard deviations: 95 % of a normal distribution lie within

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def share(hits: float, count: float, z: float = NORMAL) -> Interval:
    """`hits` of `count`: the score interval, good for few rows and shares near 0 and 1 too (Wilson 1927)."""
    if count <= 0:
        return Interval(0.0, 0.0, 1.0)
    p, wide = hits / count, z * z / count
    center, half = p + wide / 2, z * sqrt(p * (1 - p) / count + wide / (4 * count))
    return Interval(p, max(0.0, (center - half) / (1 + wide)), min(1.0, (center + half) / (1 + wide)))


def difference(of: Interval, against: Interval) -> Interval:
    """One share less another, of other rows (Newcombe 1998, method 10)."""
    value = of.value - against.value
    low = value - sqrt((of.value - of.low) ** 2 + (against.high - against.value) ** 2)
    high = value + sqrt((of.high - of.value) ** 2 + (against.value - against.low) ** 2)
    return Interval(value, low, high)


def auroc(zeros: Numbers, ones: Numbers) -> Interval:
    """Probability that a score of `ones` is above one of `zeros`, ties counting half.

    The variance is that of DeLong, DeLong and Clarke-Pearson 1988, by ranks as Sun and Xu 2014; the interval is taken
    on the log odds, so that it stays within 0 and 1. Where nothing overlaps, by the rule of three.
    """
    m, n = len(zeros), len(ones)
    both = np.concatenate([zeros, ones])
    above = (_ranks(both)[m:] - _ranks(ones)) / m  # share of zeros below each one
    below = 1 - (_ranks(both)[:m] - _ranks(zeros)) / n  # share of ones above each zero
    value = float(above.mean())
    if not 0 < value < 1:
        rest = 3 / min(m, n)
        return Interval(value, max(0.0, 1 - rest), 1.0) if value == 1 else Interval(value, 0.0, min(1.0, rest))
    error = sqrt(max(above.var(ddof=1) / n + below.var(ddof=1) / m, 1e-12)) / (value * (1 - value))
    odds = np.log(value / (1 - value)) + NORMAL * error * np.array([-1.0, 1.0])
    low, high = 1 / (1 + np.exp(-odds))
    return Interval(value, float(low), float(high))


def _ranks(values: Numbers) -> Numbers:
    """From 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
