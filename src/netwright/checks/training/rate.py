"""Learning rates that are too high, too low, or not the fastest."""

from collections.abc import Iterator
from math import isfinite

from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.plan import LOW_SHARE, fallen_share, rates
from netwright.checks.training.progress import BELOW, Progress, best, ladder_chart, progress, rungs, steps_taken
from netwright.checks.training.remedies import ADAMW, CLIP, warm_up
from netwright.records.finding import Finding, Measure, Remedy, Severity
from netwright.training.probes import MARGIN, Rung

RUINED = 2.0  # times the loss of the initial weights: more than dropout adds in training
ROSE = 1.2  # times the loss of the initial weights: noise of a few batches stays below
STUCK = 0.9  # of the first loss left: a few batches show no learning
SLOW = 0.7  # of it left at the end: a rate wrong by powers of ten is one cause
REACHES = 0.7  # of the loss: the rate is at fault if another one gets below in a few steps
SAFE = 3.0  # the best rung is near the edge where training diverges: a third of it is safe
TWICE = 2.0  # times as fast is worth reporting
LATE = 1 / 3  # of the epochs: more than any warm-up or settling takes
TIMES = 10  # times what the whole training gained, in fewer steps
LEAST = 0.05  # of the first loss: more than batches differ by
LAST, FALLING = 0.2, 0.05  # of the epochs, and of all that the loss fell: less means it has converged


def rate_too_high(evidence: TrainingEvidence) -> Iterator[Finding]:
    """learning rate too high

    The steps are so long that they overshoot. The loss rises or does not fall, while the same network learns from the
    same batches with shorter steps.

    Why it matters: the network learns little or nothing, and no other remedy helps until this one is applied.

    How it is decided: the ladder. The network starts again from its initial weights at nine learning rates, a factor of
    ten apart, for at most 60 steps on the same batches. There are three ways to be too high. One: the whole training
    left more than 0.9 (STUCK) of the loss, or its loss rose to 1.2 times (ROSE) the first one, while a rate at least
    ten times lower leaves less than 0.9 in these few steps. Two: such a rate leaves less than 0.7 (REACHES) of the loss
    and beats the end of the whole training clearly. Clearly means by a tenth (MARGIN) of the rung's gain, and with
    training's gain < 0.7 * rung's gain or rung's loss left < 0.7 * training's loss left. If the training's own rate
    does as well in these few steps, it is too high only if the training ended clearly above that: later steps lost it.
    Three, for networks that start at a fit: both these few steps and the last epoch have twice the loss of the initial
    weights (RUINED), and such a lower rate does not raise it. It is a note if, for at least a third of its epochs
    (LATE), the training was above what such a lower rate leaves in these few steps, by a tenth of what it gained, and
    came down when its schedule did. Smith 2015, arXiv:1506.01186, tries rates in this way.
    """
    done, tried = evidence.once(progress), evidence.once(rungs)
    lower, top, own = best(tried[:BELOW]), best(tried), tried[BELOW]
    if lower is None or top is None or (top.lr > evidence.recipe.lr and isfinite(done.end)):
        return
    if own.end <= lower.end and not _lost_later(own, done):  # not if its own rung diverges: NaN
        return
    is_lost = not isfinite(done.end) or done.left > STUCK or done.rose > ROSE
    is_late = _late(evidence, lower) >= LATE
    is_ruined = lower.progress <= 1 and _is_ruined(evidence, own)
    if not is_ruined and not lower.progress < (STUCK if is_lost or is_late else REACHES):
        return
    beaten = lower.progress < REACHES and _beats(lower, done)
    if is_lost or is_ruined or beaten or is_late:
        yield _found(
            evidence,
            "error" if is_lost or is_ruined else "warning" if beaten else "note",
            lower,
            STUCK,
            (_third(lower), warm_up(evidence.recipe), CLIP),
        )


def _is_ruined(evidence: TrainingEvidence, own: Rung) -> bool:
    """Whether the training's own rate undoes what the initial weights know, from the first steps to the last epoch."""
    epochs, start = evidence.history.epochs, evidence.once(progress).start
    if not epochs or not isfinite(start):
        return False
    return not own.end <= RUINED * own.start and not epochs[-1].train_loss <= RUINED * start


def rate_too_low(evidence: TrainingEvidence) -> Iterator[Finding]:
    """learning rate too low

    The steps are so short that training ends long before the network has learned what it could.

    Why it matters: the time is wasted, and the score looks like the best that the network can do.

    How it is decided: the ladder of `learning rate too high`. The rate is too low if, within at most 60 steps from the
    initial weights, a rate at least ten times higher beats the end of the whole training clearly, as defined there, and
    leaves at most 0.7 (REACHES) of the loss. If training left more than 0.9 (STUCK), it is enough that the higher rate
    gains, beyond as many steps at the training's own rate, ten times (TIMES) what all steps of training gained, and 5 %
    (LEAST) of the first loss. If the training's own rate beats the training in fewer steps, it is not at fault. It is
    serious if the whole training left more than 0.7 (SLOW). If the schedule is at fault, that is reported instead.
    """
    done, tried = evidence.once(progress), evidence.once(rungs)
    higher, top = best(tried[BELOW + 1 :]), best(tried)
    if higher is None or top is None or top.lr < evidence.recipe.lr:
        return
    if steps_taken(evidence) and tried[BELOW].beats(done.end):  # in fewer steps at the training's own rate
        return
    own = tried[BELOW].end  # there the statistics of batch norm have moved too
    won = own - higher.end
    is_stuck = done.left > STUCK and won > TIMES * (own - done.end) and won > LEAST * higher.start
    if not (is_stuck or higher.progress < REACHES):
        return
    if fallen_share(rates(evidence)) > LOW_SHARE:
        return
    if isfinite(done.end) and (is_stuck or _beats(higher, done)):
        yield _found(
            evidence,
            "error" if done.left > SLOW else "warning",
            higher,
            SLOW,
            (_third(higher), ADAMW),
        )


