"""Targets far from the size of a network's first answers, and validation inputs on another scale than training's."""

from collections.abc import Iterator
from dataclasses import replace
from math import isfinite, log
from typing import Any, final

import torch
from torch import Tensor, nn

from netwright.checks.evidence import Skip
from netwright.checks.training.entering import LITTLE
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.held_out import flat
from netwright.checks.training.progress import first_network, shown_batches, some_steps
from netwright.records.batch import Batch, Examples, joined
from netwright.records.finding import Finding, Measure, Remedy
from netwright.records.task import Objective
from netwright.training.probes import MARGIN, mean_loss

FAR = 10.0  # mean or spread of targets: Adam at 0.001 takes 10,000 steps to get there, and gradients grow as much
FEW = 20  # rows: means and spreads of fewer are chance
ROWS = 2_000  # examined in each part
SPREAD = 1.6  # times as wide: (x - 0.5) / 0.5 makes pixels twice as wide, chance 1.3 times in 20 rows
SHIFT = 1.0  # of the training rows' spread
MOST = 0.5  # of the columns: a drift moves some, a forgotten or doubled scaling moves all


def unnormalized_targets(evidence: TrainingEvidence) -> Iterator[Finding]:
    """unnormalized targets

    The targets are numbers far from one, and the network starts with answers around zero.

    Why it matters: the first gradients are as large as the targets, and a network needs thousands of steps to reach
    them. It learns their mean slowly, and what distinguishes the rows hardly at all.

    How it is decided: the mean or the spread of the targets is above 10 (FAR), and the training left more than half
    (LITTLE) of a constant's loss. It is a finding if the same network with standardized targets beats the whole
    training within the few steps of a rung, by a tenth (MARGIN) of what it gained, both measured on that scale.
    """
    first = joined(_some(evidence, evidence.train))
    if evidence.run is None or evidence.run.schema.inputs or len(first.targets) != 1:
        raise Skip("its targets are scaled by the task, or are not numbers")
    targets = first.targets[0]
    if not targets.is_floating_point() or targets.numel() != len(first) or len(first) < FEW:
        raise Skip("the targets are not one number for each row")
    mean, spread = float(targets.float().mean()), float(targets.float().std())
    if max(abs(mean), spread) <= FAR or not spread:
        return
    shown = shown_batches(evidence)
    scaled = _with_targets(evidence.loss, mean, spread)
    constant = mean_loss(_Scaled(evidence.network, mean, spread, times=0.0), scaled, shown)
    end = mean_loss(_Scaled(evidence.network, mean, spread), scaled, shown)
    if end <= LITTLE * constant:
        return
    objective = _with_targets(evidence.objective, mean, spread)
    rung = some_steps(evidence, first_network(evidence), objective=objective, loss=scaled)
    if not rung.beats(end):
        return
    yield Finding(
        "error",
        f"targets have a mean of {mean:,.6g} and a spread of {spread:,.4g}, far from the size of a network's first "
        f"answers; with standardized targets {len(rung.losses)} steps leave {rung.end / constant:.0%} of a constant's "
        f"loss, the whole training left {end / constant:.0%}",
        (
            Measure("size of the targets", max(abs(mean), spread), threshold=FAR),
            Measure("loss left with standardized targets", rung.end / constant),
        ),
        confidence=0.95,
        remedies=(
            Remedy("standardize the targets: subtract the training rows' mean and divide by their spread; undo it for "
                   "the answers."),
            Remedy("or scale inside the network: end it with outputs * spread + mean.", mend="answer"),
        ),
    )  # fmt: skip


