"""How doubtful labels are, by probabilities of models that did not see them. All functions work on whole arrays.

`chances` are (N, K) out-of-fold probabilities of the given labels, wrong ones included; `given` are (N,) positions.

What tells wrong labels from hard rows: where a weak model errs, it was unsure, so its probabilities fit its errors at
one sharpness. Wrong labels are everywhere, also where the model is sure, and no sharpness fits both: their share shows
in the likelihood. Constants were set on one half of the families of data in `benchmarks/labels.py`, and scored on the
other.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Chances = NDArray[np.float64]  # (N, K)
Given = NDArray[np.int64]  # (N,)
Values = NDArray[np.float64]  # (N,)

SHARPNESS = tuple(np.geomspace(0.3, 4, 23).tolist())  # exponents of the probabilities that are tried
RATES = np.r_[0.0, np.geomspace(0.003, 0.5, 30)]  # shares of evenly spread wrong labels that are tried
BEHIND = 1.35  # nats: the lowest share whose likelihood is so near the best is used, the 5 % end of its interval
EVIDENCE = 4.0  # nats that wrong labels must explain: clean data gave more in 2 of 45 sets, for .4 % of their rows
# Nats by which even errors must beat errors in the rows of one class: hard rows are one-sided. Customers who leave and
# look like those who stay gave 1.1; even errors of 5 % in balanced classes 4.5 and more.
BOTH_WAYS = 2.0
PAIRS_EVIDENCE = 5.0  # the same for a noise matrix, which has more freedom
STEPS = 25  # of EM
RIGHT = 20.0  # rows with right labels that each class is thought to have beside its own: few rows say little
# Of the rows where model and label differ: so much of a matrix is a weak model's confusion of two classes. Clean data
# gave up to .3 at most sizes and .4 on 200 clothes.
EXCESS = 0.4
SAMPLED = 400_000  # probabilities that shares are estimated from: seconds
STRONG = 2 / 3  # of the way from always answering the largest class to always right; below, a model cannot judge
SURE = 0.95  # highest probability of a wrong label: rows unlike all others may look alike
WRONG = 0.5  # probability from which a label counts as wrong: more probable than not
SEEN = 0.5  # of planted errors, from which they bound the rate: the few in the tail say nothing about the others
TINY = 1e-12


def self_confidence(chances: Chances, given: Given) -> Values:
    """1 - the probability of the given label."""
    return 1 - _of_given(chances, given)


def sharpened(chances: Chances, exponent: float) -> Chances:
    """The probabilities to this power, normalized. Guo et al. 2017, arXiv:1706.04599, scale logits in the same way."""
    logs = exponent * np.log(np.maximum(chances, TINY))
    powered = np.exp(logs - logs.max(1, keepdims=True))
    return powered / powered.sum(1, keepdims=True)


@final
@dataclass(frozen=True, eq=False)
class Noise:
    """How labels came about: `matrix[j, i]` is the probability that a row of class j gets label i."""

    matrix: NDArray[np.float64]  # (K, K), rows sum to one
    exponent: float  # sharpens the probabilities to those of the true class

    def posterior(self, chances: Chances, given: Given) -> Chances:
        """(N, K) probabilities of the true class of rows with these labels."""
        joint = sharpened(chances, self.exponent) * self.matrix.T[given]
        return joint / np.maximum(joint.sum(1, keepdims=True), TINY)


def even_noise(chances: Chances, given: Given) -> Noise | None:
    """Any other label, in the same share of all rows.

    None if right labels alone explain the data, or hard rows of one class: then labels differ from the model's answers
    in one direction only.
    """
    classes = chances.shape[1]
    other = RATES[:, None] / max(classes - 1, 1)
    fits = np.empty((len(SHARPNESS), len(RATES)))
    for place, exponent in enumerate(SHARPNESS):
        own = _of_given(sharpened(chances, exponent), given)
        fits[place] = np.log((1 - RATES)[:, None] * own + other * (1 - own) + TINY).sum(1)
    best = fits.max(0)
    if best.max() - best[0] < EVIDENCE:
        return None
    fitted = sharpened(chances, SHARPNESS[int(fits.max(1).argmax())])
    own, hard = _of_given(fitted, given), _most_contradicted(chances, given)
    one_sided = np.where(given == hard, (1 - RATES)[:, None] * own, own + other * fitted[:, hard])
    if best.max() - np.log(one_sided + TINY).sum(1).max() < BOTH_WAYS:
        return None
    lowest = int(np.flatnonzero(best >= best.max() - BEHIND)[0])
    matrix = np.full((classes, classes), RATES[lowest] / max(classes - 1, 1))
    np.fill_diagonal(matrix, 1 - RATES[lowest])
    return Noise(matrix, SHARPNESS[int(fits[:, lowest].argmax())])


def _most_contradicted(chances: Chances, given: Given) -> int:
    """The class that the model gives most often to rows with another label."""
    answers = chances.argmax(1)
    return int(np.bincount(answers[answers != given], minlength=chances.shape[1]).argmax())


def paired_noise(chances: Chances, given: Given) -> Noise | None:
    """A share for each pair of classes, by EM (Dawid and Skene 1979, with a model in the place of other raters).

    A weak model confuses some classes more than its probabilities say. The more model and labels differ, the more of
    the matrix is taken off for this. None if nothing is left, and for two classes: more errors in one direction than in
    the other are then hard rows of one class.
    """
    classes = chances.shape[1]
    if classes < 3:
        return None
    given_as = np.eye(classes)[given]
    best, found = -np.inf, Noise(np.eye(classes), 1.0)
    for exponent in SHARPNESS[::2]:
        truth, matrix = sharpened(chances, exponent), 0.9 * np.eye(classes) + 0.1 / classes
        for _ in range(STEPS):
            joint = truth * matrix.T[given]
            counts = (joint / np.maximum(joint.sum(1, keepdims=True), TINY)).T @ given_as + RIGHT * np.eye(classes)
            matrix = counts / counts.sum(1, keepdims=True)
        fit = np.log(np.maximum((truth * matrix.T[given]).sum(1), TINY)).sum() + RIGHT * np.log(np.diag(matrix)).sum()
        if fit > best:
            best, found = float(fit), Noise(matrix, exponent)
    plain = max(float(np.log(_of_given(sharpened(chances, e), given) + TINY).sum()) for e in SHARPNESS)
    rate = 1 - float(sharpened(chances, found.exponent).mean(0) @ np.diag(found.matrix))
    differ = float((chances.argmax(1) != given).mean())
    left = (rate - EXCESS * differ) / (1 - EXCESS)
    if left <= 0 or best - plain < PAIRS_EVIDENCE:
        return None
    matrix = found.matrix * left / rate
    np.fill_diagonal(matrix, 0)
    np.fill_diagonal(matrix, 1 - matrix.sum(1))
    return Noise(matrix, found.exponent)


@final
@dataclass(frozen=True, eq=False)
class Judged:
    """What is known about each label."""

    posterior: Chances  # of the true classes
    is_wrong: Values  # probability that the label is wrong, at most SURE
    doubts: Values  # ranks labels, also those that are hardly doubted
    right: float  # share of rows in which the model is right, without the wrong labels
    largest: float  # share of the largest class, without the wrong labels: what always answering it would get right

    @property
    def rate(self) -> float:
        """The share of wrong labels."""
        return float(self.is_wrong.mean())

    @property
    def is_too_weak(self) -> bool:
        """Whether the model's own errors could look like wrong labels."""
        return self.right - self.largest < STRONG * (1 - self.largest)


