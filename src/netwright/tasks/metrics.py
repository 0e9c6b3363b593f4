"""Metrics with bootstrap intervals: every metric is a function of row weights, so that a resample is a weighting.

The bootstrap draws n rows out of n with replacement; a row drawn twice weighs 2, one not drawn 0. What a metric needs
beforehand (the order of the scores, the bins) is worked out once and used for all resamples. Efron 1979.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netwright.records.batch import Batch, Rows
from netwright.records.errors import DataError
from netwright.records.task import Metric, Score, Scores
from netwright.statistics import bootstrap, unweighted

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Weights (R, n), one resample in each row -> (R,) values; NaN where a resample leaves the metric undefined."""
Build = Callable[[NDArray[np.intp]], Mapping[str, Statistic]]
"""From row numbers to the metrics of those rows."""

FEW_GROUPS = 64  # sums over so many groups are cheaper as a matrix product than by sorting
BINS = 15  # of confidence, as in Guo et al. 2017
BIASED = ("calibration_error",)  # a sum of absolute values: resampling noise adds to it; see `intervals`
LOWER_IS_BETTER = (
    *("loss", "log_loss", "calibration_error", "rmse", "mae", "median_error"),
    *("hamming_loss", "perplexity", "bits_per_token"),
)


@final
class Kept(Score):
    """Keeps a few tensors of each batch (`keep`), and works out the metrics of all rows when asked.

    `measure` takes the kept tensors, joined, as arrays with a row for each example.
    """

    def __init__(
        self,
        keep: Callable[[Tensor | tuple[Tensor, ...], Batch], tuple[Tensor, ...]],
        quick: Callable[..., dict[str, float]],
        result: Callable[..., Scores],
    ) -> None:
        self._keep, self._quick, self._result = keep, quick, result
        self._kept = Rows()

    def add(self, outputs: Tensor | tuple[Tensor, ...], batch: Batch) -> None:
        """Keeps what the metrics need, on the device where it is: nothing waits here."""
        self._kept.add(tuple(t.detach() for t in self._keep(outputs, batch)))

    def quick(self) -> dict[str, float]:
        """Metrics without intervals."""
        return self._quick(*self._joined())

    def result(self) -> Scores:
        """Metrics with intervals."""
        return self._result(*self._joined())

    def _joined(self) -> list[NDArray[np.generic]]:
        kept = self._kept.joined()
        if not kept:
            raise DataError("there are no rows to score", remedy="give this part of the data some rows.")
        return [t.cpu().numpy() for t in kept]


def values(statistics: Mapping[str, Statistic], count: int) -> dict[str, float]:
    """Each metric over `count` rows that weigh the same; undefined ones are left out."""
    return unweighted(statistics, count)


def intervals(build: Build, count: int, *, columns: int = 1, seed: int = 0) -> tuple[Metric, ...]:
    """Every metric with its 95 % interval over `count` rows, by `bootstrap`."""
    found = bootstrap(build, count, columns=columns, biased=BIASED, seed=seed)
    return tuple(Metric(name, x.value, x.low, x.high, name not in LOWER_IS_BETTER) for name, x in found.items())


def mean_of(numbers: Array) -> Statistic:
    """The mean of one number for each row."""
    column = numbers.astype(np.float64)
    return lambda weights: weights @ column / weights.sum(1)


def root_mean_of(squares: Array) -> Statistic:
    """The root of the mean: RMSE from squared errors."""
    mean = mean_of(squares)
    return lambda weights: np.sqrt(mean(weights))


def ratio_of(above: Array, below: Array) -> Statistic:
    """Sum over sum: nats per token where rows have as many tokens as they like."""
    return lambda weights: _divide(weights @ above.astype(np.float64), weights @ below.astype(np.float64))


def mean_ratio_of(above: Array, below: Array) -> Statistic:
    """The mean over columns, (n, K) each, of sum over sum; columns whose divisor is 0 are left out."""
    above, below = above.astype(np.float64), below.astype(np.float64)
    return lambda weights: mean_over_known(_divide(weights @ above, weights @ below))


def median_of(numbers: Array) -> Statistic:
    """The median; of an even number of rows, the mean of the two in the middle."""
    order = np.argsort(numbers, kind="stable")
    ranked = numbers[order].astype(np.float64)

    def statistic(weights: Array) -> Array:
        reached = np.cumsum(weights[:, order], axis=1)
        half = reached[:, -1:] / 2
        return (ranked[np.argmax(reached >= half, axis=1)] + ranked[np.argmax(reached > half, axis=1)]) / 2

    return statistic


def r2(targets: Array, answers: Array) -> Statistic:
    """Share of the targets' variance that the answers explain; undefined where the targets are all the same."""
    centred = targets.astype(np.float64) - targets.mean(dtype=np.float64)
    errors = (targets.astype(np.float64) - answers) ** 2

    def statistic(weights: Array) -> Array:
        spread = weights @ centred**2 - (weights @ centred) ** 2 / weights.sum(1)
        return 1 - _divide(weights @ errors, np.where(spread > 1e-12 * (weights @ centred**2), spread, 0.0))

    return statistic


