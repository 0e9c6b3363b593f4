"""Answers of quick models for rows that they were not trained on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.examples import empty
from netwright.models.modes import evaluating
from netwright.records.batch import Examples, Rows, side_by_side
from netwright.records.features import Matrix
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.task import Labels, Task
from netwright.simple_models import kernel, linear, trees
from netwright.simple_models import wanted as simple
from netwright.simple_models.patches import patches
from netwright.simple_models.wanted import Wanted
from netwright.training.fit import fit

FOLDS = 5
FEW_FOLDS = 3  # for more than MANY rows: a model of two thirds is nearly as good as one of four fifths
MANY = 20_000
LEAST = 20  # rows: a model of four fifths of fewer says nothing
PASSED_ROWS = 120_000  # rows that the networks of all folds process together: one to two minutes on a core
MOST_EPOCHS = 30
MOST_ROWS = 30_000  # training rows of trees and linear models: all rows of a large table would take minutes
SMALL = 1_000  # rows of a table; below, a linear model judges better than trees
FLOOR = 1e-6  # of a probability: several thousand rows cannot show less
ANSWERED = 1024  # rows per batch
PLAIN = frozenset(("numbers", "dates", "labels"))  # families of the columns of a table

Answer = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Row numbers -> probabilities (N, K), or predictions (N,)."""
Fit = Callable[[NDArray[np.int64], int], Answer]
"""(rows to train on, seed) -> the function that answers."""


