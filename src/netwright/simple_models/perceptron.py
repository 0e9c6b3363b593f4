"""One hidden layer, a few passes: a small network for images, words and steps in a second or two."""

from typing import Any

import numpy as np
import torch

from netwright.machine.quiet import without_warnings
from netwright.records.features import Matrix, dense
from netwright.simple_models.wanted import Answer, Wanted, log_chances

SETTINGS = {"hidden_layer_sizes": (64,), "batch_size": 64, "max_iter": 12, "learning_rate_init": 2e-3}


def fit(x: Matrix, wanted: Wanted, seed: int = 0) -> Answer | None:
    """Columns are scaled first."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if wanted.form not in ("classes", "numbers"):
        return None
    if one := wanted.of_one_class():
        return one
    settings: dict[str, Any] = SETTINGS | {"random_state": seed}
    network = MLPClassifier(**settings) if wanted.form == "classes" else MLPRegressor(**settings)
    with without_warnings():  # about convergence: the number of passes is a budget
        model: Any = make_pipeline(StandardScaler(), network).fit(dense(x), wanted.values)
    if wanted.form == "classes":
        return lambda x: log_chances(model.predict_proba(dense(x)), model.classes_, wanted.outputs)
    return lambda x: torch.from_numpy(np.asarray(model.predict(dense(x)), np.float64))[:, None]
