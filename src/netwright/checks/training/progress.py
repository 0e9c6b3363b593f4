"""How far a training came, and what other learning rates reach in a few steps from the same first weights."""

from dataclasses import dataclass
from itertools import islice
from math import inf, isfinite, nan
from typing import final

import torch

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import PROBING, PROBING_SECONDS, TrainingEvidence
from netwright.records.batch import Batch
from netwright.records.finding import Chart
from netwright.training.evaluate import device_of
from netwright.training.probes import ENDS, RUNG_STEPS, RUNGS, Rung, as_the_recipe, ladder, mean_loss

LEAST_STEPS = 30  # of a rung: fewer say little, and cost less than a second with the networks of short trainings
SHOWN = 256  # validation rows in a batch
BELOW = 3  # rungs below the training's own rate; 5 above it, as trainings at 1e-5 of the right rate need


@final
@dataclass(frozen=True)
class Progress:
    """Mean losses on a few training batches, in evaluation mode."""

    start: float  # of the first weights
    end: float  # of the weights that were kept; NaN where they are no numbers
    rose: float  # the last epoch's training loss over the first epoch's
    chance: float = inf  # loss of the best constant answer; infinite where it is not known
    held_out: float = nan  # like `end`, on validation batches; NaN where there are none

    @property
    def held_out_left(self) -> float:
        """What is left of the loss on validation rows, of training rows' where there are none."""
        return self.held_out / min(self.start, self.chance) if isfinite(self.held_out) else self.left

    @property
    def left(self) -> float:
        """What is left of the loss, of a constant answer's where the first weights were worse than that."""
        start = min(self.start, self.chance) if isfinite(self.start) else self.chance
        return self.end / start if isfinite(self.end) and start > 0 else nan


def steps_taken(evidence: TrainingEvidence) -> int:
    """Optimizer steps of the training."""
    return evidence.watched.steps or (evidence.history.epochs[-1].step if evidence.history.epochs else 0)


def progress(evidence: TrainingEvidence) -> Progress:
    """From the first weights to the kept ones. Raises Skip where the first weights are not known."""
    if evidence.build is None:
        raise Skip("the network's first weights are not known")
    batches = shown_batches(evidence)
    epochs = [epoch.train_loss for epoch in evidence.history.epochs]
    start = mean_loss(evidence.build().to(device_of(evidence.network)), evidence.loss, batches)
    end = mean_loss(evidence.network, evidence.loss, batches)
    rose = epochs[-1] / epochs[0] if epochs and epochs[0] > 0 else nan
    shown = list(islice(evidence.drawn(evidence.valid, SHOWN), ENDS))
    held_out = mean_loss(evidence.network, evidence.loss, shown) if shown else nan
    return Progress(start, end if isfinite(end) else nan, rose, _chance(evidence, batches), held_out)


def _chance(evidence: TrainingEvidence, batches: list[Batch]) -> float:
    if evidence.task is None or not all(batch.targets for batch in batches):
        return inf
    chance = evidence.task.chance_loss(
        tuple(torch.cat(t).cpu() for t in zip(*(b.targets for b in batches), strict=True))
    )
    return chance if chance > 0 else inf


def rungs(evidence: TrainingEvidence) -> tuple[Rung, ...]:
    """The ladder around the training's own rate, which is number BELOW."""
    if evidence.build is None or not evidence.is_over:
        raise Skip("the network's first weights are not known" if evidence.is_over else "training is not over")
    return ladder(
        evidence.build().to(device_of(evidence.network)),
        evidence.objective,
        evidence.train,
        as_the_recipe(evidence.recipe),
        lr=evidence.recipe.lr,
        batch_size=evidence.recipe.batch_size,
        loss=evidence.loss,
        steps=_rung_steps(evidence),
        below=BELOW,
        seed=evidence.recipe.seed,
    )


def best(rungs: tuple[Rung, ...]) -> Rung | None:
    """The rung with the lowest loss at its end."""
    return min((rung for rung in rungs if isfinite(rung.end)), key=lambda rung: rung.end, default=None)


def ladder_chart(rungs: tuple[Rung, ...], lr: float, end: float) -> Chart:
    """What is left of the loss at each rate."""
    return Chart(
        "lines",
        "loss after a few steps at each learning rate",
        "learning rate",
        "loss",
        ("ladder", "this training's end"),
        (tuple(rung.end for rung in rungs), tuple(end for _ in rungs)),
        tuple(rung.lr for rung in rungs),
        ((lr, "this training"),),
        is_log=True,
    )


def _rung_steps(evidence: TrainingEvidence) -> int:
    """No more than the training took; all rungs together PROBING of it, but for LEAST_STEPS a rung.

    Where these take long, as many as take PROBING_SECONDS in all, but for ENDS a rung.
    """
    taken = steps_taken(evidence) or RUNG_STEPS  # those of a network that was adopted trained are not known
    share, least = PROBING / RUNGS, LEAST_STEPS
    if evidence.seconds:
        least = max(ENDS, min(LEAST_STEPS, round(PROBING_SECONDS / RUNGS * taken / evidence.seconds)))
    return max(1, min(RUNG_STEPS, taken, max(least, round(share * taken))))


def shown_batches(evidence: TrainingEvidence) -> list[Batch]:
    """The batches that the ladder measures on."""
    device = device_of(evidence.network)
    batches = evidence.train.batches(evidence.recipe.batch_size, seed=evidence.recipe.seed)
    return [batch.to(device) for batch in islice(batches, _rung_steps(evidence))][-ENDS:]
