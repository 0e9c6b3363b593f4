"""The contract of a simple model."""

import numpy as np
import polars as pl
import torch

from netwright.data.examples import InMemory
from netwright.kinds.number import Number
from netwright.records.batch import Examples
from netwright.records.schema import Schema
from netwright.records.task import Scores, Task, expanded
from netwright.simple_models.compare import compare
from netwright.simple_models.wanted import Fit
from netwright.tasks.classification import Classification
from netwright.tasks.multilabel import Multilabel
from netwright.tasks.regression import Regression

ROWS = 400


def check_simple_model(fit: Fit) -> None:
    """Runs the whole contract of a simple model on numeric inputs; targets are labels, several labels and numbers.

    Raises AssertionError with a sentence that says what is broken.
    """
    answered = [check_scores(fit, task) for task in (Classification, Multilabel, Regression)]
    _claim(any(answered), "it answers labels, several labels or numbers")
    for task, is_answered in zip((Classification, Multilabel, Regression), answered, strict=True):
        if is_answered:
            check_honesty(fit, task)


def check_scores(fit: Fit, task: type[Task]) -> bool:
    """The task's own metrics over all test rows, the same each time; False if it does not support the task."""
    data = _data(task, is_noise=False)
    scores = _scores(fit, data)
    if scores is None:
        return False
    _claim(scores == _scores(fit, data), f"{task.name}: the scores are the same each time")
    _claim(scores.count == len(data[3]), f"{task.name}: every test row counts")
    _claim(scores.metrics[0].name == task.metric, f"{task.name}: the metrics are the task's")
    return True


def check_honesty(fit: Fit, task: type[Task]) -> None:
    """If targets do not depend on the inputs, it is no better than the best constant answer on the test rows."""
    data = _data(task, is_noise=True)
    _, learned, _, test = data
    scores = _scores(fit, data)
    batch = next(test.batches(ROWS, seed=None))
    ideal = learned.score()
    constant = learned.constant(batch.targets)
    if constant is None:
        return
    ideal.add(expanded(constant, len(batch)), batch)
    best = ideal.quick()[task.metric]
    _claim(
        scores is not None and scores[task.metric].high >= best,
        f"{task.name}: on noise, {task.metric} is not better than the {best:g} of the best constant",
    )


def _scores(fit: Fit, data: tuple[Schema, Task, Examples, Examples]) -> Scores | None:
    found, failed = compare({"model": fit}, *data)
    _claim(not failed, "; ".join(failed))
    return found[0][1] if found else None


def _data(task: type[Task], *, is_noise: bool) -> tuple[Schema, Task, Examples, Examples]:
    """Targets that are linear in the inputs, or pure noise; the second half is the test part."""
    generator = np.random.default_rng(0)
    inputs = pl.DataFrame(generator.normal(size=(ROWS, 4)), schema=["a", "b", "c", "d"])
    sums = generator.normal(size=ROWS) if is_noise else inputs.sum_horizontal().to_numpy()
    cells = {
        "classification": pl.DataFrame({"y": np.where(sums > 0, "high", "low")}),
        "multilabel": pl.DataFrame({"high": (sums > 1).astype(int), "low": (sums < -1).astype(int)}),
        "regression": pl.DataFrame({"y": sums}),
    }[task.name]
    train, test = torch.arange(ROWS // 2), torch.arange(ROWS // 2, ROWS)
    schema = Schema(tuple(Number.learn(column.name, column) for column in inputs[: ROWS // 2]))
    learned = task.learn(cells[: ROWS // 2], schema)
    encoded, targets = schema.encode(inputs), learned.encode(cells)
    parts = [InMemory(encoded, targets, rows, "row {}".format) for rows in (train, test)]
    return schema, learned, parts[0], parts[1]


def _claim(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