def auc(scores: Array, positive: NDArray[np.bool_]) -> Statistic:
    """Area under the ROC curve: how often a positive row has the higher score; equal scores count half."""
    ups, downs = _by_score(scores, positive), _by_score(scores, ~positive)
    below = np.searchsorted(scores[downs], scores[ups], side="left")  # negative rows below each positive row
    level = np.searchsorted(scores[downs], scores[ups], side="right")
    has_ties = bool((below != level).any())

    def statistic(weights: Array) -> Array:
        above, beaten = np.take(weights, ups, axis=1), _cumulated(weights, downs)
        wins = np.einsum("rn,rn->r", above, np.take(beaten, below, axis=1))
        if has_ties:
            wins = (wins + np.einsum("rn,rn->r", above, np.take(beaten, level, axis=1))) / 2
        return _divide(wins, above.sum(1) * beaten[:, -1])

    return statistic


def average_precision(scores: Array, positive: NDArray[np.bool_]) -> Statistic:
    """Precision averaged over the positive rows, best score first: the area under the precision-recall steps."""
    ups, downs = _by_score(-scores, positive), _by_score(-scores, ~positive)
    right = np.searchsorted(-scores[ups], -scores[ups], side="right")  # positive rows down to each one's score
    wrong = np.searchsorted(-scores[downs], -scores[ups], side="right")

    def statistic(weights: Array) -> Array:
        found, false = _cumulated(weights, ups), _cumulated(weights, downs)
        right_so_far = np.take(found, right, axis=1)
        seen = np.maximum(right_so_far + np.take(false, wrong, axis=1), 1e-300)  # 0 only where the row weighs 0
        return _divide(np.einsum("rn,rn->r", np.diff(found, axis=1), right_so_far / seen), found[:, -1])

    return statistic


def mean_auc(scores: Array, positive: NDArray[np.bool_]) -> Statistic:
    """The mean AUC of the columns, (n, K) each; columns with one outcome only are left out."""
    each = [auc(scores[:, k], positive[:, k]) for k in range(scores.shape[1])]
    return lambda weights: mean_over_known(np.stack([statistic(weights) for statistic in each], axis=1))


def balanced_accuracy(targets: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> Statistic:
    """The mean over classes of the share found, classes without a row left out."""
    right, rows = group_sums(targets, classes, targets == answers), group_sums(targets, classes)
    return lambda weights: mean_over_known(_divide(right(weights), rows(weights)))


def f1(targets: NDArray[np.int64], answers: NDArray[np.int64], classes: int, positive: int | None = None) -> Statistic:
    """F1 of the positive class, or the mean F1 of all classes that are in the targets or in the answers."""
    right = group_sums(targets, classes, targets == answers)
    rows, given = group_sums(targets, classes), group_sums(answers, classes)

    def statistic(weights: Array) -> Array:
        each = _divide(2 * right(weights), rows(weights) + given(weights))
        return mean_over_known(each) if positive is None else np.nan_to_num(each[:, positive])

    return statistic


def label_f1(truth: NDArray[np.bool_], given: NDArray[np.bool_]) -> Statistic:
    """The mean F1 of several labels, (n, L) each; a label that is neither true nor given counts 0."""
    right, either = (truth & given).astype(np.float64), truth.astype(np.float64) + given
    return lambda weights: np.nan_to_num(_divide(2 * (weights @ right), weights @ either)).mean(1)


def calibration_error(confidence: Array, right: NDArray[np.bool_]) -> Statistic:
    """Expected calibration error: how far the confidence lies from the share that is right, over BINS of equal width.

    Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = group_sums(bins, BINS, confidence.astype(np.float64) - right)
    return lambda weights: np.abs(gaps(weights)).sum(1) / weights.sum(1)


def group_sums(groups: NDArray[np.int64], count: int, numbers: Array | NDArray[np.bool_] | None = None) -> Statistic:
    """(R, n) weights -> (R, count): the weighted sum of the numbers (1 for each row where none are given) by group."""
    factor = np.ones(len(groups)) if numbers is None else numbers.astype(np.float64)
    if count <= FEW_GROUPS:
        columns = np.where(groups[:, None] == np.arange(count), factor[:, None], 0.0)
        return lambda weights: weights @ columns
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)

    def statistic(weights: Array) -> Array:
        sums = np.zeros((len(weights), count))
        sums[:, present] = np.add.reduceat((weights * factor)[:, order], starts, axis=1)
        return sums

    return statistic


def mean_over_known(numbers: Array) -> Array:
    """(R, K) -> (R,): the mean over the columns that are not NaN; NaN where all are."""
    known = ~np.isnan(numbers)
    return _divide(np.where(known, numbers, 0.0).sum(1), known.sum(1))


def confusion(
    targets: Sequence[int] | NDArray[np.int64], answers: NDArray[np.int64], classes: int
) -> tuple[tuple[int, ...], ...]:
    """Rows: true class, columns: predicted class."""
    table = np.bincount(np.asarray(targets) * classes + answers, minlength=classes**2).reshape(classes, classes)
    return tuple(tuple(int(n) for n in row) for row in table)


def _by_score(scores: Array, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The chosen rows by rising score."""
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(scores[rows], kind="stable")]


def _cumulated(weights: Array, rows: NDArray[np.intp]) -> Array:
    """(R, rows + 1): the summed weights of the first 0, 1, ... of the rows."""
    sums = np.zeros((len(weights), len(rows) + 1))
    np.cumsum(np.take(weights, rows, axis=1), axis=1, out=sums[:, 1:])
    return sums


def _divide(above: Array, below: Array) -> Array:
    """Elementwise; NaN where the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below != 0, above / below, np.nan)
