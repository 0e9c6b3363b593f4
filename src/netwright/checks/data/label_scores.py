"""How doubtful labels are, by probabilities of models that did not see them. All functions work on whole arrays.

`chances` are (N, K) out-of-fold probabilities of the given labels, wrong ones included; `given` are (N,) positions.
Higher scores mean more doubt.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Chances = NDArray[np.float64]  # (N, K)
Given = NDArray[np.int64]  # (N,)
Values = NDArray[np.float64]  # (N,)

ANCHORS = 0.2  # share of a class's rows, the surest ones, whose labels show how its rows are mislabeled
STEPS = 5  # multiplicative EM steps; 30 fit the noise in the chances, and ranked no better in any trial
STRENGTHS = tuple(np.geomspace(0.5, 1e4, 14).tolist())  # weight of a prior, in rows
EXPONENTS = tuple(np.geomspace(0.3, 3, 25).tolist())
TEMPERED = 20_000  # rows on which the exponent is chosen
SURE = 0.95  # highest probability of a wrong label: planted errors cannot rule out that other rows look alike
WRONG = 0.5  # probability from which a label counts as wrong: more probable than not
SEEN = 0.5  # of planted errors, from which they bound the rate: the few in the tail say nothing about the others
MANY_WRONG = 0.15  # share of labels from which the posterior comes first; below, self-confidence is as good
# Margin (AUC on planted errors) by which another score must beat the first to replace it. The posterior looks too good:
# planted errors are drawn from the matrix it is computed with.
BETTER_FEW, BETTER_MANY = 0.005, 0.001
NEIGHBORS = 20  # rows that vote on a label
NEIGHBOR_ROWS = 20_000  # more would take too long
TINY = 1e-12


def self_confidence(chances: Chances, given: Given) -> Values:
    """1 - the probability of the given label."""
    return 1 - _of_given(chances, given)


def margin(chances: Chances, given: Given) -> Values:
    """The highest probability of another label minus that of the given one, from -1 to 1."""
    own = _of_given(chances, given)
    others = chances.copy()
    others[np.arange(len(given)), given] = -np.inf
    return others.max(1) - own


def disagreement(chances: Chances, given: Given, asked: Given) -> Values:
    """The share of the NEIGHBORS rows with the most similar answers whose given label differs from this one.

    k-nearest neighbors in the space of out-of-fold answers, with Hellinger's distance: rows that the model cannot tell
    apart vote on each other's labels. Wilson 1972 edits data by such votes of neighbors in the inputs.
    """
    from sklearn.neighbors import NearestNeighbors

    places = np.sqrt(chances)
    found = NearestNeighbors(n_neighbors=min(NEIGHBORS + 1, len(given))).fit(places)
    near = found.kneighbors(places, return_distance=False)
    is_other = near != np.arange(len(given))[:, None]  # a row does not vote on itself
    return 1 - ((given[near] == asked[:, None]) & is_other).sum(1) / np.maximum(is_other.sum(1), 1)


def tempered(chances: Chances, given: Given) -> Chances:
    """The probabilities, sharpened or flattened by the one exponent that fits the given labels best.

    Guo et al. 2017, arXiv:1706.04599. Models trained for few epochs are underconfident, those trained for many
    overconfident.
    """
    logs = np.log(chances)
    sample = np.random.default_rng(0).permutation(len(given))[:TEMPERED]

    def loss(exponent: float) -> float:
        scaled = logs[sample] * exponent
        top = scaled.max(1)
        return float(
            (np.log(np.exp(scaled - top[:, None]).sum(1)) + top - scaled[np.arange(len(sample)), given[sample]]).mean()
        )

    best = min(EXPONENTS, key=loss)
    scaled = logs * best
    powered = np.exp(scaled - scaled.max(1, keepdims=True))
    return powered / powered.sum(1, keepdims=True)


@final
@dataclass(frozen=True, eq=False)
class Noise:
    """How labels came about: `matrix[j, i]` is the probability that a row of class j gets label i; `truth` has the
    probabilities of each row's true class before its label is seen.
    """

    matrix: NDArray[np.float64]  # (K, K), rows sum to one
    truth: Chances

    def posterior(self, given: Given) -> Chances:
        """(N, K) probabilities of the true class of rows with these labels."""
        joint = self.truth * self.matrix.T[given]
        return joint / np.maximum(joint.sum(1, keepdims=True), TINY)

    def doubts(self, given: Given) -> Values:
        """The noise-matrix posterior: the probability that the given label is wrong."""
        return 1 - _of_given(self.posterior(given), given)

    @property
    def rate(self) -> float:
        """The share of wrong labels."""
        return float(1 - self.truth.mean(0) @ np.diag(self.matrix))


def noise(chances: Chances, given: Given) -> Noise:
    """The noise matrix from anchors, and probabilities of the true classes that give the chances after this noise.

    STEPS steps of EM (Richardson 1972, Lucy 1974). Each multiplies, so nothing becomes negative as with an inverse
    matrix.
    """
    matrix = noise_matrix(chances, given)
    truth = chances
    for _ in range(STEPS):
        truth = truth * ((chances / np.maximum(truth @ matrix, TINY)) @ matrix.T)
        truth = truth / np.maximum(truth.sum(1, keepdims=True), TINY)
    return Noise(matrix, truth)


def noise_matrix(chances: Chances, given: Given) -> NDArray[np.float64]:
    """(K, K) P(given i | true j), from the labels of the rows that most surely belong to class j.

    If the inputs leave no doubt, a wrong label is noise alone. If they leave doubt, a label unlike the answer is as
    often the model's fault. Out-of-fold answers do not know the row's own label, so it does not bias the choice of
    rows. Anchor points: Liu and Tao 2016, arXiv:1411.7718; Patrini et al. 2017, arXiv:1609.03683, section 4. The few
    anchors of a class are shrunk towards the rate of all classes and towards evenly spread errors, as far as the
    classes are alike: empirical Bayes with beta and Dirichlet priors whose strengths maximize the likelihood.
    """
    from scipy.special import betaln, gammaln

    classes = chances.shape[1]
    counts = _anchors(chances, given)
    right, total = np.diag(counts), counts.sum(1)
    wrong = total - right
    usual = (wrong.sum() + 0.5) / (total.sum() + 1)

    def of_rate(strength: float) -> float:
        a, b = strength * usual, strength * (1 - usual)
        return float((betaln(wrong + a, right + b) - betaln(a, b)).sum())

    def of_shape(strength: float) -> float:
        each = strength / (classes - 1)
        inner = (gammaln(off + each) - gammaln(each)).sum(1)
        return float((inner + gammaln(strength) - gammaln(strength + wrong)).sum())

    is_off = ~np.eye(classes, dtype=np.bool_)
    off = counts[is_off].reshape(classes, classes - 1)
    strength = max(STRENGTHS, key=of_rate)
    rate = (wrong + strength * usual) / (total + strength)
    strength = max(STRENGTHS, key=of_shape)
    shape = (off + strength / (classes - 1)) / (wrong + strength)[:, None]
    matrix = np.diag(1 - rate)
    matrix[is_off] = (shape * rate[:, None]).ravel()
    return matrix


def _anchors(chances: Chances, given: Given) -> NDArray[np.float64]:
    """(K, K): how often the surest rows of class j have label i."""
    classes = chances.shape[1]
    answers, own = chances.argmax(1), np.bincount(given, minlength=classes)
    counts = np.zeros((classes, classes))
    for k in range(classes):
        mine = np.flatnonzero(answers == k)
        most = max(1, round(ANCHORS * min(len(mine), own[k])))
        best = mine[np.argsort(-chances[mine, k], kind="stable")[:most]]
        counts[k] = np.bincount(given[best], minlength=classes)
    return counts


@final
@dataclass(frozen=True, eq=False)
class Judged:
    """What a score says about each label, and how reliable it is."""

    score: str  # the one that finds planted errors best
    doubts: Values  # by that score
    is_wrong: Values  # probability that the label is wrong
    noise: Noise
    rate: float  # share of wrong labels in the data
    auc: float  # of planted errors against the data's own labels: 0.5 is chance
    recall: float  # share of planted errors that are more probably wrong than right


def judged(chances: Chances, given: Given, *, seed: int = 0) -> Judged:
    """The probability of each label to be wrong, calibrated with planted errors.

    Every row also gets a wrong label, drawn from the noise matrix for its true class. No model is retrained: the
    answers for a row come from models that never saw its label, so they do not depend on it. (The effect of planted
    errors in other rows on these models is ignored.)
    """
    chances = tempered(chances, given)
    found = noise(chances, given)
    planted, weights = _planted(found, given, np.random.default_rng(seed))
    scores = {name: score(chances, found, given, planted) for name, score in SCORES.items()}
    calibration = {name: calibrated(*pair, weights, found.rate) for name, pair in scores.items()}
    auc = {name: _auc(*pair, weights) for name, pair in scores.items()}
    is_many = calibration[FIRST_OF_MANY][0] >= MANY_WRONG
    first, better = (FIRST_OF_MANY, BETTER_MANY) if is_many else (FIRST_OF_FEW, BETTER_FEW)
    best = max(auc, key=lambda name: auc[name] + better * (name == first))
    (own, wrong), (rate, is_wrong) = scores[best], calibration[best]
    least = own[is_wrong >= WRONG].min(initial=np.inf)
    return Judged(best, own, is_wrong, found, rate, auc[best], float(weights[wrong >= least].sum()))


def _planted(found: Noise, given: Given, generator: np.random.Generator) -> tuple[Given, Values]:
    """A wrong label for each row, and how often such errors happen (sums to one)."""
    classes = found.matrix.shape[0]
    truth = _drawn(found.posterior(given), generator)
    wrong = found.matrix.copy()
    np.fill_diagonal(wrong, 0)
    rates = wrong.sum(1)
    wrong /= np.maximum(rates[:, None], TINY)
    planted = _drawn(wrong[truth], generator)
    weights = np.where(planted == truth, 0.0, rates[truth]) if classes > 1 else np.zeros(len(given))
    return planted, weights / max(weights.sum(), TINY)


def _drawn(chances: Chances, generator: np.random.Generator) -> Given:
    """A column for each row, drawn from its probabilities."""
    reached = chances.cumsum(1)
    return (generator.random((len(chances), 1)) * reached[:, -1:] > reached[:, :-1]).sum(1)


def _auc(own: Values, wrong: Values, weights: Values) -> float:
    """The probability that a planted error is more doubtful than a label of the data; ties count half."""
    ordered = np.sort(own)
    below = np.searchsorted(ordered, wrong, "left") + np.searchsorted(ordered, wrong, "right")
    return float(weights @ below) / (2 * len(own))


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


def _ranks(values: Values, among: Values) -> Values:
    """The ranks of the values, from 0 to 1."""
    return np.searchsorted(np.sort(among), values) / len(among)


def _posterior(chances: Chances, found: Noise, given: Given, planted: Given) -> tuple[Values, Values]:
    return found.doubts(given), found.doubts(planted)


def _beside(
    other: Callable[[Chances, Given], Values],
) -> Callable[[Chances, Noise, Given, Given], tuple[Values, Values]]:
    """The mean of the ranks by the posterior and by another score, which helps if the matrix is poorly known."""

    def scores(chances: Chances, found: Noise, given: Given, planted: Given) -> tuple[Values, Values]:
        sure, beside = found.doubts(given), other(chances, given)
        own = _ranks(sure, sure) + _ranks(beside, beside)
        return own, _ranks(found.doubts(planted), sure) + _ranks(other(chances, planted), beside)

    return scores


def _neighbors(chances: Chances, found: Noise, given: Given, planted: Given) -> tuple[Values, Values]:
    """The mean of the ranks by the posterior and by neighbors; without neighbors if there are very many rows."""
    sure, asked = found.doubts(given), found.doubts(planted)
    if len(given) > NEIGHBOR_ROWS:
        return sure, asked
    votes, others = disagreement(chances, given, given), disagreement(chances, given, planted)
    return _ranks(sure, sure) + _ranks(votes, votes), _ranks(asked, sure) + _ranks(others, votes)


FIRST_OF_MANY, FIRST_OF_FEW = "noise-matrix posterior", "posterior and self-confidence"
SCORES = {
    FIRST_OF_MANY: _posterior,
    FIRST_OF_FEW: _beside(self_confidence),
    "posterior and margin": _beside(margin),
    "posterior and neighbors": _neighbors,
}


def _of_given(values: Chances, given: Given) -> Values:
    return values[np.arange(len(given)), given]
