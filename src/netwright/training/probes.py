"""Small experiments on copies of a network: they decide when a threshold would guess."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import cycle, islice
from math import inf, isfinite, nan
from statistics import fmean
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]  the parent of all dropouts
from torch.nn.utils import clip_grad_norm_

from netwright.machine.fused import UpdateRule
from netwright.machine.randomness import forked, mixed, reseed, seeded
from netwright.records.batch import Batch, Examples, joined
from netwright.records.recipe import Recipe
from netwright.records.task import Objective, Task
from netwright.training.evaluate import device_of, evaluating
from netwright.training.optimizer import build_optimizer

BuildOptimizer = Callable[[nn.Module, float], UpdateRule]
"""(network, learning rate) -> an optimizer over its parameters."""

FEW = 32  # rows that any network with some capacity memorizes
HEART = 150  # steps for it
HEART_RATES = (1e-2, 1e-3, 1e-4)  # learning rates of Adam: one of them suits any sane network; the best counts
RUNGS = 9
RUNG = 10.0  # factor between two rungs of the ladder
RUNG_STEPS = 60
WORSE_RUNGS = 2  # one may be a bump; a step of a whole ladder costs nine training steps
MARGIN = 0.1  # of what a rung gained: by this much it has to beat another training
ENDS = 8  # steps at each end of a rung over which the loss is averaged


@final
@dataclass(frozen=True)
class Rung:
    """Some steps at one learning rate."""

    lr: float
    losses: tuple[float, ...]  # mean of each step's batch; cut at the first that is not finite
    start: float  # mean loss on the rung's last batches before the first step
    end: float  # on the same batches after the last step; NaN if it diverged

    @property
    def progress(self) -> float:
        """The share of the loss that is left: below 1 it fell; NaN if the rung diverged."""
        return self.end / self.start if self.start > 0 else nan

    def beats(self, end: float) -> bool:
        """Whether it ended clearly below another end: by MARGIN of what it gained."""
        return isfinite(self.end) and not self.end > end - MARGIN * (self.start - self.end)


@final
@dataclass(frozen=True)
class Learned:
    """How well a few rows were memorized."""

    lr: float
    losses: tuple[float, ...]
    score: float  # the share of rows answered correctly; NaN if the task has no such thing
    start: float
    end: float  # mean loss over the rows


@contextmanager
def copied(network: nn.Module) -> Generator[nn.Module]:
    """A copy to experiment on. At the end, torch's generators are as they were."""
    with forked():
        yield deepcopy(network)


def ladder(
    network: nn.Module,
    objective: Objective,
    train: Examples,
    optimizer: BuildOptimizer,
    *,
    lr: float,
    batch_size: int,
    loss: Objective | None = None,
    steps: int = RUNG_STEPS,
    below: int = 3,
    count: int = RUNGS,
    seed: int = 0,
    clip: float = 0.0,
    shown: Sequence[Batch] = (),
) -> tuple[Rung, ...]:
    """`count` trainings of a few steps from these weights, each with RUNG times the learning rate of the last.

    The first is `below` rungs below `lr`. All see the same batches in the same order, with the same dropout, and clip
    gradients above `clip`, unless it is 0. `loss` measures their ends, unless the objective does, on the `shown`
    batches or else on the last ENDS training batches. Rungs are tried from `lr` upwards and then downwards, each way
    until WORSE_RUNGS in a row are no better than the best; later rungs are not tried and have no end.
    """
    batches = _batches(network, train, batch_size, steps, seed)
    measured, rates = loss or objective, [lr * RUNG ** (k - below) for k in range(count)]

    def climbed(rate: float) -> Rung:
        on = shown or batches[-ENDS:]
        with copied(network) as copy:
            start = mean_loss(copy, measured, on)
            losses = tuple(steps_of(copy, objective, islice(cycle(batches), steps), optimizer(copy, rate), seed, clip))
            end = mean_loss(copy, measured, on) if len(losses) == steps else nan
        return Rung(rate, losses, start, end if isfinite(end) else nan)

    found = [Rung(rate, (), nan, nan) for rate in rates]
    least, own = inf, min(below, count - 1)
    for way in (range(own, count), range(own - 1, -1, -1)):
        worse = 0
        for k in way:
            found[k] = climbed(rates[k])
            worse = 0 if found[k].end < least else worse + 1
            least = min(least, found[k].end) if isfinite(found[k].end) else least
            if worse >= WORSE_RUNGS and isfinite(least):
                break
    return tuple(found)


