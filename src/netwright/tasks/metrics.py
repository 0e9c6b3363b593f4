"""Metrics: functions of row weights that know which direction is better. A resample of rows is a weighting.

What a metric needs beforehand (the order of the scores, the bins) is computed once and used for all resamples. Metrics
of sets are functions of sums over rows (`of_sums`: BLEU) or of items that belong to rows (`of_items`: mAP).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.records.batch import Batch, Outputs
from netwright.records.errors import DataError
from netwright.records.task import Metric, Score, Scores
from netwright.statistics import Array, Weighted, bootstrap, unweighted
from netwright.tasks.sample import Sample

FEW_GROUPS = 64  # sums over up to this many groups are cheaper as a matrix product than by sorting
MANY_ROWS = 1 << 17  # more are summed one weighting at a time: a column for each group would take 120 MB per million
BINS = 15  # of confidence, as in Guo et al. 2017

Better = Literal["higher", "lower"]


@final
@dataclass(frozen=True)
class Statistic:
    """Weights (R, n), one resample in each row -> (R,) values; NaN if a resample leaves the metric undefined."""

    of: Weighted
    better: Better
    is_biased: bool = False  # a share that resampling noise makes larger or smaller on average

    def __call__(self, weights: Array) -> Array:
        """The values."""
        return self.of(weights)

    def then(self, change: Callable[[Array], Array]) -> "Statistic":
        """A rising function of the metric."""
        return replace(self, of=lambda weights: change(self.of(weights)))


Measure = Callable[..., Mapping[str, Statistic]]
"""From kept arrays, with a row for each example, to metrics."""


@final
class Kept(Score):
    """Keeps a few tensors of each batch (`keep`), and computes the metrics of all rows on request.

    Of more rows than a `Sample` holds, metrics are those of the sample.

    `quick` gives the metrics of an epoch's line; its "loss" is not a separate metric. `dear` gives those that are
    computed once at the end. `columns` is the cost of resampling a row, relative to one number.
    """

    def __init__(
        self,
        keep: Callable[[Outputs, Batch], tuple[Tensor, ...]],
        quick: Measure,
        dear: Measure | None = None,
        *,
        columns: int = 1,
        labels: tuple[str, ...] = (),
        confused: Callable[..., tuple[tuple[int, ...], ...]] | None = None,
    ) -> None:
        self._keep, self._quick, self._dear, self._columns = keep, quick, dear, columns
        self._labels, self._confused = labels, confused
        self._kept = Sample()

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Keeps what the metrics need, on its own device, without waiting."""
        self._kept.add(tuple(t.detach() for t in self._keep(outputs, batch)))

    def quick(self) -> dict[str, float]:
        """Metrics without intervals."""
        kept = self._joined()
        return {"loss": nan, **unweighted(self._quick(*kept), len(kept[0]))}

    def result(self, groups: Tensor | None = None) -> Scores:
        """Metrics with intervals."""
        kept = self._joined()

        def build(rows: NDArray[np.intp]) -> Mapping[str, Statistic]:
            return self._all(*(x[rows] for x in kept))

        count, rows = self._kept.count, len(kept[0])
        metrics = intervals(build, rows, columns=self._columns, groups=self._of_kept(groups))
        confused = self._confused(*kept) if self._confused else ()
        return Scores(metrics, count, confused, self._labels, rows if rows < count else 0)

    def lead(self, other: Score, name: str, groups: Tensor | None = None) -> Metric | None:
        """By how much this score is better, from the difference of the two in each resample."""
        if not isinstance(other, Kept):
            return None
        ours, theirs = self._joined(), other._joined()
        if len(ours[0]) != len(theirs[0]):
            return None

        def build(rows: NDArray[np.intp]) -> Mapping[str, Statistic]:
            a, b = (self._all(*(x[rows] for x in kept))[name] for kept in (ours, theirs))
            sign = 1 if a.better == "higher" else -1
            return {name: Statistic(lambda weights: sign * (a(weights) - b(weights)), "higher")}

        return next(iter(intervals(build, len(ours[0]), columns=self._columns, groups=self._of_kept(groups))), None)

    def _of_kept(self, groups: Tensor | None) -> Tensor | None:
        return None if groups is None else groups.cpu()[torch.from_numpy(self._kept.places())]

    def _all(self, *kept: NDArray[np.generic]) -> dict[str, Statistic]:
        found = {**self._quick(*kept), **(self._dear(*kept) if self._dear else {})}
        return {name: statistic for name, statistic in found.items() if name != "loss" or len(found) == 1}

    def _joined(self) -> list[NDArray[np.generic]]:
        kept = self._kept.joined()
        if not kept:
            raise DataError("there are no rows to score", remedy="add rows to this part of the data.")
        return [t.cpu().numpy() for t in kept]


