"""The contract of a task."""

from dataclasses import is_dataclass, replace
from math import isnan
from typing import final

import polars as pl
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import ROW, Labels, Numbers, Scores, Task

STEPS = 30  # of Adam: enough for any network to fit a few rows better than initially
CLOSE = 1e-4  # between two ways to sum float32 losses of a few thousand terms


def check_task(task: type[Task], cells: pl.DataFrame, table: pl.DataFrame, schema: Schema, recipe: Recipe) -> None:
    """Runs the whole contract of a task on target cells and a table of inputs with as many rows, 16 or more.

    Raises AssertionError with a sentence that says what is broken.
    """
    _claim(task.matches(cells) or task.cuts_rows, f"{task.name} matches its own target cells")
    learned = task.learn(cells, schema)
    targets = learned.encode(cells)
    _claim(all(len(t) == table.height for t in targets), f"{task.name}: as many targets as rows")
    batch = Batch(schema.encode(table), targets, torch.arange(table.height))
    network = learned.network(schema, recipe)
    check_json(learned)
    check_losses(learned, network, batch)
    check_chance(learned, batch)
    check_score(learned, network, batch)
    check_predictions(learned, network, batch)
    check_capabilities(learned, network, batch)
    check_learning(learned, network, batch)


def check_json(task: Task) -> None:
    """The task survives JSON, and describes itself on one line."""
    adapter = TypeAdapter(type(task))
    _claim(adapter.validate_json(adapter.dump_json(task)) == task, f"{task.name} survives JSON")
    _claim(bool(task.describe()) and "\n" not in task.describe(), f"{task.name} describes itself on one line")


def check_losses(task: Task, network: nn.Module, batch: Batch) -> None:
    """One loss per example: finite, not negative, with a gradient, and the same alone as in the batch."""
    network.eval()
    losses = task.losses(network, batch)
    _claim(losses.shape == (len(batch),), f"{task.name}: losses are (B,), not {tuple(losses.shape)}")
    _claim(bool((losses.isfinite() & (losses >= 0)).all()), f"{task.name}: losses are finite and not negative")
    _claim(losses.requires_grad, f"{task.name}: losses have a gradient")
    for row in range(3):
        alone = task.losses(network, _rows(batch, [row]))
        _claim(torch.allclose(alone[0], losses[row], rtol=CLOSE), f"{task.name}: the loss of row {row} is its own")


def check_chance(task: Task, batch: Batch) -> None:
    """chance_loss is the loss of the constant answer, and no other constant is better.

    A task without targets cannot know the best constant: only the first half is checked. Without a constant answer
    there is nothing to check.
    """
    answer, chance = task.constant(batch.targets), task.chance_loss(batch.targets)
    if not isinstance(answer, Tensor):
        _claim(answer is not None or isnan(chance), f"{task.name}: without a constant answer, chance_loss is NaN")
        return
    _claim(len(answer) == 1, f"{task.name}: the constant answer is for one example")
    cost = _mean_loss(task, _Constant(answer), batch)
    _claim(abs(chance - cost) <= CLOSE * max(1.0, cost), f"{task.name}: chance is {chance:g}, the constant {cost:g}")
    if not batch.targets:
        return
    other = _Constant(answer + 0.1)
    _train(task, other, batch, 300, lr=0.05)
    best = _mean_loss(task, other, batch)
    _claim(best >= chance - 1e-3, f"{task.name}: a constant costs {best:g}, less than chance, {chance:g}")


def check_score(task: Task, network: nn.Module, batch: Batch) -> None:
    """Metrics do not depend on how rows are batched, are within their intervals, and are the same each time."""
    network.eval()
    whole, cut = (
        _scored(task, network, [batch]),
        _scored(task, network, [_rows(batch, [0]), _rows(batch, range(1, len(batch)))]),
    )
    _claim({"loss", task.metric} <= set(whole[0]), f"{task.name}: quick() reports the loss and {task.metric}")
    loss = _mean_loss(task, network, batch)
    _claim(abs(whole[0]["loss"] - loss) <= CLOSE * max(1.0, loss), f"{task.name}: quick()'s loss is the mean loss")
    for name, value in whole[0].items():
        _claim(abs(value - cut[0][name]) <= CLOSE * max(1.0, abs(value)), f"{task.name}: {name} depends on the batches")
    _claim(whole[1] == _scored(task, network, [batch])[1], f"{task.name}: scores are the same each time")
    first = whole[1].metrics[0]
    _claim(first.name == task.metric, f"{task.name}: the first metric is {task.metric}, which training watches")
    _claim(first.higher_is_better == task.higher_is_better, f"{task.name}: {first.name} knows its direction")
    _claim(whole[1].count == len(batch), f"{task.name}: the score counts its examples")
    for metric in whole[1].metrics:
        _claim(metric.low <= metric.value <= metric.high, f"{task.name}: {metric} is within its interval")


