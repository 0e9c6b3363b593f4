"""The average target of the most similar rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netwright.records.features import Matrix
from netwright.simple_models.wanted import Answer, Wanted, log_chances

COUNT = 15  # neighbors
MOST_ROWS = 5_000  # to look among: ten thousand new pictures then take a few seconds
UNSEEN = 1e-3  # probability of a class that no neighbor has


def fit(x: Matrix, wanted: Wanted, seed: int = 0) -> Answer | None:
    """For columns on one scale."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    if wanted.form not in ("classes", "numbers"):
        return None
    if one := wanted.of_one_class():
        return one
    if x.shape[0] > MOST_ROWS:
        chosen = np.linspace(0, x.shape[0] - 1, MOST_ROWS).astype(np.int64)
        x, wanted = x[chosen], replace(wanted, values=wanted.values[chosen])
    count = min(COUNT, x.shape[0])
    if wanted.form == "classes":
        model: Any = KNeighborsClassifier(count).fit(x, wanted.values)
        return lambda x: log_chances(model.predict_proba(x), model.classes_, wanted.outputs, UNSEEN)
    nearest: Any = KNeighborsRegressor(count).fit(x, wanted.values)
    return lambda x: torch.from_numpy(_column(nearest.predict(x)))


def _column(values: Any) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)[:, None]