def intervals(
    build: Callable[[NDArray[np.intp]], Mapping[str, Statistic]],
    count: int,
    *,
    columns: int = 1,
    groups: Tensor | None = None,
    seed: int = 0,
) -> tuple[Metric, ...]:
    """Every metric of `count` rows with its 95 % interval, by `statistics.bootstrap`."""
    better, biased = dict[str, Better](), list[str]()

    def seen(rows: NDArray[np.intp]) -> Mapping[str, Statistic]:
        found = build(rows)
        better.update({name: statistic.better for name, statistic in found.items()})
        biased.extend(name for name, statistic in found.items() if statistic.is_biased)
        return found

    by = None if groups is None else groups.cpu().numpy()
    found = bootstrap(seen, count, columns=columns, biased=biased, groups=by, seed=seed)
    return tuple(Metric(n, x.value, x.low, x.high, better[n] == "higher") for n, x in found.items())


def of_sums(table: Array, function: Callable[[Array], Array], better: Better) -> Statistic:
    """A function of sums over rows: `table` (n, K) is what each row adds, `function` maps (R, K) to (R,)."""
    table = table.astype(np.float64)
    return Statistic(lambda weights: function(weights @ table), better)


def of_items(statistic: Statistic, owners: NDArray[np.intp]) -> Statistic:
    """A metric of items that belong to rows, as boxes to images: `owners` (m,) is the row of each.

    An item has the weight of its row.
    """
    return replace(statistic, of=lambda weights: statistic.of(weights[:, owners]))


def mean_of(numbers: Array, better: Better) -> Statistic:
    """The mean of one number for each row."""
    column = numbers.astype(np.float64)
    return Statistic(lambda weights: weights @ column / weights.sum(1), better)


def root_mean_of(squares: Array) -> Statistic:
    """The root of the mean: RMSE from squared errors."""
    return mean_of(squares, "lower").then(np.sqrt)


def ratio_of(above: Array, below: Array, better: Better) -> Statistic:
    """Ratio of sums, such as nats per token if rows have different numbers of tokens."""
    above, below = above.astype(np.float64), below.astype(np.float64)
    return Statistic(lambda weights: _divide(weights @ above, weights @ below), better)


def mean_ratio_of(above: Array, below: Array, better: Better) -> Statistic:
    """The mean over columns, (n, K) each, of the ratio of sums; columns whose divisor is 0 are left out."""
    above, below = above.astype(np.float64), below.astype(np.float64)
    return Statistic(lambda weights: mean_over_known(_divide(weights @ above, weights @ below)), better)


def median_of(numbers: Array) -> Statistic:
    """The median; for an even number of rows, the mean of the two in the middle."""
    order = np.argsort(numbers, kind="stable")
    ranked = numbers[order].astype(np.float64)

    def statistic(weights: Array) -> Array:
        reached = np.cumsum(weights[:, order], axis=1)
        half = reached[:, -1:] / 2
        return (ranked[np.argmax(reached >= half, axis=1)] + ranked[np.argmax(reached > half, axis=1)]) / 2

    return Statistic(statistic, "lower")


def r2(targets: Array, answers: Array) -> Statistic:
    """Share of the targets' variance that the answers explain; undefined if all targets are equal."""
    centred = targets.astype(np.float64) - targets.mean(dtype=np.float64)
    errors = (targets.astype(np.float64) - answers) ** 2

    def statistic(weights: Array) -> Array:
        spread = weights @ centred**2 - (weights @ centred) ** 2 / weights.sum(1)
        return 1 - _divide(weights @ errors, np.where(spread > 1e-12 * (weights @ centred**2), spread, 0.0))

    return Statistic(statistic, "higher")


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

    return Statistic(statistic, "higher")