def check_predictions(task: Task, network: nn.Module, batch: Batch) -> None:
    """One row of answers per example, the same each time, and the network stays unchanged."""
    network.train()
    answers = task.predict(network, batch)
    _claim(network.training, f"{task.name}: predicting leaves the network in training mode")
    rows = answers[ROW] if ROW in answers.columns else pl.Series(batch.rows.numpy())
    _claim(answers.height == len(rows), f"{task.name}: as many answers as examples, or {ROW!r} says whose they are")
    _claim(rows.is_in(batch.rows.tolist()).all(), f"{task.name}: answers are of the batch's rows")
    _claim(sum(answers.null_count().row(0)) == 0, f"{task.name}: no answer is missing")
    _claim(answers.equals(task.predict(network, batch)), f"{task.name}: the same answers each time")


def check_capabilities(task: Task, network: nn.Module, batch: Batch) -> None:
    """What a task declares fits its targets, outputs and answers."""
    view, rows = task.view(batch.targets), len(batch)
    outputs = task.answers(task.forward(network, batch))
    if task.link:
        flat = isinstance(outputs, Tensor) and outputs.ndim == 2 and len(outputs) == rows
        _claim(flat, f"{task.name}: with a link, outputs are (B, width)")
    if isinstance(view, Labels):
        _claim(view.positions.shape == (rows,), f"{task.name}: a label for each example")
        _claim(len(view.counts) in (0, len(view.names)), f"{task.name}: counts of all labels or of none")
        wanted = {"prediction", "probability", *(f"p_{name}" for name in view.names)}
        _claim(wanted <= set(task.predict(network, batch).columns), f"{task.name}: predict gives {wanted}")
    if isinstance(view, Numbers):
        _claim(view.values.shape == view.scaled.shape == (rows,), f"{task.name}: a number for each example")
        _claim("prediction" in task.predict(network, batch).columns, f"{task.name}: predict gives a prediction")
    Recipe().edit(task.defaults(Schema(()), rows))
    _claim(is_dataclass(task.options) and task.options() == task.options(), f"{task.name}: options have defaults")
    has_own = type(task).rules is not Task.rules
    _claim(bool(task.simple_models()) or has_own, f"{task.name}: there are simple models to compare with")


def check_learning(task: Task, network: nn.Module, batch: Batch) -> None:
    """A few steps of training lower the loss."""
    network.eval()  # without dropout, so that both losses are of the same network
    before = _mean_loss(task, network, batch)
    _train(task, network, batch, STEPS, lr=1e-2)
    after = _mean_loss(task, network, batch)
    _claim(after < before, f"{task.name}: the loss falls in training, from {before:g} to {after:g}")


def _scored(task: Task, network: nn.Module, batches: list[Batch]) -> tuple[dict[str, float], Scores]:
    score = task.score()
    with torch.no_grad():
        for batch in batches:
            score.add(task.forward(network, batch), batch)
    return score.quick(), score.result()


def _mean_loss(task: Task, network: nn.Module, batch: Batch) -> float:
    with torch.no_grad():
        return float(task.losses(network, batch).mean())


def _train(task: Task, network: nn.Module, batch: Batch, steps: int, *, lr: float) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        task.losses(network, batch).mean().backward()
        optimizer.step()


def _rows(batch: Batch, rows: list[int] | range) -> Batch:
    index = torch.tensor(list(rows))
    return replace(
        batch,
        inputs=tuple(t[index] for t in batch.inputs),
        targets=tuple(t[index] for t in batch.targets),
        rows=batch.rows[index],
    )


@final
class _Constant(nn.Module):
    """Gives the same answer to every example."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer.clone())

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.answer.expand(len(inputs[0]), *self.answer.shape[1:])


def _claim(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
