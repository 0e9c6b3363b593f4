"""95 % intervals, each method once: of shares, means, scores, seeds, and any statistic of rows by resampling."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from netwright.records.finding import Measure

NORMAL = 1.959963984540054  # standard deviations: 95 % of a normal distribution lie within
ENDS = (2.5, 97.5)  # percentiles
RESAMPLES = 1000  # the usual number for a 95 % percentile interval
FEWEST = 100  # below this the 2.5 % point is one or two resamples
WORK = 20_000_000  # resamples x rows x columns: about a second
ROWS = 100_000  # a larger part is resampled on this many of its rows; see `bootstrap`
CHUNK = 1 << 16  # weights held at once: 512 KB stay in a core's cache

Numbers = NDArray[Any]
Array = NDArray[np.float64]
Weighted = Callable[[Array], Array]
"""Weights (R, n), one resample in each row -> (R,) values; NaN if a resample leaves the value undefined."""


@final
@dataclass(frozen=True)
class Interval:
    """A number with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, half: float) -> "Interval":
        """Symmetric: `half` to either side."""
        return cls(value, value - half, value + half)

    def measure(self, name: str, threshold: float | None = None) -> Measure:
        """As a finding shows it."""
        return Measure(name, self.value, self.low, self.high, threshold)

    def __format__(self, spec: str) -> str:
        """`-0.021 [-0.034, -0.008]` for `+.3f`."""
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __truediv__(self, scale: float) -> "Interval":
        return Interval(self.value / scale, self.low / scale, self.high / scale)


def share(hits: float, count: float, z: float = NORMAL) -> Interval:
    """`hits` of `count`: the score interval, accurate for few rows and for shares near 0 and 1 (Wilson 1927)."""
    if count <= 0:
        return Interval(0.0, 0.0, 1.0)
    p, wide = hits / count, z * z / count
    center, half = p + wide / 2, z * sqrt(p * (1 - p) / count + wide / (4 * count))
    return Interval(p, max(0.0, (center - half) / (1 + wide)), min(1.0, (center + half) / (1 + wide)))


def least_share(hits: int, count: int, alpha: float) -> float:
    """A bound that the true share is below with probability `alpha` at most, exactly. Clopper and Pearson 1934."""
    from scipy.special import betaincinv  # here: as below

    return float(betaincinv(hits, count - hits + 1, alpha)) if hits else 0.0


def difference(of: Interval, against: Interval) -> Interval:
    """One share minus another, of different rows (Newcombe 1998, method 10)."""
    value = of.value - against.value
    low = value - sqrt((of.value - of.low) ** 2 + (against.high - against.value) ** 2)
    high = value + sqrt((of.high - of.value) ** 2 + (against.value - against.low) ** 2)
    return Interval(value, low, high)


def at_most(hits: int, count: int, probability: float) -> float:
    """Probability of at most `hits` hits: the binomial distribution."""
    from scipy.special import bdtr  # here: the import takes 0.1 s, and hardly any data need it

    return float(bdtr(hits, count, probability))


def expected(chances: Numbers, uncertainty: float) -> Interval:
    """How many of independent events happen, if all chances together may be off by a share of `uncertainty`."""
    count = float(chances.sum())
    return Interval.around(count, NORMAL * sqrt(float((chances * (1 - chances)).sum()) + (uncertainty * count) ** 2))


def mean(values: Numbers, z: float = NORMAL) -> Interval:
    """The mean over many rows; for pairs of rows, pass their differences. Infinite for a single row."""
    half = z * _error(values) if len(values) > 1 else np.inf
    return Interval.around(float(values.mean()), float(half))


def mean_difference(a: Numbers, b: Numbers) -> Interval:
    """Mean of `a` minus mean of `b`, two samples of many rows."""
    return Interval.around(float(a.mean() - b.mean()), NORMAL * sqrt(_error(a) ** 2 + _error(b) ** 2))


def student(values: Numbers, overlap: float = 0.0) -> Interval:
    """The mean of few values. `overlap`: held rows over learning rows, if draws share both (Nadeau and Bengio 2003)."""
    half = _student_factor(len(values) - 1) * float(values.std(ddof=1)) * sqrt(1 / len(values) + overlap)
    return Interval.around(float(values.mean()), half)


