"""Losses that swing, and losses that jump."""

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite
from statistics import median

from netwright.checks.evidence import Skip
from netwright.checks.training.capacity import falls_short
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.held_out import independent, parts
from netwright.checks.training.progress import line, progress
from netwright.checks.training.remedies import AUDIT_LABELS, AVERAGE, CLIP, FALL
from netwright.records.finding import Finding, Measure, Remedy

LEAST_EPOCHS = 6  # fewer show no swing
SETTLING = 0.2  # of the epochs, at the start, may go up and down
SWING = 0.05  # of the training's total gain, the lead a simple model may have: a larger rise is a swing
SWINGS, TWICE = 0.15, 2  # share of the epochs, and at least so many: a single bad epoch is common
LEAST_STRETCHES = 8
JUMP = 10.0  # times the median absolute deviation: less than one in a million steps of calm training
RECOVERED = 2.0  # times it above the earlier level: less is a recovery


def oscillation(evidence: TrainingEvidence) -> Iterator[Finding]:
    """oscillation

    The validation loss goes up and down from epoch to epoch instead of falling.

    Why it matters: the steps jump from side to side of a valley. Which epoch is best is then luck, and that luck was
    selected on the validation part.

    How it is decided: the first fifth of the epochs (SETTLING) is ignored. An epoch swings if its validation loss rises
    by more than 5 % (SWING) of the total fall from the untrained network's loss and by more than the standard error of
    a mean over so many rows (or groups of rows that share something, as windows do), and later falls by as much. 15 %
    of the epochs (SWINGS), and at least two (TWICE), must swing. A loss that rises and stays up is overfitting, not a
    swing. Small moves late in training are chance.
    """
    losses = evidence.valid_losses
    if len(losses) < LEAST_EPOCHS:
        raise Skip(f"fewer than {LEAST_EPOCHS} epochs with a validation loss")
    calm = losses[round(SETTLING * len(losses)) :]
    fell = max(losses[0], evidence.once(progress).untrained) - min(losses)
    if not isfinite(fell) or fell <= 0:
        return
    _, valid = evidence.once(parts)
    # Rows are the same in each epoch, so differences vary less than means over new rows would.
    count = min(len(valid.losses), independent(evidence.valid))
    least = max(SWING * fell, float(valid.losses.std()) / count**0.5)
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
            otherwise=("a small validation part swings by itself.",),
            remedies=(
                Remedy(f"set lr={lr:.2g}, a third of it.", {"lr": lr}),
                FALL,
                AVERAGE,
                Remedy("use larger batches.", {"batch_size": min(65536, 4 * evidence.recipe.batch_size)}),
            ),
            charts=(line("validation loss", "epoch", "loss", "validation", losses, range(1, len(losses) + 1)),),
        )


def loss_spikes(evidence: TrainingEvidence) -> Iterator[Finding]:
    """loss spikes

    The loss of single steps jumps far above the steps around them.

    Why it matters: one bad batch, or one long step, can undo epochs of work.

    How it is decided: steps are grouped into stretches. A stretch is a spike if its highest loss is ten times (JUMP)
    the median absolute deviation above the median of the stretches around it. It is a warning if the mean loss stays
    twice the deviation (RECOVERED) above its earlier level to the end. It is also a warning if a spike above the loss
    of the first steps comes down again but the training falls short of a simple model; else that is a note. Lower
    spikes that pass are not reported.
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
        return  # below the untrained network's loss, and gone again
    short = "" if stays else falls_short(evidence)
    yield Finding(
        "warning" if stays or short else "note",
        f"the loss jumps {len(found)} times, first near step {stretches[found[0]].first:,}, "
        + ("and never recovers" if stays else "and recovers")
        + (f"; {short}" if short else ""),
        (Measure("spikes", len(found)), Measure("highest loss", max(stretches[k].most for k in found))),
        confidence=0.9,
        otherwise=("a batch of hard or mislabeled rows.",),
        remedies=(CLIP, Remedy("warm up the learning rate.", {"warmup": 0.1}), AUDIT_LABELS),
    )
