"""An engineer's own loss as a task: its meaning is unknown, except that less is better."""

import inspect
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self, final

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.records.batch import Batch, Outputs
from netwright.records.errors import DataError
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, Objective, Score, Task
from netwright.tasks import metrics
from netwright.tasks.classification import Classification

Loss = Callable[..., Tensor]
"""(outputs, targets) -> a loss for each example, or their mean: `nn.MSELoss()`, `F.cross_entropy`, a function."""

REMEDY = "adopt the network with a task: nw.adopt(network, nw.Classification(labels), loader)."


@final
@dataclass(frozen=True)
class OwnLoss(Task):
    """Scored by the loss itself. If it only returns a mean, it is called row by row."""

    loss: Loss

    name: ClassVar[str] = "own_loss"
    metric: ClassVar[str] = "loss"
    higher_is_better: ClassVar[bool] = False
    is_opaque: ClassVar[bool] = True

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """Raises DataError: a loss is given, not learned."""
        raise DataError("a loss alone does not say what a target column means", remedy=REMEDY)

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """Raises DataError."""
        raise DataError("a loss alone does not say how targets are encoded", remedy=REMEDY)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """Raises DataError."""
        raise DataError("a loss alone does not say which outputs a network needs", remedy=REMEDY)

    def objective(self, recipe: Recipe) -> Objective:
        """The loss of each example."""
        single = _single(self.loss)

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            return _each(self.loss, single, self.forward(network, batch), batch)

        return losses

    def batch_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """What the loss gives for all rows at once."""
        return self.loss(outputs, *batch.targets).mean()

    def score(self) -> Score:
        """The mean loss."""
        single = _single(self.loss)
        return metrics.Kept(lambda outputs, batch: (_each(self.loss, single, outputs, batch),), _quick)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """Raises DataError."""
        raise DataError("a loss alone does not say what outputs mean", remedy=REMEDY)

    def describe(self) -> str:
        """`the loss CrossEntropyLoss()`."""
        return f"the loss {getattr(self.loss, '__name__', None) or self.loss}"


def task_of(loss: Loss, outputs: Any, batch: Batch) -> Task:  # Any: what an engineer's network gives
    """The task of a loss: classification for a plain cross entropy of logits, else the loss alone."""
    is_plain = loss is F.cross_entropy or (
        isinstance(loss, nn.CrossEntropyLoss)
        and loss.weight is None
        and loss.label_smoothing == 0
        and loss.ignore_index == -100  # torch's default, which is never a label
    )
    fits = isinstance(outputs, Tensor) and outputs.ndim == 2 and len(batch.targets) == 1
    if is_plain and fits and batch.targets[0].ndim == 1 and not batch.targets[0].is_floating_point():
        return Classification(tuple(map(str, range(outputs.shape[1]))))
    return OwnLoss(loss)


def _quick(losses: NDArray[np.float32]) -> dict[str, metrics.Statistic]:
    return {"loss": metrics.mean_of(losses.astype(np.float64), "lower")}


def _single(loss: Loss) -> Loss:
    """The loss without its mean over examples, if it has a `reduction`."""
    if isinstance(loss, nn.Module):
        if "reduction" not in vars(loss):
            return loss
        copy = deepcopy(loss)
        copy.reduction = "none"  # pyright: ignore[reportArgumentType]  a string, as before
        return copy
    try:
        has_switch = "reduction" in inspect.signature(loss).parameters
    except ValueError:  # built into torch
        return loss
    return partial(loss, reduction="none") if has_switch else loss


def _each(loss: Loss, single: Loss, outputs: Any, batch: Batch) -> Tensor:  # Any: as `task_of`
    """(B,): means over the other axes of each example."""
    values = single(outputs, *batch.targets)
    if values.ndim and len(values) == len(batch):
        return values.reshape(len(batch), -1).mean(1)
    rows = [
        loss(_row(outputs, k), *(target[k : k + 1] for target in batch.targets)).reshape(()) for k in range(len(batch))
    ]
    return torch.stack(rows)


def _row(outputs: Any, k: int) -> Any:
    return outputs[k : k + 1] if isinstance(outputs, Tensor) else tuple(output[k : k + 1] for output in outputs)
