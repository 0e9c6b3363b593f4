"""Logistic regression or ridge on plain features of every column."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from netwright.machine.quiet import without_warnings
from netwright.records.features import Matrix
from netwright.simple_models.wanted import RARE, Answer, Wanted

STRENGTHS = (0.1, 1.0, 10.0)  # inverse penalties tried on held-out rows: a tenfold step shows the difference
TRIED = 5_000  # rows to choose the penalty on: the best one shows long before the fit is final
HELD_OUT = 0.2  # share of these to score on
ITERATIONS = 100  # of the solver; a baseline that has not converged by then is close enough


def fit(
    x: Matrix, wanted: Wanted, seed: int = 0, *, strength: float | None = None, weights: str | None = None
) -> Answer | None:
    """A linear model with this inverse penalty; None chooses the best one on held-out rows.

    `weights` "balanced" counts all classes the same.
    """
    if not wanted.form:
        return None
    if one := wanted.of_one_class():
        return one
    return _fitted(x, wanted.values, wanted, _chosen(x, wanted) if strength is None else strength, weights)


def _chosen(x: Matrix, wanted: Wanted) -> float:
    """The best penalty on held-out rows, by the loss that models are fitted to."""
    rows = np.random.default_rng(0).permutation(len(wanted.values))[:TRIED]
    held = rows[: round(len(rows) * HELD_OUT)]
    kept = rows[len(held) :]
    if len(held) == 0:
        return 1.0
    answers = (_fitted(x[kept], wanted.values[kept], wanted, strength, None)(x[held]) for strength in STRENGTHS)
    return STRENGTHS[int(np.argmin([_loss(given, wanted.values[held]) for given in answers]))]


def _loss(given: Tensor, values: NDArray[Any]) -> float:
    targets = torch.from_numpy(values)
    if not targets.is_floating_point():
        return float(F.cross_entropy(given, targets))
    if targets.ndim == 2:
        return float(F.binary_cross_entropy_with_logits(given, targets.double()))
    return float(F.mse_loss(given[:, 0], targets.double()))


def _fitted(x: Matrix, values: NDArray[Any], wanted: Wanted, strength: float, weights: str | None) -> Answer:
    if wanted.form == "classes":
        return _of_classes(x, values, wanted.outputs, strength, weights)
    return _of_labels(x, values, strength) if wanted.form == "labels" else _of_numbers(x, values, strength)


def _of_classes(x: Matrix, values: NDArray[Any], outputs: int, strength: float, weights: str | None) -> Answer:
    """Log-probabilities, exact even if a float32 probability would round to 0."""
    seen = np.unique(values)
    if one := Wanted.classes(values, outputs).of_one_class():
        return one
    model = _logistic(x, values, strength, weights)

    def answer(x: Matrix) -> Tensor:
        logs = torch.full((x.shape[0], outputs), float(np.log(RARE)), dtype=torch.float64)
        given = torch.from_numpy(model.decision_function(x)).double()
        given = given if given.ndim == 2 else torch.stack([torch.zeros_like(given), given], dim=1)
        logs[:, torch.from_numpy(seen).long()] = given.log_softmax(1)
        return logs

    return answer


def _of_labels(x: Matrix, values: NDArray[Any], strength: float) -> Answer:
    """Log odds of each label; for a label that all rows or none have, the log odds of RARE."""
    models: list[Any] = [
        _logistic(x, column, strength) if 0 < column.sum() < len(column) else float(np.sign(column[0] - 0.5))
        for column in values.T
    ]
    sure = -np.log(RARE)

    def answer(x: Matrix) -> Tensor:
        each = [
            np.full(x.shape[0], model * sure) if isinstance(model, float) else model.decision_function(x)
            for model in models
        ]
        return torch.from_numpy(np.stack(each, axis=1))

    return answer


def _of_numbers(x: Matrix, values: NDArray[Any], strength: float) -> Answer:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1 / strength).fit(x, values.astype(np.float64))
    return lambda x: torch.from_numpy(np.asarray(model.predict(x), dtype=np.float64))[:, None]


def _logistic(x: Matrix, values: NDArray[Any], strength: float, weights: str | None = None) -> Any:  # scikit-learn's
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with without_warnings(ConvergenceWarning):  # ITERATIONS is a bound on time
        return LogisticRegression(C=strength, max_iter=ITERATIONS, class_weight=weights).fit(x, values)
