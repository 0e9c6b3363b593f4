"""Settings that prevent learning on any data: schedules, decay, batch norm with tiny batches."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from math import isfinite, nan

import torch
from torch import Tensor, nn

from netwright.checks.evidence import Skip
from netwright.checks.training.capacity import falls_short
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.progress import (
    SHOWN,
    first_network,
    line,
    progress,
    shown_batches,
    some_steps,
    steps_taken,
)
from netwright.checks.training.remedies import FALL
from netwright.records.batch import Batch, side_by_side
from netwright.records.finding import Finding, Measure, Remedy
from netwright.training.evaluate import device_of
from netwright.training.probes import ENDS, MARGIN, RUNG_STEPS, Rung, copied, mean_loss, without_dropout
from netwright.training.schedule import schedule

LOW = 0.01  # of the peak: steps at so low a rate change nothing
LOW_SHARE = 0.3  # of all steps
DECAY = 0.01  # of each weight, a step: half is gone in 70 steps
DROPPED = 0.7  # share of the units
EASED = 0.1  # of the held-out loss, gone in a few steps without the penalty: more than batches differ by
TINY = 8  # rows of a batch; below, mean and variance are mostly noise; Wu and He 2018, arXiv:1803.08494
SETTLED = 64  # rows: enough for the statistics of the data
WORSE = 1.5  # times the loss with the batch's own statistics


def schedule_at_fault(evidence: TrainingEvidence) -> Iterator[Finding]:
    """schedule at fault

    The learning rate is close to zero for much of the training.

    Why it matters: these epochs cost time and change nothing. Often the schedule was made for another number of steps.

    How it is decided: more than 0.3 (LOW_SHARE) of the steps have a rate below a hundredth (LOW) of the peak. The
    built-in schedules stay below a tenth of the steps.
    """
    course = rates(evidence)
    if not course or max(course) <= 0:
        raise Skip("the learning rates of the steps are not known")
    if (share := fallen_share(course)) > LOW_SHARE:
        places = [k / len(course) for k in range(len(course))]
        yield Finding(
            "warning",
            f"the learning rate is below {LOW:.0%} of its peak in {share:.0%} of the steps",
            (Measure("share of steps at a rate near zero", share, threshold=LOW_SHARE),),
            remedies=(
                Remedy("use a schedule that is scaled to the number of steps.", {"schedule": "cosine"}),
                Remedy("keep the rate constant.", {"schedule": "constant"}),
            ),
            charts=(line("learning rate", "share of the training", "learning rate", "lr", course, places),),
        )


def rates(evidence: TrainingEvidence) -> list[float]:
    """The learning rate over some steps, evenly spaced; empty if unknown."""
    steps, seen = steps_taken(evidence), evidence.watched.rates
    if seen and all(isfinite(stretch.mean) for stretch in seen):
        return [stretch.mean for stretch in seen for _ in range(max(1, 1000 * stretch.count // steps))]
    if evidence.run is None or not steps:
        return [moment.lr for moment in evidence.watched.moments]
    course = schedule(evidence.recipe, steps)
    return [course(round(k * (steps - 1) / 199)) for k in range(200)]


def fallen_share(rates: list[float]) -> float:
    """The share of rates that are close to zero relative to the highest."""
    return sum(rate < LOW * max(rates) for rate in rates) / len(rates) if rates else 0.0


def penalty_dominates(evidence: TrainingEvidence) -> Iterator[Finding]:
    """regularization dominates

    Weight decay, an L1 penalty or dropout undoes what the steps learn.

    Why it matters: the network underfits, whatever else is tuned.

    How it is decided: a strength that can do so is a suspicion: decay of more than 0.01 (DECAY) of each weight per
    step, dropout above 0.7 (DROPPED), or any L1 penalty. It is a finding in two cases. One: the same network without
    it, from its initial weights, beats the end of the whole training within the few steps of a rung, by a tenth
    (MARGIN) of what it gained. Two: 60 more steps without it lower the trained network's loss by a tenth (EASED) more
    than 60 steps with it, on validation rows if there are any: a penalty that prevents overfitting is not given up.
    """
    recipe = evidence.recipe
    suspects = _suspects(evidence)
    if not suspects:
        return
    free, end = evidence.once(_without_penalty)
    beats = free.beats(end)
    held, released = (nan, nan) if beats else evidence.once(_released)
    if beats or released < (1 - EASED) * held:
        told = (
            f"without it {len(free.losses)} steps reach {free.end:.4g}, the whole training {end:.4g}"
            if beats
            else f"{RUNG_STEPS} more steps without it bring the loss to {released:.4g}, with it to {held:.4g}"
        )
        yield Finding(
            "error" if not end < (1 - MARGIN) * free.start else "warning",
            f"{', '.join(text for _, _, text in suspects)}; {told}",
            (
                Measure("decay of a weight in a step", recipe.lr * recipe.weight_decay, threshold=DECAY),
                Measure("dropout", recipe.dropout, threshold=DROPPED),
                Measure("loss left without it", free.progress),
            ),
            confidence=0.95,
            remedies=(Remedy("weaken it.", {name: value for name, value, _ in suspects}),),
        )


def _suspects(evidence: TrainingEvidence) -> list[tuple[str, float, str]]:
    """Settings that are strong enough, their replacement, and their strength."""
    recipe = evidence.recipe
    decay = recipe.lr * recipe.weight_decay
    dropout = max((float(m.p) for m in evidence.network.modules() if isinstance(m, nn.Dropout)), default=0.0)
    suspects = (
        (decay > DECAY, "weight_decay", 1e-4 / recipe.lr, f"each step takes {decay:.1%} of every weight"),
        (recipe.l1 > 0, "l1", 0.0, f"an L1 penalty of {recipe.l1:g}"),
        (dropout > DROPPED, "dropout", 0.1, f"dropout of {dropout:.0%}"),
    )
    return [(name, value, text) for is_strong, name, value, text in suspects if is_strong]


def _without_penalty(evidence: TrainingEvidence) -> tuple[Rung, float]:
    """The training's own rung without decay, L1 and dropout; and the training's end, measured the same way."""
    free = _some_free_steps(evidence, first_network(evidence))
    return free, mean_loss(evidence.network, evidence.loss, shown_batches(evidence))


def _released(evidence: TrainingEvidence) -> tuple[float, float]:
    """The loss after some more steps without the penalty, and after as many with it; held out if possible."""
    shown = list(islice(evidence.drawn(evidence.valid, SHOWN), ENDS))
    held = some_steps(evidence, evidence.network, steps=RUNG_STEPS, shown=shown)
    return held.end, _some_free_steps(evidence, evidence.network, RUNG_STEPS, shown).end


def _some_free_steps(
    evidence: TrainingEvidence, network: nn.Module, steps: int = 0, shown: Sequence[Batch] = ()
) -> Rung:
    recipe = evidence.recipe.edit({"weight_decay": 0.0, "l1": 0.0})
    objective = evidence.with_recipe(recipe)
    with copied(network) as free:
        without_dropout(free)
        return some_steps(replace(evidence, recipe=recipe), free, objective=objective, steps=steps, shown=shown)


def gradient_noise(evidence: TrainingEvidence) -> Iterator[Finding]:
    """gradient noise

    Gradients of a few rows point anywhere, and their noise keeps the loss from falling.

    Why it matters: more epochs do not help; larger batches, or a lower rate at the end, do.

    How it is decided: training batches have 8 rows (TINY) or fewer, and at the same rate, from the initial weights, at
    most 60 steps with batches of 64 rows (SETTLED) beat the end of the whole training by a tenth (MARGIN) of what they
    gained. A network with batch norm gets `batch too small for batch norm` instead. McCandlish et al. 2018,
    arXiv:1812.06162.
    """
    if evidence.recipe.batch_size > TINY or _norms(evidence.network) or not _larger_batches_help(evidence):
        return
    size, lr = evidence.recipe.batch_size, evidence.recipe.lr
    yield Finding(
        "warning",
        f"batches of {size} rows" + _helped(evidence),
        (Measure("rows in a batch", size, threshold=TINY),),
        confidence=0.85,
        otherwise=("the learning rate is too high for batches of this size.",),
        remedies=(
            Remedy("use larger batches.", {"batch_size": SETTLED}),
            Remedy("use a lower learning rate.", {"lr": lr / 10}),
            FALL,
        ),
    )


def _larger_batches_help(evidence: TrainingEvidence) -> bool:
    return evidence.once(_larger_batches).beats(evidence.once(progress).end)


def _helped(evidence: TrainingEvidence) -> str:
    larger, end = evidence.once(_larger_batches), evidence.once(progress).end
    return f"; {len(larger.losses)} steps of {SETTLED} rows reach {larger.end:.4g}, the whole training {end:.4g}"


def _larger_batches(evidence: TrainingEvidence) -> Rung:
    """Some steps at the training's own rate with batches of SETTLED rows."""
    return some_steps(evidence, first_network(evidence), batch_size=SETTLED, steps=RUNG_STEPS)