def learned_by_heart(
    network: nn.Module, objective: Objective, task: Task | None, train: Examples, *, steps: int = HEART, seed: int = 0
) -> Learned:
    """Whether the network can memorize FEW training rows from these weights, with Adam, without dropout; best rate."""
    batch = next(train.batches(FEW, seed=seed)).head(FEW).to(device_of(network))  # loaders may yield more
    tries = [_by_heart(network, objective, task, batch, lr, steps, seed) for lr in HEART_RATES]
    return min(
        tries, key=lambda one: (-one.score if isfinite(one.score) else 0.0, one.end if isfinite(one.end) else 1e30)
    )


def _by_heart(
    network: nn.Module, objective: Objective, task: Task | None, batch: Batch, lr: float, steps: int, seed: int
) -> Learned:
    recipe = Recipe().edit({"lr": lr, "weight_decay": 0.0, "optimizer": "adam"})
    with copied(network) as copy:
        without_dropout(copy)
        start = mean_loss(copy, objective, (batch,))
        optimizer = build_optimizer(copy, recipe)
        losses = tuple(steps_of(copy, objective, (batch for _ in range(steps)), optimizer, seed))
        # In training mode: the running statistics of batch norm lag after so few steps.
        with torch.no_grad():
            copy.train()
            end = float(objective(copy, batch).mean())
            score = _right(copy, task, batch)
    return Learned(lr, losses, score, start, end)


def _right(network: nn.Module, task: Task | None, batch: Batch) -> float:
    """The share of correct answers, for tasks that score accuracy."""
    if task is None:
        return nan
    outputs = task.forward(network, batch)
    if not (isinstance(outputs, Tensor) and bool(outputs.isfinite().all())):
        return 0.0 if isinstance(outputs, Tensor) else nan
    score = task.score()
    score.add(outputs, batch)
    return score.quick().get("accuracy", nan)


def without_dropout(network: nn.Module) -> None:
    """Switches off every dropout of the network, including inside recurrent and attention layers."""
    for module in network.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        elif isinstance(vars(module).get("dropout"), float):
            module.dropout = 0.0  # pyright: ignore[reportArgumentType]  a number, as it was


def mean_loss(network: nn.Module, objective: Objective, batches: Sequence[Batch]) -> float:
    """Mean over the rows of some batches, in evaluation mode; the network stays unchanged."""
    with evaluating(network):
        return fmean(float(objective(network, batch).double().mean()) for batch in batches)


def _batches(network: nn.Module, train: Examples, size: int, most: int, seed: int) -> list[Batch]:
    """The same for the same seed, even if an engineer's loader draws from torch's generator while it is read."""
    device = device_of(network)
    with seeded(mixed(seed)):
        return [batch.to(device) for batch in islice(train.batches(size, seed=seed), most)]


def joined_batches(train: Examples, recipe: Recipe, steps: int, seed: int, network: nn.Module) -> list[Batch]:
    """The batches of some steps, around again if the rows end: as many together as the recipe accumulates."""
    each = recipe.accumulate
    parts = _batches(network, train, recipe.batch_size, steps * each, seed)
    grouped = [parts[k : k + each] for k in range(0, len(parts), each)]
    whole = [group[0] if each == 1 else joined(group) for group in grouped]
    return list(islice(cycle(whole), steps))


def steps_of(
    network: nn.Module,
    objective: Objective,
    batches: Iterable[Batch],
    optimizer: UpdateRule,
    seed: int,
    clip: float = 0.0,
    rates: Sequence[float] = (),
) -> Iterator[float]:
    """Mean losses of plain steps, at the rate of each if they are given; ends at the first that is not finite."""
    network.train()
    groups, first = optimizer.param_groups, float(optimizer.param_groups[0]["lr"])
    shares = [float(group["lr"]) / first for group in groups] if rates and first else [1.0] * len(groups)
    for number, batch in enumerate(batches):
        reseed(mixed(seed + number))
        for group, share in zip(groups, shares, strict=True) if rates else ():
            group["lr"] = share * rates[number]
        optimizer.zero_grad()
        loss: Tensor = objective(network, batch).mean()
        if not isfinite(value := float(loss.detach())):
            return
        loss.backward()
        if clip > 0:
            clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        yield value


def as_the_recipe(recipe: Recipe) -> BuildOptimizer:
    """The recipe's optimizer at any learning rate."""

    def build(network: nn.Module, lr: float) -> UpdateRule:
        optimizer = build_optimizer(network, recipe)
        for group in optimizer.param_groups:
            group["lr"] = lr
        return optimizer

    return build
