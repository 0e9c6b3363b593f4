"""Scores and answers of a network, which stays unchanged."""

from collections.abc import Iterator
from typing import final

import polars as pl
import torch
from torch import Tensor, nn

from netwright.machine.arithmetic import Arithmetic
from netwright.models.modes import device_of, evaluating
from netwright.records.batch import Examples
from netwright.records.recipe import Recipe
from netwright.records.task import ROW, Score, Task

# Rows in a forward pass: enough to spend the time in products, few enough for activations to stay in a core's cache.
MOST_ROWS = 1024
BATCH_CELLS = 1 << 17  # of input: 167 pictures of 28 x 28; four times as many took 1.3 times as long (two cores)
# Rows in a frame of answers: a frame for each pass of a small network would cost a good part of the pass.
MOST_JOINED = 65_536
JOINED_CELLS = 1 << 21  # of inputs or outputs: 8 MB
WORTH_A_LOOK = 8  # forward passes; with more, an extra one to see the size of the outputs costs little


def evaluate(network: nn.Module, task: Task, examples: Examples, recipe: Recipe, score: Score | None = None) -> Score:
    """The task's score over all examples: `.quick()` for progress lines, `.result()` with intervals.

    In the recipe's arithmetic and batch size. If a `score` is given, it gets these examples too.
    """
    score = task.score() if score is None else score
    with evaluating(network):
        runner = Arithmetic(network, recipe)
        for batch in examples.batches(recipe.batch_size, seed=None):
            batch = batch.to(device_of(network))
            score.add(task.forward(runner, batch), batch)
    return score


def predictions(network: nn.Module, task: Task, examples: Examples, recipe: Recipe) -> Iterator[pl.DataFrame]:
    """Answers a few rows at a time, to bound memory: a column of row numbers, then the task's columns.

    In the recipe's arithmetic, as the scores were measured.
    """
    examples = examples.uncut()  # the window of a language model is as long as the longest row
    runner, size = _runner(network, task, examples, recipe)
    for batch in examples.batches(size, seed=None):
        with evaluating(network):  # per batch: between two batches the caller sees the network unchanged
            answers = task.predict(runner, batch.to(device_of(network)))
        if ROW not in answers.columns:  # otherwise the task gives several rows per example, and says whose they are
            answers = answers.with_columns(pl.Series(ROW, batch.rows.numpy(), dtype=pl.Int64))
        yield answers.select(ROW, pl.exclude(ROW))


def _runner(network: nn.Module, task: Task, examples: Examples, recipe: Recipe) -> tuple[nn.Module, int]:
    """The network in the recipe's arithmetic, and how many rows to answer at once.

    Passes are joined if there are many and each row gives one vector: per-step answers differ in length by pass.
    """
    runner, size = Arithmetic(network, recipe), recipe.batch_size
    if (first := next(examples.batches(size, seed=None), None)) is None:
        return runner, size
    cells = max(1, sum(x[0].numel() for x in first.inputs))
    size = max(size, min(MOST_ROWS, BATCH_CELLS // cells))
    joined = min(MOST_JOINED, JOINED_CELLS // cells)
    if joined <= size or len(examples) <= WORTH_A_LOOK * size or first.convention is not None:
        return runner, size
    with evaluating(network):
        outputs = task.forward(runner, first.to(device_of(network)))
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        return runner, size
    joined = min(joined, JOINED_CELLS // max(1, outputs.shape[1]))
    return (_InPieces(runner, size), joined) if joined > size else (runner, size)


@final
class _InPieces(nn.Module):
    """A network that processes its inputs a few rows at a time and returns all outputs."""

    def __init__(self, network: nn.Module, rows: int) -> None:
        super().__init__()
        self.network, self.rows = network, rows

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """The network's outputs; a task's own questions have a row for each of the inputs' too."""
        pieces = zip(*(x.split(self.rows) for x in (*inputs, *named.values())), strict=True)
        count = len(inputs)
        parts = ((piece[:count], dict(zip(named, piece[count:], strict=True))) for piece in pieces)
        return torch.cat([self.network(*some, **asked) for some, asked in parts])
