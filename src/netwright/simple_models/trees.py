"""Boosted trees: the baseline to beat on tables. They accept missing values."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netwright.records.features import Matrix, dense
from netwright.simple_models.wanted import RARE, Answer, Wanted, log_chances

FEW_ROWS = 5_000  # below, smaller and slower trees are better on average (11 tables of 140 to 6,000 rows, 3 folds)
WORK = 250_000_000  # cells of rows and of histograms that all trees read: two to three seconds of one core
ROUNDS, LEAST_ROUNDS = 100, 20
LEAST_ROWS = 1_000  # to learn from, however many columns and classes
FASTEST = 0.3  # rate of the fewest rounds
WIDE = 1_000  # columns x trees of a round: histograms of 255 bins would then cost more than the rows
BINS, OF_WIDE = 255, 63


def bounded(x: Matrix, wanted: Wanted, seed: int = 0) -> Answer | None:
    """As many rounds as WORK allows, and as many rows as it allows for LEAST_ROUNDS; the fewer, the faster they learn.

    Nothing is measured: the same rows give the same trees on every machine.
    """
    trees = 1 if wanted.form == "numbers" or wanted.outputs == 2 else max(1, wanted.outputs)
    columns = max(1, x.shape[1]) * trees
    bins = OF_WIDE if columns > WIDE else BINS
    leaves, rate, penalty = (15, 0.05, 1.0) if x.shape[0] < FEW_ROWS else (31, 0.1, 0.0)
    most = max(LEAST_ROWS, WORK // (columns * LEAST_ROUNDS) - leaves * bins)
    if wanted.form and x.shape[0] > most:
        chosen = np.linspace(0, x.shape[0] - 1, most).astype(np.int64)
        x, wanted = x[chosen], replace(wanted, values=wanted.values[chosen])
    rounds = int(np.clip(WORK // (columns * (x.shape[0] + leaves * bins)), LEAST_ROUNDS, ROUNDS))
    rate = min(FASTEST, rate * ROUNDS / rounds)
    return fit(x, wanted, seed, rounds=rounds, leaves=leaves, bins=bins, rate=rate, penalty=penalty)


def fit(
    x: Matrix, wanted: Wanted, seed: int = 0, *, rounds: int = 80, leaves: int = 15, bins: int = 255, least: int = 20,
    rate: float = 0.1, penalty: float = 0.0,
) -> Answer | None:  # fmt: skip
    """`rounds` of trees with up to `leaves` leaves of `least` rows or more; values are first sorted into `bins`.

    Each tree counts by its `rate`; the `penalty` is on the squares of leaves.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    def learned(kind: Any, values: NDArray[Any]) -> Any:  # Any: scikit-learn has no types
        model = kind(
            max_iter=rounds, max_leaf_nodes=leaves, max_bins=bins, min_samples_leaf=least, early_stopping=False,
            random_state=seed, learning_rate=rate, l2_regularization=penalty,
        )  # fmt: skip
        return model.fit(dense(x), values)

    if not wanted.form:
        return None
    if one := wanted.of_one_class():
        return one
    if wanted.form == "numbers":
        model = learned(HistGradientBoostingRegressor, wanted.values)
        return lambda x: torch.from_numpy(model.predict(dense(x)))[:, None]
    if wanted.form == "classes":
        model = learned(HistGradientBoostingClassifier, wanted.values)
        return lambda x: log_chances(model.predict_proba(dense(x)), model.classes_, wanted.outputs)
    models = [
        learned(HistGradientBoostingClassifier, column) if 0 < column.sum() < len(column) else column[0]
        for column in wanted.values.T
    ]
    return lambda x: torch.from_numpy(np.stack([_log_odds(model, dense(x)) for model in models], axis=1))


def _log_odds(model: Any, x: NDArray[Any]) -> NDArray[np.float64]:
    """For a label that all rows or none have, those of RARE."""
    if hasattr(model, "decision_function"):
        return model.decision_function(x)
    return np.full(len(x), np.log(RARE) if model < 0.5 else -np.log(RARE))