def judged(chances: Chances, given: Given, *, seed: int = 0) -> Judged:
    """The probability of each label to be wrong: by evenly spread errors or by a matrix, whichever doubts it more."""
    count, classes = chances.shape
    rows = np.random.default_rng(seed).permutation(count)[: max(1, SAMPLED // classes)]
    posterior = np.eye(classes)[given]
    for noise in (even_noise(chances[rows], given[rows]), paired_noise(chances[rows], given[rows])):
        if noise is not None:
            other = noise.posterior(chances, given)
            is_more = _of_given(other, given) < _of_given(posterior, given)
            posterior[is_more] = other[is_more]
    is_wrong = np.minimum(1 - _of_given(posterior, given), SURE)
    differ, rate = float((chances.argmax(1) != given).mean()), float(is_wrong.mean())
    right = 1 - max(0.0, (differ - rate) / (1 - rate))
    ranked = _ranks(1 - _of_given(posterior, given)) + _ranks(self_confidence(chances, given))
    # Of the true classes: flipped labels make a rare class look frequent, and always answering the other one look bad.
    return Judged(posterior, is_wrong, ranked, right, float(posterior.mean(0).max()))


def calibrated(own: Values, wrong: Values, weights: Values, rate: float) -> tuple[float, Values]:
    """The share of wrong labels, and P(wrong | score) for each row, which falls with the score.

    At rate r, n r of n rows are wrong, and the share R(t) of planted errors above t is also the share of these above t.
    There cannot be more wrong labels above t than labels, so r is at most the minimum over t of the share of labels
    above t divided by R(t). If clean labels hardly ever reach t, r equals it (Blanchard, Lee and Scott 2010, JMLR 11,
    section 4). P falls from row to row: pooled if neighbors disagree (isotonic regression).
    """
    from sklearn.isotonic import IsotonicRegression

    count = len(own)
    order = np.argsort(-own, kind="stable")
    labels = np.unique(np.searchsorted(-own[order], -own, "right"))  # at or above each distinct score
    by_score = np.argsort(wrong, kind="stable")
    below = np.concatenate([[0.0], weights[by_score].cumsum()])
    above = 1 - below[np.searchsorted(wrong[by_score], own[order][labels - 1], "left")]
    bounds = (labels + np.sqrt(labels)) / count / np.maximum(above, TINY)
    rate = float(min(rate, bounds[above >= SEEN].min(initial=rate)))
    ranks = np.arange(1, count + 1)
    expected = np.interp(ranks, [0, *labels], [0.0, *(rate * count * above)])
    steps = IsotonicRegression(increasing=False).fit_transform(ranks, np.diff(expected, prepend=0.0))
    is_wrong = np.empty(count)
    is_wrong[order] = np.clip(steps, 0, SURE)
    return rate, is_wrong


def _ranks(values: Values) -> Values:
    """The ranks of the values, from 0 to 1."""
    return np.searchsorted(np.sort(values), values) / len(values)


def _of_given(values: Chances, given: Given) -> Values:
    return values[np.arange(len(given)), given]
