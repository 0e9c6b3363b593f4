"""Boosted trees: the baseline to beat on tables. They accept missing values."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netwright.records.features import Matrix, dense
from netwright.simple_models.wanted import RARE, Answer, Wanted, log_chances


def fit(
    x: Matrix, wanted: Wanted, seed: int = 0, *, rounds: int = 80, leaves: int = 15, bins: int = 255, least: int = 20
) -> Answer | None:
    """`rounds` of trees with up to `leaves` leaves of `least` rows or more; values are first sorted into `bins`."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    def learned(kind: Any, values: NDArray[Any]) -> Any:  # Any: scikit-learn has no types
        model = kind(
            max_iter=rounds, max_leaf_nodes=leaves, max_bins=bins, min_samples_leaf=least, early_stopping=False,
            random_state=seed,
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
