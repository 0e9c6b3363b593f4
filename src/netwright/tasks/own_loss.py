"""An engineer's own loss as a task: its meaning is unknown, except that less is better."""

import inspect
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from math import nan
from typing import Any, ClassVar, Self, cast, final

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.records.batch import Batch, Given
from netwright.records.errors import DataError, NetworkError
from netwright.records.nested import Outputs, each_tensor
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.takes import ANYTHING, TARGET_NAMES, takes
from netwright.records.task import NO_INPUTS, Objective, Score, Task
from netwright.tasks import metrics
from netwright.tasks.classification import Classification

Applied = Callable[[Any, Batch], Tensor]
"""(outputs, batch) -> what a loss returns for them. Any: outputs as an engineer's network gives them."""
Loss = Callable[..., Tensor]
"""(outputs, targets) -> a loss for each example, or their mean: `nn.MSELoss()`, `F.cross_entropy`, a function."""

NETWORKS = ("network", "net", "model", "module")  # names for an objective's first parameter; its second is the batch
ALIKE = 1e-4  # of a loss: rounding makes the mean over rows differ by less
REMEDY = "adopt the network with a task: nw.adopt(network, nw.Classification(labels), loader)."


@final
@dataclass(frozen=True)
class OwnLoss(Task):
    """Scored by the loss itself. If it only returns a mean, it is called row by row.

    A loss that compares rows with each other (pairs, triplets) keeps its mean over the batch.
    """

    loss: Loss
    is_objective: bool = False  # it takes (network, batch) and returns a loss for each example

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
        if self.is_objective:
            return self.loss
        each = each_row(self.loss, keeps_mean=True)
        return lambda network, batch: each(self.forward(network, batch), batch)

    def batch_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """What the loss gives for all rows at once."""
        if self.is_objective:
            return self.loss(Given(outputs), batch).mean()
        return applied(self.loss)(outputs, batch).mean()

    def score(self) -> Score:
        """The mean loss."""
        objective = self.objective(Recipe())
        return metrics.Kept(lambda outputs, batch: (objective(Given(outputs), batch),), _quick)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """Raises DataError."""
        raise DataError("a loss alone does not say what outputs mean", remedy=REMEDY)

    def describe(self) -> str:
        """`the loss CrossEntropyLoss()`."""
        return f"the loss {getattr(self.loss, '__name__', None) or self.loss}"


def task_or_loss(given: Any) -> Task | Loss:
    """What was given as a task or loss. Raises NetworkError for anything else."""
    if isinstance(given, type):
        problem = f"expected a task or a loss, got the class {given.__name__}"
        raise NetworkError(problem, remedy=f"make one: {given.__name__}(...).")
    if not isinstance(given, Task) and not callable(given):
        problem = f"expected a task or a loss, got a {type(given).__name__}: {str(given)[:40]!r}"
        raise NetworkError(problem, remedy="give nw.Classification(labels), nn.CrossEntropyLoss(), or a function.")
    return cast(Task | Loss, given)


def task_of_loss(given: Task | Loss) -> Task:
    """A task, or a loss as a task when no outputs are at hand."""
    given = task_or_loss(given)
    return given if isinstance(given, Task) else OwnLoss(given, is_objective=is_objective(given))


def is_objective(given: Task | Loss) -> bool:
    """Whether it takes (network, batch), by the names of its parameters, and not (outputs, targets)."""
    known = ANYTHING if isinstance(given, Task) else takes(given)
    return known.least == 2 and (known.names[0] in NETWORKS or known.names[1] == "batch")


def task_of(loss: Loss, outputs: Any, batch: Batch) -> Task:  # Any: what an engineer's network gives
    """The task of a loss: classification for a plain cross entropy of logits, else the loss alone."""
    if is_objective(loss):
        return OwnLoss(loss, is_objective=True)
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


def each_row(loss: Loss, *, keeps_mean: bool = False) -> Applied:
    """(outputs, batch) -> (B,): means over the other axes of each example.

    If `keeps_mean` and the loss of a batch is neither the mean nor the sum of its rows', these are moved so that their
    mean is the batch's, with its gradient.
    """
    whole, single = applied(loss), applied(_single(loss))

    def each(outputs: Any, batch: Batch) -> Tensor:
        values = single(outputs, batch)
        if values.ndim and len(values) == len(batch):
            return values.reshape(len(batch), -1).mean(1)
        rows = [batch.rows[k : k + 1] for k in range(len(batch))]
        alone = [replace(batch, inputs=(), targets=tuple(t[k : k + 1] for t in batch.targets), rows=row)
                 for k, row in enumerate(rows)]  # fmt: skip
        try:
            losses = torch.stack([whole(_row(outputs, k), one).reshape(()) for k, one in enumerate(alone)])
        except (RuntimeError, ValueError, IndexError):  # it needs several rows
            if not keeps_mean:
                raise
            losses = torch.full((len(batch),), nan, device=values.device)
        if not keeps_mean:
            return losses
        mean = whole(outputs, batch).mean() if values.ndim else values
        apart = torch.stack([mean - losses.mean(), mean - losses.sum()]).detach().abs().min()
        if bool(apart <= ALIKE * losses.detach().abs().mean()):
            return losses
        return mean + (losses - losses.mean()).detach().nan_to_num()

    return each


def applied(loss: Loss) -> Applied:
    """Gives a loss its outputs and targets as its parameters ask for them.

    Several targets are one argument, nested as the loader has them, or arguments of their own if it needs as many. So
    are several outputs, around the parameter that is named like a target. Raises DataError if targets are missing.
    """
    known = takes(loss)
    place = next((k for k, name in enumerate(known.names) if name in TARGET_NAMES), known.least - 1)

    def apply(outputs: Any, batch: Batch) -> Tensor:
        targets, several = batch.targets, outputs if isinstance(outputs, tuple) else (outputs,)
        if len(several) > 1 and known.least == len(several) + len(targets):
            return loss(*several[:place], *targets, *several[place:]) if targets else loss(*several)
        if not targets and known.least > 1:
            problem = f"the loader gives no targets, but the loss takes ({known})"
            raise DataError(problem, remedy="give pairs (x, y); to reconstruct the inputs, pairs (x, x).")
        if len(targets) > 1 and known.least == 1 + len(targets):
            return loss(outputs, *targets)
        return loss(outputs, batch.wanted) if targets else loss(outputs)

    return apply


def _row(outputs: Any, k: int) -> Any:
    return each_tensor(outputs, lambda output: output[k : k + 1])
