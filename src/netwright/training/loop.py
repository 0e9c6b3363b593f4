"""The training loop. It adds nothing to plain PyTorch: weights equal a hand-written loop's bit for bit."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from netwright.data.examples import require_batches
from netwright.machine.fused import UpdateRule
from netwright.records.batch import Batch
from netwright.records.errors import NetworkError
from netwright.records.task import Objective, Task
from netwright.tasks.own_loss import Loss
from netwright.training.forms import Read, agreed


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step. The tensors stay on the device: reading them waits for it."""

    index: int  # from 0
    losses: Tensor  # (B,) per example, before the step; B counts all accumulated batches
    rows: Tensor  # (B,) row numbers of the losses; empty if the batches do not have them
    grad_norm: Tensor | None  # before clipping; None if nothing is clipped
    lr: float  # of the first parameter group


def steps(
    network: nn.Module,
    batches: Iterable[Any],  # Any: Batch, or what an engineer's loader yields
    objective: Objective | Loss | Task,
    optimizer: UpdateRule,
    *,
    clip: float = 0.0,
    accumulate: int = 1,
    rates: Callable[[int], float] | None = None,
) -> Iterator[Step]:
    """Trains the given network in place, one optimizer step per `accumulate` batches, until the batches end.

    The loss of a step is the mean over all its examples, however they are cut into batches: its batches are fetched
    before the first backward pass, so that their examples can be counted. `clip` is the largest gradient norm (0 does
    not clip). `rates` gives the learning rate of each step, from 0, for all parameter groups. Gradients stay until the
    next step. The network keeps the mode it is in. Raises NetworkError for losses that are not (B,).
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    require_batches(batches)
    items = iter(batches)
    first = list(islice(items, 1))
    read, objective = agreed(network, objective, first)
    for index, parts in enumerate(_grouped(_numbered(chain(first, items), read), accumulate)):
        if rates is not None:
            for group in optimizer.param_groups:
                group["lr"] = rates(index)
        optimizer.zero_grad()
        count = sum(len(batch) for batch, _ in parts)
        losses: list[Tensor] = []
        for batch, _ in parts:
            part = objective(network, batch)
            if part.shape != (len(batch),):
                raise NetworkError(
                    f"the objective returned losses of shape {tuple(part.shape)} for {len(batch)} rows; "
                    f"steps needs ({len(batch)},), one loss for each row",
                    remedy=_remedy(part),
                )
            (part.sum() / count).backward()
            losses.append(part.detach())
        norm = clip_grad_norm_(parameters, clip) if clip > 0 else None
        optimizer.step()
        yield Step(index, _joined(losses), _joined([rows for _, rows in parts]), norm, optimizer.param_groups[0]["lr"])


def _remedy(losses: Tensor) -> str:
    if losses.ndim > 1 and losses.shape[0] == losses.shape[1]:
        return "give outputs and targets one shape: (B, 1) and (B,) are broadcast to (B, B)."
    return 'compute the loss with reduction="none", and take the mean over all axes but the first.'


def _numbered(items: Iterable[Any], read: Read) -> Iterator[tuple[Batch, Tensor]]:  # Any: see `steps`
    """Batches with their row numbers: none if the items have none, for a loader may shuffle its rows."""
    for item in items:
        batch = read(item, 0)
        yield batch, batch.rows if batch is item else batch.rows[:0]


def _grouped(batches: Iterator[tuple[Batch, Tensor]], size: int) -> Iterator[list[tuple[Batch, Tensor]]]:
    while group := list(islice(batches, size)):
        yield group


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
