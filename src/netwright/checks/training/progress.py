"""How far training came, and what other learning rates reach in a few steps from the same initial weights."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import inf, isfinite, nan
from typing import final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import PROBING, PROBING_WORK, TrainingEvidence
from netwright.machine.fused import UpdateRule
from netwright.records.batch import Batch
from netwright.records.finding import Chart
from netwright.records.task import Objective
from netwright.records.watched import Loop
from netwright.training.evaluate import device_of, evaluating
from netwright.training.probes import (
    ENDS,
    RUNG_STEPS,
    RUNGS,
    BuildOptimizer,
    Rung,
    as_the_recipe,
    ladder,
    mean_loss,
)

LEAST_STEPS = 30  # of a rung: fewer say little; with networks that train fast these take less than a second
SHOWN = 256  # validation rows in a batch
BELOW = 3  # rungs below the training's own rate; 5 above it, for training at 1e-5 of the right rate


@final
@dataclass(frozen=True)
class Progress:
    """Mean losses on a few training batches, in evaluation mode."""

    start: float  # of the initial weights
    end: float  # of the kept weights; NaN if they are not finite
    rose: float  # the last epoch's training loss over the first epoch's
    chance: float = inf  # loss of the best constant answer; infinite if unknown
    held_out: float = nan  # like `end`, on validation batches; NaN if there are none

    @property
    def held_out_left(self) -> float:
        """The share of the loss left on validation rows, or on training rows if there are none."""
        return self.held_out / self.untrained if isfinite(self.held_out) else self.left

    @property
    def left(self) -> float:
        """The share of the loss left; of a constant answer's loss if the initial weights were worse."""
        return self.end / self.untrained if isfinite(self.end) and self.untrained > 0 else nan

    @property
    def untrained(self) -> float:
        """The loss of the initial weights, or a constant answer's if they were worse."""
        return min(self.start, self.chance) if isfinite(self.start) else self.chance


def steps_taken(evidence: TrainingEvidence) -> int:
    """Optimizer steps of the training."""
    return evidence.watched.steps or (evidence.history.epochs[-1].step if evidence.history.epochs else 0)


def progress(evidence: TrainingEvidence) -> Progress:
    """From the initial weights to the kept ones. Raises Skip if the initial weights are unknown."""
    first, batches = evidence.first(), shown_batches(evidence)
    epochs = [epoch.train_loss for epoch in evidence.history.epochs]
    start = mean_loss(first, evidence.loss, batches)
    end = mean_loss(evidence.network, evidence.loss, batches)
    rose = epochs[-1] / epochs[0] if epochs and epochs[0] > 0 else nan
    shown = list(islice(evidence.drawn(evidence.valid, SHOWN), ENDS))
    held_out = mean_loss(evidence.network, evidence.loss, shown) if shown else nan
    return Progress(start, end if isfinite(end) else nan, rose, chance(evidence, batches), held_out)


def chance(evidence: TrainingEvidence, batches: list[Batch]) -> float:
    """The mean loss of the best constant answer to these batches; infinite if unknown."""
    if evidence.task is None or not all(batch.targets for batch in batches):
        return inf
    chance = evidence.task.chance_loss(
        tuple(torch.cat(t).cpu() for t in zip(*(b.targets for b in batches), strict=True))
    )
    return chance if chance > 0 else inf


def rungs(evidence: TrainingEvidence) -> tuple[Rung, ...]:
    """The ladder of rates around the training's own, which has number BELOW. Raises Skip for rules without a rate."""
    if (loop := _loop(evidence)) is not None and loop.optimizer is None and not loop.is_in_recipe:
        raise Skip("the loop's optimizer cannot be tried at other rates")
    return _ladder(evidence, first_network(evidence), below=BELOW, count=RUNGS)


def some_steps(
    evidence: TrainingEvidence,
    network: nn.Module,
    *,
    objective: Objective | None = None,
    loss: Objective | None = None,
    batch_size: int = 0,
    steps: int = 0,
    shown: Sequence[Batch] = (),
) -> Rung:
    """A network after the steps of a rung, trained as in the recipe except for the arguments."""
    if batch_size:
        evidence = replace(evidence, recipe=evidence.recipe.edit({"batch_size": batch_size}))
    evidence = replace(evidence, objective=objective or evidence.objective)
    return _ladder(evidence, network, below=0, count=1, loss=loss, steps=steps, shown=shown)[0]


