"""Logistic regression or ridge on plain features of every column."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from netwright.baselines.constant import batch_rows
from netwright.data.features import Matrix, features
from netwright.machine.quiet import without_warnings
from netwright.records.batch import Examples, Rows
from netwright.records.schema import Schema
from netwright.records.task import Scores, Task

MOST_ROWS = 20_000  # training rows used: seconds on one core
MOST_CELLS = 20_000_000  # rows x encoded cells: 80 MB, and seconds
STRENGTHS = (0.1, 1.0, 10.0)  # inverse penalties tried on held-out rows: a tenfold step shows the difference
TRIED = 5_000  # rows on which the penalty is chosen: which is best shows long before the fit is final
HELD_OUT = 0.2  # share of these that answers are measured on
ITERATIONS = 100  # of the solver; a baseline that has not settled by then is near enough
RARE = 1e-4  # probability of a class that the used rows lack

Answer = Callable[[Matrix], NDArray[np.float64]]
Fit = Callable[[Matrix, NDArray[Any], int, float], Answer]
"""(features, targets, outputs of the task, inverse penalty) -> what answers with the task's outputs, (N, outputs)."""


def linear(schema: Schema, task: Task, train: Examples, test: Examples) -> Scores | None:
    """Scores of a linear model of the encoded columns, its penalty chosen on held-out training rows.

    The features are those of `data.features`. At most MOST_ROWS training rows.
    None for tasks whose targets are neither labels (B,), several labels (B, L), nor numbers (B,).
    """
    inputs, targets = _gather(train)
    fit = _fit_for(targets)
    if fit is None:
        return None
    read = features(schema, inputs)
    table = read(inputs)
    constant = task.constant(targets)
    if not isinstance(constant, Tensor):
        return None
    answer = _chosen(fit, table, targets[0].numpy(), constant.shape[-1])
    score = task.score()
    for batch in test.uncut().batches(batch_rows(test), seed=None):
        score.add(torch.from_numpy(answer(read(batch.inputs))).float(), batch)
    return score.result(test.groups)


def _gather(train: Examples) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Inputs and targets of at most MOST_ROWS rows, drawn by a fixed seed; fewer where rows are large."""
    first = next(train.uncut().batches(1, seed=None)).inputs
    most = max(1, min(MOST_ROWS, MOST_CELLS // sum(x.numel() for x in first)))
    chosen = np.zeros(len(train), dtype=np.bool_)
    chosen[np.random.default_rng(0).permutation(len(train))[:most]] = True
    inputs, targets, start = Rows(), Rows(), 0
    for batch in train.uncut().batches(batch_rows(train), seed=None):
        rows = torch.from_numpy(chosen[start : start + len(batch)])
        inputs.add(tuple(x[rows] for x in batch.inputs))
        targets.add(tuple(t[rows] for t in batch.targets))
        start += len(batch)
    return inputs.joined(), targets.joined()


def _fit_for(targets: tuple[Tensor, ...]) -> Fit | None:
    if len(targets) != 1:
        return None
    if targets[0].is_floating_point():
        return {1: _fit_numbers, 2: _fit_labels}.get(targets[0].ndim)
    return _fit_classes if targets[0].ndim == 1 else None


def _chosen(fit: Fit, table: Matrix, targets: NDArray[Any], outputs: int) -> Answer:
    """The model of all rows with the penalty that answers held-out rows best, in the loss that it is fitted by."""
    rows = np.random.default_rng(0).permutation(len(targets))[:TRIED]
    held = rows[: round(len(rows) * HELD_OUT)]
    fitted = rows[len(held) :]
    if len(held) == 0:
        return fit(table, targets, outputs, 1.0)
    losses = [
        _loss(fit(table[fitted], targets[fitted], outputs, strength)(table[held]), targets[held])
        for strength in STRENGTHS
    ]
    return fit(table, targets, outputs, STRENGTHS[int(np.argmin(losses))])


def _loss(outputs: NDArray[np.float64], targets: NDArray[Any]) -> float:
    given, wanted = torch.from_numpy(outputs), torch.from_numpy(targets)
    if not wanted.is_floating_point():
        return float(F.cross_entropy(given, wanted))
    if wanted.ndim == 2:
        return float(F.binary_cross_entropy_with_logits(given, wanted.double()))
    return float(F.mse_loss(given[:, 0], wanted.double()))


def _fit_classes(table: Matrix, targets: NDArray[Any], outputs: int, strength: float) -> Answer:
    """Log-probabilities, which are logits too."""
    seen = np.unique(targets)
    floor = np.log(RARE)
    if len(seen) == 1:
        only = np.full((1, outputs), floor)
        only[0, seen[0]] = 0.0
        return lambda x: np.repeat(only, x.shape[0], axis=0)
    model = _logistic(table, targets, strength)

    def answer(x: Matrix) -> NDArray[np.float64]:
        logs = np.full((x.shape[0], outputs), floor)
        given = torch.from_numpy(model.decision_function(x)).double()
        given = given if given.ndim == 2 else torch.stack([torch.zeros_like(given), given], dim=1)
        logs[:, seen] = given.log_softmax(1).numpy()  # exact where a float32 probability is rounded to 0
        return logs

    return answer


def _fit_labels(table: Matrix, targets: NDArray[Any], outputs: int, strength: float) -> Answer:
    """Log odds of each label; of one that all rows or none have, the log odds of RARE."""
    models: list[Any] = [
        _logistic(table, column, strength) if 0 < column.sum() < len(column) else float(np.sign(column[0] - 0.5))
        for column in targets.T
    ]
    sure = -np.log(RARE)

    def answer(x: Matrix) -> NDArray[np.float64]:
        each = [
            np.full(x.shape[0], model * sure) if isinstance(model, float) else model.decision_function(x)
            for model in models
        ]
        return np.stack(each, axis=1)

    return answer


def _fit_numbers(table: Matrix, targets: NDArray[Any], outputs: int, strength: float) -> Answer:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1 / strength).fit(table, targets.astype(np.float64))
    return lambda x: np.asarray(model.predict(x), dtype=np.float64)[:, None]


def _logistic(table: Matrix, targets: NDArray[Any], strength: float) -> Any:  # Any: scikit-learn has no types
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with without_warnings(ConvergenceWarning):  # ITERATIONS is a bound on time
        return LogisticRegression(C=strength, max_iter=ITERATIONS).fit(table, targets)