@final
@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Answers for every readable row, by a model that was not trained on it."""

    rows: NDArray[np.int64]  # their numbers in the data, ascending
    given: NDArray[Any]  # labels as positions in the task's, or targets in the task's units
    answers: NDArray[np.float64]  # (N, K) probabilities, or (N,) predictions in the task's units
    model: str  # for people: "boosted trees"


def out_of_fold(evidence: DataEvidence) -> OutOfFold:
    """Cross-validated answers for all rows of the data: training, validation and test.

    Labels of the test part are judged too; the answers are not used for any score. Raises Skip if there are too few
    rows, or no labels or numbers to predict.
    """
    prepared = evidence.prepared
    if prepared is None:
        raise Skip(evidence.problem or "the data could not be encoded")
    task = prepared.task
    view = task.view(prepared.whole.targets())
    if view is None or task.link not in ("softmax", "identity"):
        raise Skip(f"it judges single labels and numbers, and this is {task.describe()}")
    if (count := len(prepared.whole)) < LEAST:
        raise Skip(f"{count} rows are too few to train a model that judges the others")
    given = view.positions if isinstance(view, Labels) else view.scaled
    return cross_validated(prepared.schema, task, prepared.whole, given, seed=evidence.seed, tell=evidence.tell)


def cross_validated(
    schema: Schema, task: Task, data: Examples, given: NDArray[Any], *, seed: int, tell: Callable[[str], object]
) -> OutOfFold:
    """Answers for the rows of `data` by models of the other folds, with the `given` targets instead of its own."""
    rows = data.rows.numpy()
    folds = FOLDS if len(rows) <= MANY else FEW_FOLDS
    data = data.relabelled((torch.from_numpy(given),))
    name, train = quick_model(schema, task, data, folds)
    view = task.view(data.targets())
    is_class = isinstance(view, Labels)
    answers = np.empty((len(rows), len(view.names)) if isinstance(view, Labels) else len(rows))
    fold = _folds(given if is_class else None, len(rows), folds, seed)
    for number in range(folds):
        tell(f"quick model for labels: {name}, fold {number + 1} of {folds}")
        is_held = fold == number
        answers[is_held] = train(np.flatnonzero(~is_held), seed + number)(np.flatnonzero(is_held))
    if is_class:
        answers = np.maximum(answers, FLOOR)
        answers /= answers.sum(1, keepdims=True)
    return OutOfFold(rows, given, answers, name)


def _folds(classes: NDArray[np.int64] | None, count: int, folds: int, seed: int) -> NDArray[np.int64]:
    """A fold for each row; every fold has its share of each class."""
    order = np.random.default_rng(seed).permutation(count)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    fold = np.empty(count, np.int64)
    fold[order] = np.arange(count) % folds
    return fold


def quick_model(schema: Schema, task: Task, data: Examples, folds: int) -> tuple[str, Fit]:
    """A fast one: trees for tables, a linear model for words, symbols and small tables, a kernel for pictures, else a
    small network.

    The model takes examples by their positions.
    """
    families = {field.family for field in schema.inputs}
    is_table, targets, view = families <= PLAIN, data.targets()[0].numpy(), task.view(data.targets())
    wanted = Wanted.classes(targets, len(view.names)) if isinstance(view, Labels) else Wanted.numbers(targets)
    if families == {"pictures"}:
        rows = data.rows
        shown = [partial(_cells, data, rows, number) for number in range(len(schema.blocks))]
        x = np.concatenate([patches(column, len(rows)) for column in shown], axis=1)
        return "a kernel model of patches", partial(_kernel, wanted, x)
    if data.is_in_memory and families <= {*PLAIN, "text", "symbols"}:
        columns = [data.column(number) for number in range(len(schema.blocks))]
        if is_table and len(data) > SMALL:
            return "boosted trees", partial(_trees, wanted, _table(columns))
        return "a linear model", partial(_linear, wanted, schema, columns)
    return "a small network", partial(_network, schema, task, data, folds)


def _table(columns: list[Tensor]) -> NDArray[np.float32]:
    """Numbers as they are, missing ones NaN; categories as their frequency ranks."""
    return np.concatenate([c.reshape(len(c), -1).numpy() for c in columns], axis=1, dtype=np.float32)


def _trees(wanted: Wanted, table: NDArray[np.float32], rows: NDArray[np.int64], seed: int) -> Answer:
    rows = _some(rows, MOST_ROWS, seed)
    answer = trees.fit(table[rows], replace(wanted, values=wanted.values[rows]), seed)
    return lambda held: _as_answers(answer, table[held])


def _linear(wanted: Wanted, schema: Schema, columns: list[Tensor], rows: NDArray[np.int64], seed: int) -> Answer:
    rows = _some(rows, MOST_ROWS, seed)
    shown = [column[rows] for column in columns]
    read = schema.features(shown)
    answer = linear.fit(read(shown), replace(wanted, values=wanted.values[rows]), strength=1.0)
    return lambda held: _as_answers(answer, read([column[held] for column in columns]))


def _cells(data: Examples, rows: Tensor, block: int, positions: Tensor) -> Tensor:
    return data.column(block, rows[positions])


def _kernel(wanted: Wanted, x: NDArray[np.float32], rows: NDArray[np.int64], seed: int) -> Answer:
    rows = _some(rows, MOST_ROWS, seed)
    answer = kernel.fit(x[rows], replace(wanted, values=wanted.values[rows]), seed)
    return lambda held: _as_answers(answer, x[held])


def _as_answers(answer: simple.Answer | None, x: Matrix) -> NDArray[np.float64]:
    """Probabilities, or predictions."""
    if answer is None:
        raise Skip("there is no quick model for such targets")
    given = answer(x)
    return given.exp().numpy() if given.shape[1] > 1 else given[:, 0].numpy()


def _network(schema: Schema, task: Task, data: Examples, folds: int, rows: NDArray[np.int64], seed: int) -> Answer:
    """The task's own network, small and trained for a few epochs."""
    rows = _some(rows, PASSED_ROWS // folds, seed)
    recipe = _recipe(schema, len(rows), folds).edit({"seed": seed})
    build = partial(task.network, schema, recipe)
    train = data.part(torch.from_numpy(np.sort(rows)))
    run = Run(build(), task, schema, recipe, train, empty(), empty(), build)
    trained = _outcome(fit(run))
    is_class = task.link == "softmax"

    def answer(held: NDArray[np.int64]) -> NDArray[np.float64]:
        given = Rows()
        for batch in data.part(torch.from_numpy(held)).batches(ANSWERED, seed=None):
            with evaluating(trained.network):
                outputs = side_by_side(task.answers(task.forward(trained.network, batch)))
            given.add((outputs.double().softmax(1) if is_class else outputs[:, 0].double(),))
        return given.joined()[0].numpy()

    return answer


def _outcome(events: Any) -> Run:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def _recipe(schema: Schema, rows: int, folds: int) -> Recipe:
    """Small networks for as many epochs as PASSED_ROWS allow."""
    signals = [block.stem(Recipe())[1] for block in schema.blocks]
    shared: dict[str, object] = {"keep": "last", "schedule": "triangular", "lr": 3e-3, "beta2": 0.99}
    epochs = max(1, min(MOST_EPOCHS, round(PASSED_ROWS / (rows * folds))))
    if any(signal.form == "map" for signal in signals):
        size: dict[str, object] = {"width": 8, "depth": 1, "batch_size": 128, "lr": 1e-2, "weight_decay": 0.05}
    else:
        size = {"width": 64, "depth": 2, "batch_size": 64, "dropout": 0.2}
    return Recipe().edit(shared | size | {"epochs": epochs})


def _some(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    return rows if len(rows) <= most else np.random.default_rng(seed).choice(rows, most, replace=False)
