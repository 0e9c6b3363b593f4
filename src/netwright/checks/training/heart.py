"""Whether a network can memorize a few rows."""

from collections.abc import Iterator
from math import isfinite

from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.progress import first_network, line, progress
from netwright.checks.training.remedies import SUITED_INIT, wider
from netwright.records.finding import Finding, Measure, Remedy
from netwright.training.probes import FEW, HEART, Learned, learned_by_heart

RIGHT = 0.9  # of 32 rows after 150 steps
LEFT = 0.3  # of the loss, if the task has no accuracy
WEAK = 0.5  # of the first loss left by training: with less, the network can learn


def cannot_fit_a_batch(evidence: TrainingEvidence) -> Iterator[Finding]:
    """cannot fit one batch

    The network cannot memorize 32 training rows, although it has nothing else to do.

    Why it matters: a network that cannot memorize a few rows cannot learn at all; more data and more epochs do not
    help.

    How it is decided: from its initial weights, without dropout and penalties, the network takes 150 steps of Adam at
    three rates on 32 rows. It fails if the best of them has fewer than 0.9 (RIGHT) of the rows right (or leaves more
    than 0.3 (LEFT) of the loss), and if training itself left more than half (WEAK) of its first loss. A network with
    few inputs may learn what is general and not single rows; it is healthy.
    """
    done = evidence.once(progress)
    if done.left <= WEAK:
        return
    learned = evidence.once(by_heart)
    has_score = isfinite(learned.score)
    left = learned.end / learned.start if learned.start > 0 else 0.0
    if (learned.score >= RIGHT) if has_score else (left <= LEFT):
        return
    measure = Measure(f"share of {FEW} rows right", learned.score, threshold=RIGHT)
    yield Finding(
        "error",
        f"after {HEART} steps on {FEW} rows alone the loss went from {learned.start:.4g} to {learned.end:.4g}"
        + (f", {learned.score:.0%} of them are right" if has_score else ""),
        (measure if has_score else Measure("loss left", left, threshold=LEFT),),
        confidence=0.9,
        otherwise=("these rows have equal inputs with different labels.", "too few units to tell the rows apart."),
        remedies=(
            Remedy("check the wiring: what reaches the loss, and what is cut off from it."),
            wider(evidence.recipe, 4),
            SUITED_INIT,
        ),
        charts=(line("loss on 32 rows", "step", "loss", "loss", learned.losses),),
    )


def by_heart(evidence: TrainingEvidence) -> Learned:
    """The experiment, from the initial weights."""
    network = first_network(evidence)
    return learned_by_heart(network, evidence.loss, evidence.task, evidence.train, seed=evidence.recipe.seed)