def slow_convergence(evidence: TrainingEvidence) -> Iterator[Finding]:
    """slow convergence

    Training gets there, but another learning rate gets as far in half of the steps or less.

    Why it matters: the same score could take half the time, or the same time could give a better score.

    How it is decided: the ladder of `learning rate too high`. A rung is reported if it reaches the final loss of the
    training's own rung in half (TWICE) of its steps, and if the training's loss still fell in its last fifth (LAST) by
    5 % (FALLING) of its total fall. If the rate is too high or too low, that is reported instead.
    """
    tried = evidence.once(rungs)
    own, top = tried[BELOW], best(tried)
    if top is None or top is own or not isfinite(own.end) or not _is_unfinished(evidence):
        return
    if any(True for check in (rate_too_high, rate_too_low) for _ in check(evidence)):
        return
    needed = _reached(top, own)
    if needed * TWICE <= len(own.losses):
        rate = top.lr / SAFE if top.lr > own.lr else top.lr
        yield Finding(
            "note",
            f"lr {top.lr:.2g} reaches in {needed} steps what lr {own.lr:.2g} reaches in {len(own.losses)}",
            (Measure("times as fast", len(own.losses) / needed, threshold=TWICE),),
            confidence=0.8,
            otherwise=("speed at the start is not the final score: a lower rate may end better.",),
            remedies=(Remedy(f"try lr={rate:.2g} with a schedule that falls at the end.", {"lr": rate}),),
            charts=(ladder_chart(tried, own.lr, own.end),),
        )


def _beats(rung: Rung, done: Progress) -> bool:
    clearly = rung.end < done.end - MARGIN * (rung.start - rung.end)  # False if training ended in NaN
    # Noisy labels allow little gain and easy ones leave little loss: the training must be worse in one of the two.
    return clearly and (done.start - done.end < REACHES * (rung.start - rung.end) or rung.end < REACHES * done.end)


def _lost_later(own: Rung, done: Progress) -> bool:
    """Whether the own rate did well in the first steps, and the training lost it in later ones."""
    return not done.end <= own.end + MARGIN * (own.start - own.end)


def _late(evidence: TrainingEvidence, rung: Rung) -> float:
    """The share of the epochs whose validation loss was clearly above what the rung reached."""
    losses = evidence.valid_losses
    high = rung.end + MARGIN * (rung.start - rung.end)
    return sum(loss > high for loss in losses) / len(losses) if losses and losses[-1] < rung.end else 0.0


def _is_unfinished(evidence: TrainingEvidence) -> bool:
    losses = [epoch.train_loss for epoch in evidence.history.epochs]
    if len(losses) < 2:
        return True
    before = losses[-1 - max(1, round(LAST * len(losses)))]
    return before - losses[-1] > FALLING * (losses[0] - losses[-1])


def _reached(rung: Rung, own: Rung) -> int:
    """The steps until a rung's running mean loss is as low as another's at its end."""
    wide = max(1, len(own.losses) // 10)
    goal = sum(own.losses[-wide:]) / wide
    means = (sum(rung.losses[k : k + wide]) / wide for k in range(len(rung.losses) - wide + 1))
    return next((k + wide for k, mean in enumerate(means) if mean <= goal), len(own.losses))


def _third(rung: Rung) -> Remedy:
    rate = rung.lr / SAFE
    return Remedy(f"set lr={rate:.2g}, a third of the best rate of the ladder.", {"lr": rate})


def _found(
    evidence: TrainingEvidence, severity: Severity, rung: Rung, most_left: float, remedies: tuple[Remedy, ...]
) -> Finding:
    done, lr = evidence.once(progress), evidence.recipe.lr
    epochs = evidence.history.epochs
    summary = (
        f"lr {rung.lr:.2g} brings the loss from {rung.start:.4g} to {rung.end:.4g} in {len(rung.losses)} steps; "
        f"the training with lr {lr:.2g} ended at {done.end:.4g}"
    )
    own = evidence.once(rungs)[BELOW]
    if rung.lr < lr and _is_ruined(evidence, own):
        summary += f", since it kept what came before an epoch: the last epoch had {epochs[-1].train_loss:.4g}"
    elif rung.lr < lr and own.end <= rung.end:
        summary += f", though its first {len(own.losses)} steps alone reach {own.end:.4g}: later ones lost it"
    measures = [Measure("loss left by the other rate", rung.progress, threshold=REACHES)]
    if isfinite(done.left):
        measures.append(Measure("loss left by the training", done.left, threshold=most_left))
    chart = ladder_chart(evidence.once(rungs), lr, done.end)
    sure = 0.95 if severity == "error" else 0.85
    return Finding(severity, summary, tuple(measures), confidence=sure, remedies=remedies, charts=(chart,))