def auroc(zeros: Numbers, ones: Numbers) -> Interval:
    """Probability that a score of `ones` is above one of `zeros`, ties counting half.

    The variance is that of DeLong, DeLong and Clarke-Pearson 1988, by ranks as in Sun and Xu 2014. The interval is
    taken on the log odds, so it stays within 0 and 1; if nothing overlaps, the rule of three gives it.
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


def gain_over_seeds(before: Array, after: Array) -> Interval:
    """By how much numbers fell, (seeds, rows) each: independent trainings, scored on the same rows.

    Normal over rows; Student's t over seeds, with pooled variance.
    """
    by_rows = mean(before.mean(0) - after.mean(0))
    variance = sum(float(each.mean(1).var(ddof=1)) / len(each) for each in (before, after))
    by_seeds = _student_factor(len(before) + len(after) - 2) * sqrt(variance)
    return Interval.around(by_rows.value, sqrt((by_rows.high - by_rows.value) ** 2 + by_seeds**2))


def spread_over_seeds(numbers: Array) -> Interval:
    """The standard deviation of the seeds' means, (seeds, rows), without the part that comes from the rows.

    Analysis of variance with two factors (Searle et al. 1992, "Variance components").
    """
    from scipy.special import chdtri

    seeds, rows = numbers.shape
    means = numbers.mean(1)
    rest = numbers - numbers.mean(0) - means[:, None] + numbers.mean()
    noise = float((rest**2).sum()) / ((seeds - 1) * (rows - 1) * rows)
    seen = float(means.var(ddof=1))
    scales = (1.0, *(float(chdtri(seeds - 1, tail)) / (seeds - 1) for tail in (0.025, 0.975)))
    return Interval(*(sqrt(max(0.0, seen / scale - noise)) for scale in scales))


def pigeonhole(gains: Array, seed: int = 0) -> Interval:
    """The mean of (seeds, rows), by drawing seeds and rows with replacement, independently.

    The pigeonhole bootstrap of Owen 2007, arXiv:0712.1111; its intervals tend to be too wide, not too narrow.
    """
    seeds, rows = gains.shape
    generator = np.random.default_rng(seed)
    drawn = [
        gains[generator.integers(0, seeds, seeds)].mean(0)[generator.integers(0, rows, rows)].mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(drawn, ENDS)
    return Interval(float(gains.mean()), float(low), float(high))


def mean_over_pairs(gaps: Sequence[Numbers], seed: int = 0) -> Interval:
    """The mean over pairs of trainings, each pair with its own rows.

    Pairs are drawn with replacement; the mean over a pair's rows is drawn from its normal distribution.
    """
    means = np.array([gap.mean() for gap in gaps])
    errors = np.array([gap.std() / sqrt(len(gap)) for gap in gaps])
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(gaps), (2 * RESAMPLES, len(gaps)))
    found = (means[drawn] + errors[drawn] * generator.standard_normal(drawn.shape)).mean(1)
    low, high = np.percentile(found, ENDS)
    return Interval(float(means.mean()), float(low), float(high))


def without_bias(statistic: Callable[[NDArray[np.int64]], float], count: int, draws: int, seed: int = 0) -> Interval:
    """A statistic of rows that cannot be negative (a sum of absolute values), minus what resampling adds to it.

    The basic bootstrap of Efron and Tibshirani 1993; `statistic` takes positions of rows.
    """
    generator = np.random.default_rng(seed)
    seen = statistic(np.arange(count))
    drawn = [statistic(generator.integers(0, count, count)) for _ in range(draws)]
    low, high = np.percentile(drawn, ENDS)
    return Interval(*(max(0.0, 2 * seen - float(end)) for end in (np.mean(drawn), high, low)))


def bootstrap(
    build: Callable[[NDArray[np.intp]], Mapping[str, Weighted]],
    count: int,
    *,
    columns: int = 1,
    biased: Collection[str] = (),
    groups: Numbers | None = None,
    seed: int = 0,
) -> dict[str, Interval]:
    """Statistics of `count` rows with percentile intervals; undefined ones are left out. Efron 1979.

    A resample is a weighting: n of n rows are drawn with replacement, and a row drawn twice weighs 2. `build` computes
    once what all resamples of some rows share: the order of scores, the bins. `groups` names the group of each row;
    whole groups are then drawn. Rows of one group (overlapping windows, sentences of a page) are not independent;
    drawing them one by one gives intervals that are too narrow.

    The cost is bounded: RESAMPLES x rows x columns stays below WORK, down to FEWEST resamples; `columns` is the cost of
    a row relative to 1. More than ROWS rows are resampled on ROWS of them, and the deviations shrink by
    sqrt(ROWS / n): the m-out-of-n bootstrap of Bickel, Götze and van Zwet 1997. Intervals of `biased` statistics are
    shifted back by the mean that resampling adds to them.
    """
    generator = np.random.default_rng(seed)
    whole = build(np.arange(count))
    point = unweighted(whole, count)
    rows, shrink = _some_rows(count, groups, generator)
    some = whole if len(rows) == count else build(rows)
    del whole  # of many rows it is large
    statistics = {name: statistic for name, statistic in some.items() if name in point}
    centre = point if len(rows) == count else point | unweighted(statistics, len(rows))
    resamples = min(RESAMPLES, max(FEWEST, WORK // (len(rows) * columns)))
    drawn = _resampled(statistics, len(rows), resamples, None if groups is None else groups[rows], generator)
    found = dict[str, Interval]()
    for name, value in point.items():
        deviations = (drawn[name] - (np.nanmean(drawn[name]) if name in biased else centre[name])) * shrink
        low, high = (value + float(end) for end in np.nanpercentile(deviations, ENDS))
        if name in biased:  # a share; what is nearly 0 or 1 deviates to one side only
            low, high = min(value, max(low, 0.0)), max(value, min(high, 1.0))
        found[name] = Interval(value, low, high)
    return found


def unweighted(statistics: Mapping[str, Weighted], count: int) -> dict[str, float]:
    """Each statistic of `count` rows with equal weights; undefined ones are left out."""
    ones = np.ones((1, count))
    found = {name: float(statistic(ones)[0]) for name, statistic in statistics.items()}
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _some_rows(count: int, groups: Numbers | None, generator: np.random.Generator) -> tuple[NDArray[np.intp], float]:
    """At most ROWS rows, or the rows of enough groups for about as many; and the shrinkage."""
    if count <= ROWS:
        return np.arange(count), 1.0
    if groups is None:
        return np.sort(generator.choice(count, ROWS, replace=False)), sqrt(ROWS / count)
    names = np.unique(groups)
    kept = generator.choice(names, max(1, len(names) * ROWS // count), replace=False)
    return np.flatnonzero(np.isin(groups, kept)), sqrt(len(kept) / len(names))


def _resampled(
    statistics: Mapping[str, Weighted],
    count: int,
    resamples: int,
    groups: Numbers | None,
    generator: np.random.Generator,
) -> dict[str, Array]:
    units, group = (None, None) if groups is None else np.unique(groups, return_inverse=True)
    found: dict[str, list[Array]] = {name: [] for name in statistics}
    at_once = max(1, CHUNK // count)
    for start in range(0, resamples, at_once):
        weights = _draw(min(at_once, resamples - start), count if units is None else len(units), generator)
        weights = weights if group is None else weights[:, group]
        for name, statistic in statistics.items():
            found[name].append(statistic(weights))
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    # A resample without a class leaves some metrics undefined; if all are, the interval is the value itself.
    return {name: drawn if not np.isnan(drawn).all() else np.zeros(1) for name, drawn in joined.items()}


def _draw(resamples: int, count: int, generator: np.random.Generator) -> Array:
    """(R, n): how often each row was drawn."""
    drawn = generator.integers(0, count, (resamples, count)) + np.arange(resamples)[:, None] * count
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count).astype(np.float64)


def _error(values: Numbers) -> float:
    """The standard error of the mean."""
    return float(values.std(ddof=1)) / sqrt(len(values))


def _student_factor(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def _ranks(values: Numbers) -> Numbers:
    """Ranks from 1; ties get their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