def _norms(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]  # pyright: ignore[reportPrivateUsage]  the parent of all batch norms


def batch_too_small(evidence: TrainingEvidence) -> Iterator[Finding]:
    """batch too small for batch norm

    Batch norm learns with statistics of a few rows, and answers with different ones.

    Why it matters: the network is trained as one function and used as another.

    How it is decided: the network has batch norm and training batches of fewer than 8 rows (TINY). That is a note, with
    the share of the outputs' variance on training rows that the other rows of a batch decide. It is a warning if it
    does harm: the loss on training rows is 1.5 times (WORSE) as high with the running statistics as with those of 64
    rows or more (SETTLED) at once; or a few steps with batches of 64 rows from the initial weights beat the end of the
    whole training; or the training falls short of a simple model. The first case is reported for larger batches too:
    there the statistics have not settled.
    """
    if not _norms(evidence.network):
        return
    size = max(evidence.recipe.batch_size, SETTLED)
    batches = list(islice(evidence.drawn(evidence.train, size), ENDS))
    running = mean_loss(evidence.network, evidence.loss, batches)
    with copied(evidence.network) as copy, torch.no_grad():
        without_dropout(copy)
        copy.train()
        own = sum(float(evidence.loss(copy, batch).mean()) for batch in batches) / len(batches)
    tiny = evidence.recipe.batch_size < TINY
    differs = own > 0 and running > WORSE * own and evidence.once(progress).start > running - own > MARGIN * own
    helped = tiny and _larger_batches_help(evidence)
    short = falls_short(evidence) if tiny and not (differs or helped) else ""
    if differs or tiny:
        told = (
            f"the loss on training batches is {running:.4g} with running statistics, {own:.4g} with the batches' own "
            f"(batches of {evidence.recipe.batch_size} rows)" + (_helped(evidence) if helped else "")
        )
        measures = [Measure("loss with running over own statistics", running / own, threshold=WORSE)] if own > 0 else []
        if tiny:
            share = _decided_by_mates(evidence)
            told += f"; while training, the other rows of a batch decide {share:.0%} of the variance of answers"
            measures.append(Measure("share of the outputs' variance that batch mates decide", share))
        long_steps = "the last steps were long: statistics settle if the rate falls at the end."
        yield Finding(
            "warning" if differs or helped or short else "note",
            told + (f"; {short}" if short else ""),
            tuple(measures),
            title="" if tiny else "batch norm has not settled",
            confidence=0.9 if tiny else 0.7,
            otherwise=() if tiny else (long_steps,),
            remedies=(
                Remedy("use larger batches.", {"batch_size": max(32, evidence.recipe.batch_size)}),
                Remedy("use group norm instead.", {"normalization": "group"}),
                FALL,
            ),
        )


def _decided_by_mates(evidence: TrainingEvidence) -> float:
    """The share of the outputs' variance, on training rows in training mode, that comes from the other rows of the
    batch.
    """
    size = evidence.recipe.batch_size
    some = next(evidence.drawn(evidence.train, SETTLED))
    count = len(some) // size * size
    generator = torch.Generator().manual_seed(evidence.recipe.seed)
    with copied(evidence.network) as copy, torch.no_grad():
        without_dropout(copy)
        copy.train()
        twice = list[Tensor]()
        for _ in range(2):
            order = torch.randperm(count, generator=generator)
            parts = order.to(device_of(copy)).split(size)
            answers = torch.cat([side_by_side(evidence.forward(copy, some.pick(rows))) for rows in parts])
            twice.append(answers[order.argsort()])
    whole = torch.cat(twice).var(0).sum()
    return float((twice[0] - twice[1]).square().mean(0).sum() / 2 / whole) if whole > 0 else 0.0