def _ladder(
    evidence: TrainingEvidence,
    network: nn.Module,
    *,
    below: int,
    count: int,
    loss: Objective | None = None,
    steps: int = 0,
    shown: Sequence[Batch] = (),
) -> tuple[Rung, ...]:
    recipe = evidence.recipe
    return ladder(
        network, evidence.objective, evidence.train, _optimizer(evidence), lr=recipe.lr, batch_size=recipe.batch_size,
        loss=loss or evidence.loss, steps=steps or _rung_steps(evidence), below=below, count=count, seed=recipe.seed,
        clip=recipe.clip, shown=shown,
    )  # fmt: skip


def _loop(evidence: TrainingEvidence) -> Loop | None:
    return None if evidence.run is None else evidence.run.loop


def _optimizer(evidence: TrainingEvidence) -> BuildOptimizer:
    """The recipe's, or the loop's own if the recipe has no such kind. Raises Skip if it cannot be built again."""
    loop = _loop(evidence)
    if loop is None or loop.is_in_recipe or (own := loop.optimizer) is None:
        return as_the_recipe(evidence.recipe)

    def build(network: nn.Module, lr: float) -> UpdateRule:
        try:
            return own(network, lr)
        except (TypeError, ValueError, KeyError) as problem:
            raise Skip(f"the loop's optimizer cannot be built again: {problem}") from problem

    return build


def own_rung(evidence: TrainingEvidence) -> Rung:
    """The training's own first steps."""
    return some_steps(evidence, first_network(evidence))


def first_network(evidence: TrainingEvidence) -> nn.Module:
    """The network before its first step. Raises Skip if it is unknown, or while training runs."""
    if not evidence.is_over:
        raise Skip("training is not over")
    return evidence.first()


def best(rungs: tuple[Rung, ...]) -> Rung | None:
    """The rung with the lowest loss at its end."""
    return min((rung for rung in rungs if isfinite(rung.end)), key=lambda rung: rung.end, default=None)


def ladder_chart(rungs: tuple[Rung, ...], lr: float, end: float) -> Chart:
    """The loss left at each rate."""
    lines = tuple(rung.end for rung in rungs), tuple(end for _ in rungs)
    return Chart(
        "lines", "loss after a few steps at each learning rate", "learning rate", "loss",
        ("ladder", "this training's end"), lines, tuple(rung.lr for rung in rungs), ((lr, "this training"),),
        is_log=True,
    )  # fmt: skip


def line(
    title: str, x: str, y: str, name: str, values: Sequence[float], places: Sequence[float] | None = None
) -> Chart:
    """One line, over the values' numbers if no places are given."""
    return Chart("lines", title, x, y, (name,), (tuple(values),), tuple(map(float, places or range(len(values)))))


def bars(title: str, x: str, y: str, named: Iterable[tuple[str, float]]) -> Chart:
    """A bar for each name."""
    named = tuple(named)
    return Chart("bars", title, x, y, tuple(name for name, _ in named), tuple((value,) for _, value in named))


def _rung_steps(evidence: TrainingEvidence) -> int:
    """No more than the training took; all rungs together take PROBING of it, but at least LEAST_STEPS per rung.

    If a step is large: as many as fit in PROBING_WORK in all, but at least ENDS per rung. Operations are counted, not
    seconds, so that a busy machine gives the same diagnosis.
    """
    taken = steps_taken(evidence) or RUNG_STEPS  # unknown for a network that was adopted after training
    share = PROBING / RUNGS
    least = max(ENDS, min(LEAST_STEPS, round(PROBING_WORK / RUNGS / evidence.once(_work))))
    return max(1, min(RUNG_STEPS, taken, max(least, round(share * taken))))


def _work(evidence: TrainingEvidence) -> float:
    """Operations of a training step: products forward and twice as many backward; at least two for each weight and row.

    Recurrent layers are not counted by torch.
    """
    batch, weights = evidence.batch, sum(p.numel() for p in evidence.network.parameters())
    with evaluating(evidence.network), FlopCounterMode(display=False) as counter:
        evidence.forward(evidence.network, batch)
    return 3.0 * max(counter.get_total_flops(), 2 * weights * len(batch), 1)


def shown_batches(evidence: TrainingEvidence) -> list[Batch]:
    """The batches that the ladder is measured on."""
    device = device_of(evidence.network)
    batches = evidence.train.batches(evidence.recipe.batch_size, seed=evidence.recipe.seed)
    return [batch.to(device) for batch in islice(batches, _rung_steps(evidence))][-ENDS:]
