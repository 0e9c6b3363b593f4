"""A watched loop against a replay of its first steps: the same weights, rows, optimizer and rates, in a plain loop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from statistics import fmean
from typing import final

import torch
from torch import nn

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.progress import first_network, line, progress, shown_batches, steps_taken
from netwright.checks.training.rows import Found, found_again
from netwright.machine.randomness import mixed, reseed
from netwright.records.finding import Finding, Measure, Remedy
from netwright.records.watched import Loop, Stretch
from netwright.training.probes import MARGIN, as_the_recipe, copied, joined_batches, mean_loss, steps_of

BEHIND = 0.5  # of what each replay gained: batches in another order change less, in every healthy loop tried
ORDERS = 3  # of the rows: chance may favor one
LONG = 512  # steps to try if a loop never learned and 64 are too few to tell: about a second for a small network
LEARNED = 0.1  # of the loss left: no replay of a few steps is worth its time
DRAWS = 5  # of dropout
APART = 0.02  # of the loss: more than arithmetic of lower precision changes
SAME = 1e-3  # of a ratio of losses: as exact as a sum over the rows is


@final
@dataclass(frozen=True)
class Replay:
    """The loop and its replays after as many steps, on the same rows in evaluation mode."""

    steps: int
    start: float
    loop: float
    ends: tuple[float, ...]  # of replays with other orders; the first alone if the loop is not behind it
    losses: tuple[float, ...]  # of the first replay's steps

    @property
    def is_behind(self) -> bool:
        """Whether the loop gained far less than each replay."""
        gains, own = [self.start - end for end in self.ends], self.start - self.loop
        if not all(map(isfinite, gains)) or min(gains) <= 0:
            return False
        return not isfinite(own) or (own < BEHIND * min(gains) and min(gains) - own > MARGIN * self.start)


def another_loop(evidence: TrainingEvidence) -> Iterator[Finding]:
    """your loop does something else

    Netwright's plain loop learns far more than yours in the same number of steps, from the same weights, with the same
    rows, optimizer and learning rates. So your loop does something else than what was adopted.

    Why it matters: remedies for the learning rate or the network would treat the wrong part. Remedies are tried in
    netwright's own loop, which does not have the fault.

    How it is decided: the watch kept the weights after 64 steps (SOON), or the training ended earlier. From the initial
    weights, the loop's optimizer takes as many steps at the watched rates, on batches of the adopted rows with the
    adopted loss. Both are compared on the same rows in evaluation mode. The loop is behind if it gained less than half
    (BEHIND) of what the replay gained, and less by a tenth (MARGIN) of the first loss, in each of three orders (ORDERS)
    of the rows. It is a finding if, besides, the whole training ended above the replay by a tenth of what that gained.
    If the loop never learned and 64 steps show little, up to 512 steps (LONG) are compared with the loop's end. A loop
    that learned nine tenths (LEARNED) is not replayed, nor one with several optimizers or in evaluation mode.

    If the rows of a watched step are found in the data, the loss of that step is compared with the adopted loss of
    these rows at the same weights: they are apart by more than 2 % (APART) and more than dropout explains, and a sum
    over the batch shows as a factor.
    """
    done = evidence.once(progress)
    if done.left <= LEARNED:
        return
    replay = evidence.once(replayed)
    worst = max(replay.ends)
    if not replay.is_behind or done.end <= worst + MARGIN * (replay.start - worst):
        return
    told, advice = _told(evidence)
    yield Finding(
        "error",
        f"your loop does something else than what was adopted: in {replay.steps} steps it brings the loss from "
        f"{replay.start:.4g} to {replay.loop:.4g}, a plain loop with the same weights, rows, optimizer and rates to "
        f"{replay.ends[0]:.4g}{told}",
        (
            Measure("loss after these steps of your loop", replay.loop if isfinite(replay.loop) else 1e38),
            Measure("loss after as many steps of the replay", worst),
        ),
        confidence=0.95,
        otherwise=("a penalty, label smoothing or clipping in your loop, if it is meant to be that strong.",),
        remedies=(
            Remedy(advice),
            Remedy(
                "compare your loop with the plain one: zero_grad, loss(network(x[rows]), y[rows]).backward(), step, "
                "for each batch. Look for labels or rows of another batch, labels that are shuffled inside the loop, a "
                "step that is not taken for each batch, a scheduler that is stepped too often, another loss."
            ),
        )[0 if advice else 1 :],
        charts=(line("loss of the replay's steps", "step", "loss", "replay", replay.losses),),
    )


def replayed(evidence: TrainingEvidence) -> Replay:
    """The loop's first steps again. Raises Skip if it was not watched, or cannot be repeated."""
    seen, loop, taken = evidence.watched, None if evidence.run is None else evidence.run.loop, steps_taken(evidence)
    if loop is None or not seen.rates:
        raise Skip("the training is not a loop that was watched")
    if loop.optimizer is None:
        raise Skip("a loop with several optimizers, or one that needs a closure, is not replayed")
    if seen.evaluating:
        raise Skip("the loop was in evaluation mode")
    if taken <= loop.early_steps:
        return _compared(evidence, loop, evidence.network, taken)
    if loop.early is None:
        raise Skip("the network's early weights are not known")
    soon = _compared(evidence, loop, loop.early(), loop.early_steps)
    if soon.is_behind or evidence.once(progress).left < 1 - MARGIN:
        return soon
    if taken > LONG and _fell(seen.losses):  # and rose again after the steps that a replay can try
        return soon
    return _compared(evidence, loop, evidence.network, min(taken, LONG))  # it never learned: more steps cannot hurt it


