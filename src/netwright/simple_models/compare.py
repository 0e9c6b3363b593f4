"""Scores of simple models on the test rows that a network is scored on."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from netwright.machine.threads import one_thread
from netwright.records.batch import Batch, Examples, Outputs
from netwright.records.features import ALL, Matrix
from netwright.records.nested import each_tensor
from netwright.records.schema import Schema
from netwright.records.task import Score, Scores, Task
from netwright.resolve import resolve
from netwright.simple_models import OF_FEW_COLUMNS, OF_SHAPES, SIMPLE_MODELS
from netwright.simple_models.wanted import Answer, Fit, Wanted

Features = Callable[[Sequence[Tensor]], Matrix]

ROWS = 1024  # in a batch, fewer if rows are large
BATCH_CELLS = 1_000_000  # encoded cells in a batch: encoding and features make copies, some in float64
MOST_ROWS = 20_000  # training rows used: seconds on one core
MOST_CELLS = 20_000_000  # rows x encoded cells: 80 MB, and seconds
MOST_COLUMNS = 256  # of a picture or a text for models of few columns: a second or two for thousands of rows


def named(names: Sequence[str]) -> dict[str, Fit]:
    """Simple models by names of SIMPLE_MODELS or import paths."""
    return {name: resolve("simple model", name, SIMPLE_MODELS) for name in names}


def models_of(task: Task, schema: Schema) -> dict[str, Fit]:
    """The simple models that a task names, for inputs of these kinds."""
    has_shapes = any(field.family in ("pictures", "steps") for field in schema.inputs)
    return named([name for name in task.simple_models() if has_shapes or name not in OF_SHAPES])


def compare(
    models: Mapping[str, Fit],
    schema: Schema,
    task: Task,
    train: Examples,
    test: Examples,
    network: Score | None = None,
) -> tuple[tuple[tuple[str, Scores], ...], tuple[str, ...]]:
    """The scores of the models that suit the task, and a note about each that failed.

    They learn from at most MOST_ROWS training rows, the constant from all. With the network's score on the same rows,
    each says by how much the network is better.
    """
    wanted, inputs, features = Wanted.of(task, train.targets()), tuple[Tensor, ...](), dict[bool, Features]()
    if wanted.form:
        inputs, targets = _drawn(train)
        wanted = replace(wanted, values=targets[0].numpy())
        widths = {name in OF_FEW_COLUMNS for name in models}
        features = {few: schema.features(inputs, MOST_COLUMNS if few else ALL) for few in widths}
    failed, answers, scores = dict[str, Exception](), dict[str, Answer](), dict[str, Score]()
    with one_thread():
        learned = {few: read(inputs) for few, read in features.items()}
        for name, fit in models.items():
            with _noted(failed, name):
                if (answer := fit(learned.get(name in OF_FEW_COLUMNS, np.empty((0, 0))), wanted, 0)) is not None:
                    answers[name], scores[name] = answer, task.score()
        rules = dict[str, Callable[[Batch], Outputs]]()
        with _noted(failed, "own"):
            rules = {name: rule for name, rule in task.rules(train).items()}
        scores |= {name: task.score() for name in rules}
        for batch in test.uncut().batches(_batch_rows(test), seed=None):
            for name in [name for name in rules if name not in failed]:
                with _noted(failed, name):
                    scores[name].add(rules[name](batch), batch)
            columns = {few: read(batch.inputs) for few, read in features.items()}
            for name in [name for name in answers if name not in failed]:
                with _noted(failed, name):
                    shown = columns.get(name in OF_FEW_COLUMNS, np.empty((len(batch), 0)))
                    scores[name].add(each_tensor(answers[name](shown), Tensor.float), batch)
    found = tuple((name, _result(score, network, test)) for name, score in scores.items() if name not in failed)
    notes = (f"the {name} model failed: {type(e).__name__}: {e}" for name, e in failed.items())
    return found, tuple(notes)


def _result(score: Score, network: Score | None, test: Examples) -> Scores:
    found = score.result(test.groups)
    return found if network is None else replace(found, lead=network.lead(score, found.metrics[0].name, test.groups))


@contextmanager
def _noted(failed: dict[str, Exception], name: str) -> Generator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  a failed baseline must not lose a finished training
        failed[name] = error


def _drawn(train: Examples) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Inputs and targets of at most MOST_ROWS rows, drawn by a fixed seed; fewer if rows are large."""
    first = next(train.uncut().batches(1, seed=None)).inputs
    most = max(1, min(MOST_ROWS, MOST_CELLS // sum(x.numel() for x in first)))
    chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:most])
    batch = train.plain().uncut().take(train.rows[torch.from_numpy(chosen)])
    return batch.inputs, batch.targets


def _batch_rows(examples: Examples) -> int:
    """Rows in a batch of a few megabytes."""
    first = next(examples.uncut().batches(1, seed=None)).inputs
    return max(1, min(ROWS, BATCH_CELLS // max(1, sum(x.numel() for x in first))))
