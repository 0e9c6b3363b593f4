"""Losses that swing, and losses that jump."""

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite
from statistics import median

from netwright.checks.evidence import Skip
from netwright.checks.training.capacity import falls_short
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.held_out import parts
from netwright.checks.training.progress import line, progress
from netwright.checks.training.remedies import AUDIT_LABELS, AVERAGE, CLIP, FALL
from netwright.records.finding import Finding, Measure, Remedy

LEAST_EPOCHS = 6  # fewer show no swing
SETTLING = 0.2  # of the epochs at the start may go up and down
SWING = 0.05  # of all that the training won, as much as a simple model may be ahead by: a move up by more is a swing
SWINGS, TWICE = 0.15, 2  # share of the epochs, of which a swing takes two or more; single bad ones happen to the best
LEAST_STRETCHES = 8
JUMP = 10.0  # times the median absolute deviation: not one in a million steps of a calm training
RECOVERED = 2.0  # times it above the level before: what a jump may leave behind


def oscillation(evidence: TrainingEvidence) -> Iterator[Finding]:
    """oscillation

    The validation loss goes up and down from epoch to epoch instead of falling.

    Why it matters: the steps jump from side to side of a valley; which epoch is the best is then luck, and the luck
    was chosen on the validation part.

    How it is decided: of the epochs after the first fifth (SETTLING), those whose validation loss rises by more than
    5 % (SWING) of all that it fell from the untrained network's, and by more than the standard error of a mean over so
    many rows, and falls again by as much later, are swings; 15 % of the epochs (SWINGS) have to swing, and two at least
    (TWICE). A loss that rises and stays up is overfitting, not a swing; small moves of what is learned already are
    chance.
    """
    losses = evidence.valid_losses
    if len(losses) < LEAST_EPOCHS:
        raise Skip(f"fewer than {LEAST_EPOCHS} epochs with a validation loss")
    calm = losses[round(SETTLING * len(losses)) :]
    fell = max(losses[0], evidence.once(progress).untrained) - min(losses)
    if not isfinite(fell) or fell <= 0:
        return
    _, valid = evidence.once(parts)
    # The rows are the same in each epoch: differences vary less than a mean over other rows would.
    least = max(SWING * fell, float(valid.losses.std()) / len(valid.losses) ** 0.5)
    swings = sum(
        after - before > least and min(calm[k + 2 :], default=after) < after - least
        for k, (before, after) in enumerate(pairwise(calm))
    )
    share = swings / len(calm)
    if share >= SWINGS and swings >= TWICE:
        lr = evidence.recipe.lr / 3
        yield Finding(
            "warning",
            f"the validation loss, which fell by {fell:.3g}, swings by more than {least:.3g} "
            f"in {swings} of {len(calm)} epochs",
            (Measure("share of epochs that swing", share, threshold=SWINGS),),
            confidence=0.9,
            otherwise=("a validation part of few rows swings by itself.",),
            remedies=(
                Remedy(f"set lr={lr:.2g}, a third of it.", {"lr": lr}),
                FALL,
                AVERAGE,
                Remedy("take larger batches.", {"batch_size": min(65536, 4 * evidence.recipe.batch_size)}),
            ),
            charts=(line("validation loss", "epoch", "loss", "validation", losses, range(1, len(losses) + 1)),),
        )


def loss_spikes(evidence: TrainingEvidence) -> Iterator[Finding]:
    """loss spikes

    Single steps whose loss jumps far above those around them.

    Why it matters: one bad batch, or one long step, can undo epochs of work.

    How it is decided: steps are seen in stretches. A stretch whose highest loss lies ten times (JUMP) the median
    absolute deviation above the median of the stretches around it is a spike. It is a warning where the mean loss
    stays twice the deviation (RECOVERED) above the level before it to the end, and where it comes down again from above
    the loss of the first steps but the training falls short of a simple model; where it does not, that is a note. Lower
    spikes that pass are not told.
    """
    stretches = evidence.watched.losses
    if len(stretches) < LEAST_STRETCHES:
        raise Skip("too few steps were watched")
    found = list[int]()
    for k in range(2, len(stretches)):
        near = stretches[max(0, k - 4) : k + 5]
        around, usual = [s.mean for s in near if isfinite(s.mean)], [s.most - s.mean for s in near if isfinite(s.most)]
        deviation = median(abs(x - median(around)) for x in around) + median(usual)
        if stretches[k].most - median(around) > JUMP * deviation > 0:
            found.append(k)
    if not found:
        return
    before = [s.mean for s in stretches[max(0, found[0] - 4) : found[0]]]
    after = [s.mean for s in stretches[found[-1] + 1 :]]
    spread = median(abs(x - median(before)) for x in before) or 1e-12
    stays = bool(after) and min(after) > median(before) + RECOVERED * spread
    if not stays and max(stretches[k].most for k in found) <= stretches[0].mean:
        return  # not even as bad as the untrained network, and gone again
    short = "" if stays else falls_short(evidence)
    yield Finding(
        "warning" if stays or short else "note",
        f"the loss jumps {len(found)} times, first near step {stretches[found[0]].first:,}, "
        + ("and never comes down to where it was" if stays else "and comes down again")
        + (f"; {short}" if short else ""),
        (Measure("spikes", len(found)), Measure("highest loss", max(stretches[k].most for k in found))),
        confidence=0.9,
        otherwise=("a batch of hard or wrong rows.",),
        remedies=(CLIP, Remedy("let the learning rate rise slowly.", {"warmup": 0.1}), AUDIT_LABELS),
    )