def _fell(losses: Sequence[Stretch]) -> bool:
    """Whether the losses of some tenth of the steps were clearly below those of the first tenth."""
    size = -(-len(losses) // 10)
    means = [fmean(stretch.mean for stretch in losses[k : k + size]) for k in range(0, len(losses), size)]
    return min(means) < (1 - MARGIN) * means[0]


def _compared(evidence: TrainingEvidence, loop: Loop, network: nn.Module, steps: int) -> Replay:
    """The loop's network beside replays of so many steps."""
    shown, seed = shown_batches(evidence), evidence.recipe.seed
    first, reached = first_network(evidence), mean_loss(network, evidence.loss, shown)
    start = mean_loss(first, evidence.loss, shown)
    rates = [next(s.mean for s in evidence.watched.rates if s.first + s.count > step) for step in range(steps)]
    now = Replay(steps, start, reached, (), ())
    for order in range(ORDERS):
        batches = joined_batches(evidence.train, evidence.recipe, steps, seed + order, first)
        with copied(first) as copy:
            try:
                optimizer = (loop.optimizer or as_the_recipe(evidence.recipe))(copy, rates[0])
                run = tuple(steps_of(copy, evidence.objective, batches, optimizer, seed, rates=rates))
            except (TypeError, ValueError, KeyError, RuntimeError) as problem:
                raise Skip(f"its optimizer cannot be repeated: {type(problem).__name__}") from problem
            end = mean_loss(copy, evidence.loss, shown) if len(run) == steps else nan
        now = replace(now, ends=(*now.ends, end), losses=now.losses or run)
        if not now.is_behind:
            break
    return now


def _told(evidence: TrainingEvidence) -> tuple[str, str]:
    """What the loss of a watched step shows beside the objective's value, and what to do about it."""
    for found in evidence.once(found_again):
        network = _network_of(evidence, found)
        loss = found.seen.loss
        if network is None or loss is None or len(found.places) < len(found.seen.inputs[0]):
            continue
        values = _values(evidence, network, found)
        own, used, spread = fmean(values), float(loss.float().mean()), max(values) - min(values)
        if not own or not isfinite(used) or abs(used - own) <= max(APART * abs(own), 3 * spread):
            continue
        count = len(found.places)
        told = (
            f"; on the rows of step {found.seen.step:,}, at the same weights, your loop's loss is {used:.4g} and the "
            f"adopted loss {own:.4g}"
        )
        if abs(used / own / count - 1) < SAME + spread / abs(own):
            return (
                f"{told}, {count} times as much: a sum over the batch (reduction='sum')",
                "take the mean over the batch (reduction='mean'), or divide the learning rate by the batch size.",
            )
        return told, ""
    return "", ""


def _network_of(evidence: TrainingEvidence, found: Found) -> nn.Module | None:
    """The network as it was in that pass."""
    loop = None if evidence.run is None else evidence.run.loop
    if found.seen.step == 0:
        return first_network(evidence)
    return loop.early() if loop is not None and loop.early is not None and found.seen.step == loop.early_steps else None


def _values(evidence: TrainingEvidence, network: nn.Module, found: Found) -> list[float]:
    """The objective on the rows of a pass in its mode, several times for dropout."""
    values = list[float]()
    with copied(network) as copy, torch.no_grad():
        copy.train(not found.seen.is_evaluating)
        for draw in range(DRAWS):
            reseed(mixed(draw))
            values.append(float(evidence.objective(copy, found.batch).mean()))
    return values