def validation_scale(evidence: TrainingEvidence) -> Iterator[Finding]:
    """validation inputs on another scale

    Inputs of the validation part are scaled otherwise than those of the training part.

    Why it matters: the validation score says nothing about the network. Its best epoch, and any choice made with the
    score, is wrong.

    How it is decided: more than half (MOST) of the input columns have a spread in the validation part that is 1.6 times
    (SPREAD) as wide or narrow as in the training part, or a mean that is apart by that spread (SHIFT). Drift and
    augmentation move some columns; a scaling that was forgotten or done twice moves all. It is serious if the loss on
    the validation rows falls by a tenth (MARGIN) when their columns get the training part's mean and spread; else it is
    a note. If a watched loop's inputs became as much wider or narrower from the first to the last watched pass, the
    loop changes the training inputs: that is serious too.
    """
    if evidence.run is None or evidence.run.schema.inputs:
        raise Skip("both parts are read and scaled alike")
    train, valid = _columns(evidence, evidence.train), _columns(evidence, evidence.valid)
    if min(len(train), len(valid)) < FEW or train.shape[1] != valid.shape[1]:
        raise Skip("the inputs are not columns of numbers in both parts")
    (mean, spread), (other, wide) = ((x.mean(0), x.std(0)) for x in (train, valid))
    varies = (spread > 0) & (wide > 0)
    if not bool(varies.any()):
        return
    times = (wide / spread)[varies].log()
    shift = ((other - mean) / spread)[varies].abs()
    moved = float(((times.abs() > log(SPREAD)) | (shift > SHIFT)).float().mean())
    if moved <= MOST:
        return
    batches = [joined(_some(evidence, evidence.valid))]
    own, mapped = (mean_loss(evidence.network, evidence.loss, some) for some in (batches, _mapped(evidence, batches)))
    is_worse = mapped < (1 - MARGIN) * own or not isfinite(own)
    advice = (
        "scale training, validation and test inputs in one place, with the training rows' mean and spread: inside the "
        "network, for example."
    )
    drift = ""
    if changed := _changed(evidence):
        first, start, last, end = changed
        drift = f"the training inputs were changed: spread {first:.3g} in step {start:,}, {last:.3g} in step {end:,}; "
        advice = "do not write changed inputs into the data: compute them as a copy."
    yield Finding(
        "error" if is_worse or drift else "note",
        f"{drift}validation inputs are on another scale than training inputs: mean {float(other.mean()):.3g} and "
        f"spread {float(valid.std()):.3g}, against {float(mean.mean()):.3g} and {float(train.std()):.3g}; {moved:.0%} "
        f"of the columns differ. With the training part's mean and spread the validation loss is {mapped:.4g}, "
        f"not {own:.4g}",
        (Measure("share of columns on another scale", moved, threshold=MOST),),
        confidence=0.95 if is_worse else 0.7,
        otherwise=("parts from different sources.", "training inputs that were changed in place."),
        remedies=(Remedy(advice),),
    )


def _changed(evidence: TrainingEvidence) -> tuple[float, int, float, int] | None:
    """Spread and step of a watched loop's first and last inputs, if they are on different scales."""
    loop = None if evidence.run is None else evidence.run.loop
    seen = [(one.step, _spread(one.inputs)) for one in (() if loop is None else loop.passes)]
    known = [(step, spread) for step, spread in seen if spread > 0]
    if len(known) < 2 or abs(log(known[-1][1] / known[0][1])) <= log(SPREAD):
        return None
    return known[0][1], known[0][0], known[-1][1], known[-1][0]


def _spread(inputs: tuple[Any, ...]) -> float:
    """The spread of all numbers of a pass; 0 if they are too few, or no numbers."""
    rows = [x for x in inputs if isinstance(x, Tensor) and x.is_floating_point() and x.ndim and len(x) >= FEW]
    return float(torch.cat([x.detach().float().reshape(-1) for x in rows]).std()) if rows else 0.0


def _columns(evidence: TrainingEvidence, part: Examples) -> Tensor:
    """(rows, columns) float, thinned out; no columns for codes of words."""
    return flat(joined(_some(evidence, part))) if len(part) else torch.empty(0, 0)


def _some(evidence: TrainingEvidence, part: Examples) -> list[Batch]:
    """Batches of ROWS rows; a loader's own batches may be small, and the first ones of one class."""
    found, count = list[Batch](), 0
    for batch in evidence.drawn(part, ROWS):
        found.append(batch)
        count += len(batch)
        if count >= ROWS:
            break
    return found


def _mapped(evidence: TrainingEvidence, batches: list[Batch]) -> list[Batch]:
    """Batches with the mean and spread that each input column has in the training part."""
    like = joined(_some(evidence, evidence.train))

    def moved(x: Tensor, to: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        spread = x.std(0)
        return (x - x.mean(0)) / spread.where(spread > 0, 1.0) * to.std(0) + to.mean(0)

    return [replace(b, inputs=tuple(map(moved, b.inputs, like.inputs))) for b in batches]


def _with_targets(original: Objective, mean: float, spread: float) -> Objective:
    """The objective with standardized targets."""

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        return original(network, replace(batch, targets=((batch.targets[0] - mean) / spread,)))

    return losses


@final
class _Scaled(nn.Module):
    """A network with standardized answers, or with none: 0 times them is the mean of the targets."""

    def __init__(self, network: nn.Module, mean: float, spread: float, times: float = 1.0) -> None:
        super().__init__()
        self.network, self.mean, self.spread, self.times = network, mean, spread, times

    def forward(self, *arguments: Any) -> Any:  # Any: as the network
        return (self.network(*arguments) - self.mean) / self.spread * self.times
