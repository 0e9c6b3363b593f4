"""Scores and answers of a network, which is left as it was."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import polars as pl
import torch
from torch import nn

from netwright.records.batch import Examples
from netwright.records.recipe import Recipe
from netwright.records.task import Score, Task
from netwright.training.objective import Arithmetic

# Rows answered at once: enough that the time goes into products, and their activations stay in a core's cache.
MOST_ROWS = 1024
BATCH_CELLS = 1 << 17  # of input: 167 pictures of 28 x 28; four times as many took 1.3 times as long (two cores)
ROW = "row"  # the column of row numbers in front of the answers


def evaluate(network: nn.Module, task: Task, examples: Examples, recipe: Recipe) -> Score:
    """The task's score over all examples: `.quick()` for a line, `.result()` with intervals.

    In the recipe's arithmetic, and in batches as large as training's.
    """
    score = task.score()
    with evaluating(network):
        runner = Arithmetic(network, recipe)
        for batch in examples.batches(recipe.batch_size, seed=None):
            batch = batch.to(device_of(network))
            score.add(runner(*batch.inputs), batch)
    return score


def predictions(network: nn.Module, task: Task, examples: Examples, recipe: Recipe) -> Iterator[pl.DataFrame]:
    """Answers batch by batch, so that memory stays bounded: the task's columns behind a column of row numbers.

    In the recipe's arithmetic, as the scores were measured.
    """
    runner, size = Arithmetic(network, recipe), recipe.batch_size
    if (first := next(examples.batches(size, seed=None), None)) is not None:
        size = max(size, min(MOST_ROWS, BATCH_CELLS // max(1, sum(x[0].numel() for x in first.inputs))))
    for batch in examples.batches(size, seed=None):
        with evaluating(network):  # for each batch: between two of them the caller has the network as it was
            answers = task.predict(runner, batch.to(device_of(network)))
        yield answers.insert_column(0, pl.Series(ROW, batch.rows.numpy(), dtype=pl.Int64))


@contextmanager
def evaluating(network: nn.Module) -> Generator[None]:
    """Evaluation mode without gradients; every module comes back in the mode it was in.

    Not `torch.inference_mode`: a module that keeps a tensor made here (a mask, a table of positions) could not train
    with it afterwards.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def device_of(network: nn.Module) -> torch.device:
    """Where the network stands; a network without parameters stands on the CPU."""
    return next((p.device for p in network.parameters()), torch.device("cpu"))
