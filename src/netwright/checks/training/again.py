"""What repeated training shows: on half of the rows, and from other seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.checks.data.learning_curve import EXPONENTS, LARGE
from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.held_out import Numbers, Part, cross_entropy, hits, part_of, parts
from netwright.checks.training.progress import bars, chance
from netwright.checks.training.remedies import AVERAGE, drop_more
from netwright.records.finding import Chart, Finding, Remedy
from netwright.statistics import Interval, gain_over_seeds, spread_over_seeds
from netwright.training.calibrate import temperature_of

SEEDS = 3  # the fewest with a meaningful spread
HALF = 0.5
USUAL = 0.5  # exponent of learning curves: networks have .1 to .4, parametric models 1
UNSTABLE = 0.02  # of the way from zero to a perfect score: two points

Matrix = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class _Measured:
    """How the networks do on the validation rows: (seeds, rows) each."""

    losses: Matrix  # as shares of the best constant's mean loss, if that is known
    errors: Matrix  # 1 for a wrong answer; the losses if there are no classes


def too_little_data(evidence: TrainingEvidence) -> Iterator[Finding]:
    """too little data

    Training on all rows gives a better validation score than training on half of them, so more rows would help.

    Why it matters: no setting replaces rows. If the learning curve still falls, collecting data pays more than tuning.

    How it is decided: training is repeated from three seeds, on all rows and on a random half for each seed, with the
    same number of steps. All rows must give better accuracy or loss on validation rows than half of them: the 95 %
    interval of the gain over rows and seeds (Student's t) is above zero. Neither may be worse. Losses of classes use
    the temperature that fits them best. The gain is then extrapolated to twice the rows with the power laws of learning
    curves, a + b * n^-c with c from 0.1 to 1: twice the rows bring 0.5 to 0.93 of that gain again (Hestness et al.
    2017, arXiv:1712.00409). It is a warning if at c = 0.5 (USUAL) twice the rows would bring 3 points (LARGE) of
    accuracy, or of the constant's loss if there are no classes, and the interval of the accuracy gain is above zero
    too; else a note.
    """
    all_rows, half = evidence.once(_all_rows), evidence.once(_half_of_the_rows)
    loss = gain_over_seeds(half.losses, all_rows.losses)
    score = gain_over_seeds(half.errors, all_rows.errors)
    if max(loss.low, score.low) <= 0 or min(loss.value, score.value) < 0:
        return
    twice = _twice(score)
    is_large = twice.value >= LARGE and score.low > 0
    has_classes = _has_classes(evidence)
    unit = "points of accuracy" if has_classes else "hundredths of the constant's loss"
    count = len(evidence.train)
    yield Finding(
        "warning" if is_large else "note",
        f"from {round(HALF * count):,} to {count:,} training rows the gain is {_points(score)} {unit}; twice the rows "
        f"would bring about {_points(twice)}",
        (
            score.measure("gain from half to all rows", 0.0),
            twice.measure("gain from twice the rows", LARGE),
            loss.measure("fall of the loss from half to all rows", 0.0),
        ),
        confidence=0.9,
        otherwise=("settings that work worse with few rows than with many.",),
        remedies=(
            Remedy("augment the training rows."),
            Remedy("collect and label more rows, starting with the kind that scores worst."),
            drop_more(evidence.recipe),
        ),
        charts=(_curve(half, all_rows, count, twice, "share of wrong answers" if has_classes else "loss"),),
    )


def unstable(evidence: TrainingEvidence) -> Iterator[Finding]:
    """unstable

    The score changes with the seed alone.

    Why it matters: one score is luck, and a comparison of two settings means nothing if the seeds differ by more.

    How it is decided: training is repeated from two other seeds. The score is the accuracy on the validation part, or
    the loss as a share of a constant's if there are no classes. The lower end of the 95 % interval of the standard
    deviation of the three scores must be above 2 points (UNSTABLE). The part that comes from the choice of validation
    rows is removed first (two-way analysis of variance; Searle et al. 1992, "Variance components"). With three seeds, a
    spread below 4 points is never certain.
    """
    measured = evidence.once(_all_rows)
    spread = spread_over_seeds(measured.errors)
    if spread.low <= UNSTABLE:
        return
    has_classes = _has_classes(evidence)
    told = [1 - mean if has_classes else mean for mean in measured.errors.mean(1)]
    seeds = _seeds(evidence)
    what = "accuracy" if has_classes else "loss as a share of the constant's"
    most, longer = max(4, evidence.recipe.members), 2 * evidence.recipe.epochs
    yield Finding(
        "warning",
        f"{what} on the validation part is "
        + ", ".join(f"{score:.1%} (seed {seed})" for score, seed in zip(told, seeds, strict=True)),
        (spread.measure("standard deviation over seeds", UNSTABLE),),
        confidence=0.95,
        otherwise=("one of the three seeds failed completely: look at it alone.",),
        remedies=(
            AVERAGE,
            Remedy("train several networks and average their answers.", {"members": most}),
            Remedy(
                "train longer, with a learning rate that falls towards the end.",
                {"epochs": longer, "schedule": "cosine"},
            ),
        ),
        charts=(bars(f"{what} by seed", "seed", what, zip(map(str, seeds), told, strict=True)),),
    )


def _all_rows(evidence: TrainingEvidence) -> _Measured:
    """This training, and two more from other seeds."""
    again = _again(evidence, 1.0, _seeds(evidence)[1:])
    return _measured(evidence, (evidence.network, *again))


def _half_of_the_rows(evidence: TrainingEvidence) -> _Measured:
    return _measured(evidence, _again(evidence, HALF, _seeds(evidence)))


def _seeds(evidence: TrainingEvidence) -> tuple[int, ...]:
    return tuple(range(evidence.recipe.seed, evidence.recipe.seed + SEEDS))


def _again(evidence: TrainingEvidence, share: float, seeds: Sequence[int]) -> list[nn.Module]:
    if evidence.build is None or not evidence.is_over:
        raise Skip("the network's initial weights are not known" if evidence.is_over else "training is not over")
    if evidence.retrain is None or evidence.run is None:
        raise Skip(f"it needs {2 * SEEDS - 1} further training runs: use --deep")
    evidence.once(parts)  # too few validation rows are reported before the work, not after
    return [run.network for run in evidence.retrain(share, seeds)]


def _measured(evidence: TrainingEvidence, networks: Sequence[nn.Module]) -> _Measured:
    """All networks see the rows in the same order, drawn from the recipe's seed."""
    found = [part_of(replace(evidence, network=network), evidence.valid) for network in networks]
    losses = np.stack([part.losses for part in found])
    if not np.isfinite(losses).all():
        raise Skip("a repeated training gives answers that are NaN or infinite")
    if _has_classes(evidence) and found[0].outputs.shape[1]:
        return _Measured(np.stack(list(map(_recalibrated, found))), np.stack([1 - hits(part) for part in found]))
    of_constant = chance(evidence, list(evidence.drawn(evidence.valid, evidence.recipe.batch_size)))
    shares = losses / (of_constant if isfinite(of_constant) else losses.mean())
    return _Measured(shares, shares)


def _recalibrated(part: Part) -> Numbers:
    """Losses at the temperature that fits these rows: as many steps on fewer rows make a network more confident."""
    targets = part.targets.astype(int)
    return cross_entropy(part.outputs / temperature_of(torch.tensor(part.outputs), torch.tensor(targets)), targets)


def _has_classes(evidence: TrainingEvidence) -> bool:
    return bool(evidence.classes)


def _twice(gain: Interval) -> Interval:
    """What twice the rows would bring if the last doubling brought `gain`: 2^-c of it for exponent c."""
    least, most = 2.0 ** -float(EXPONENTS[-1]), 2.0 ** -float(EXPONENTS[0])
    return Interval(
        gain.value * 2.0**-USUAL,
        gain.low * (least if gain.low > 0 else most),
        gain.high * (most if gain.high > 0 else least),
    )


def _points(gain: Interval) -> str:
    return f"{100 * gain.value:+.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"


def _curve(half: _Measured, whole: _Measured, count: int, twice: Interval, what: str) -> Chart:
    """The score measured at half and at all rows, and extrapolated from there."""
    before, now = float(half.errors.mean()), float(whole.errors.mean())
    lines = (
        (before, now, nan),
        (nan, now, max(0.0, now - twice.value)),
        (nan, now, max(0.0, now - twice.low)),
        (nan, now, max(0.0, now - twice.high)),
    )
    names = ("measured", "likely", "at least", "at most")
    places = (HALF * count, float(count), 2.0 * count)
    return Chart("lines", f"{what} by training rows", "training rows", what, names, lines, places)