def average_precision(scores: Array, positive: NDArray[np.bool_]) -> Statistic:
    """Precision averaged over the positive rows, best score first: the area under the precision-recall steps."""
    ups, downs = _by_score(-scores, positive), _by_score(-scores, ~positive)
    right = np.searchsorted(-scores[ups], -scores[ups], side="right")  # positive rows down to each one's score
    wrong = np.searchsorted(-scores[downs], -scores[ups], side="right")

    def statistic(weights: Array) -> Array:
        found, false = _cumulated(weights, ups), _cumulated(weights, downs)
        right_so_far = np.take(found, right, axis=1)
        seen = np.maximum(right_so_far + np.take(false, wrong, axis=1), 1e-300)  # 0 only if the row weighs 0
        return _divide(np.einsum("rn,rn->r", np.diff(found, axis=1), right_so_far / seen), found[:, -1])

    return Statistic(statistic, "higher")


def mean_auc(scores: Array, positive: NDArray[np.bool_]) -> Statistic:
    """The mean AUC of the columns, (n, K) each; columns with only one outcome are left out."""
    each = [auc(scores[:, k], positive[:, k]) for k in range(scores.shape[1])]
    return Statistic(
        lambda weights: mean_over_known(np.stack([statistic(weights) for statistic in each], axis=1)), "higher"
    )


def balanced_accuracy(targets: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> Statistic:
    """The mean recall of classes; classes without rows are left out."""
    right, rows = group_sums(targets, classes, targets == answers), group_sums(targets, classes)
    return Statistic(lambda weights: mean_over_known(_divide(right(weights), rows(weights))), "higher")


def f1(targets: NDArray[np.int64], answers: NDArray[np.int64], classes: int, positive: int | None = None) -> Statistic:
    """F1 of the positive class, or the mean F1 of all classes in the targets or the answers."""
    right = group_sums(targets, classes, targets == answers)
    rows, given = group_sums(targets, classes), group_sums(answers, classes)

    def statistic(weights: Array) -> Array:
        each = _divide(2 * right(weights), rows(weights) + given(weights))
        return mean_over_known(each) if positive is None else np.nan_to_num(each[:, positive])

    return Statistic(statistic, "higher")


def label_f1(truth: NDArray[np.bool_], given: NDArray[np.bool_]) -> Statistic:
    """The mean F1 of several labels, (n, L) each; a label that is neither true nor predicted counts 0."""
    right, either = (truth & given).astype(np.float64), truth.astype(np.float64) + given
    return Statistic(lambda weights: np.nan_to_num(_divide(2 * (weights @ right), weights @ either)).mean(1), "higher")


def calibration_error(confidence: Array, right: NDArray[np.bool_]) -> Statistic:
    """Expected calibration error: the gap between confidence and accuracy, over BINS of equal width.

    Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = group_sums(bins, BINS, confidence.astype(np.float64) - right)
    return Statistic(lambda weights: np.abs(gaps(weights)).sum(1) / weights.sum(1), "lower", is_biased=True)


def group_sums(groups: NDArray[np.int64], count: int, numbers: Array | NDArray[np.bool_] | None = None) -> Weighted:
    """(R, n) weights -> (R, count): the weighted sum of the numbers (1 for each row by default) by group."""
    factor = np.ones(len(groups)) if numbers is None else numbers.astype(np.float64)
    if len(groups) > MANY_ROWS:
        return lambda weights: np.array([np.bincount(groups, row * factor, count) for row in weights], np.float64)
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
    """(R, K) -> (R,): the mean over the columns that are not NaN; NaN if all are."""
    known = ~np.isnan(numbers)
    return _divide(np.where(known, numbers, 0.0).sum(1), known.sum(1))


def confusion(
    targets: Sequence[int] | NDArray[np.int64], answers: NDArray[np.int64], classes: int
) -> tuple[tuple[int, ...], ...]:
    """Rows: true class, columns: predicted class."""
    table = np.bincount(np.asarray(targets) * classes + answers, minlength=classes**2).reshape(classes, classes)
    return tuple(tuple(int(n) for n in row) for row in table)


def _by_score(scores: Array, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The chosen rows by ascending score."""
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(scores[rows], kind="stable")]


def _cumulated(weights: Array, rows: NDArray[np.intp]) -> Array:
    """(R, rows + 1): the summed weights of the first 0, 1, ... of the rows."""
    sums = np.zeros((len(weights), len(rows) + 1))
    np.cumsum(np.take(weights, rows, axis=1), axis=1, out=sums[:, 1:])
    return sums


def _divide(above: Array, below: Array) -> Array:
    """Elementwise; NaN if the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below != 0, above / below, np.nan)
