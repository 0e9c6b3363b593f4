"""How easily small changes of the inputs make answers wrong."""

from collections.abc import Iterator

from netwright.attacks.campaign import Campaign
from netwright.attacks.ways import ways_between, ways_of
from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.defenses.hardening import UNSEEN
from netwright.records.errors import DataError
from netwright.records.finding import Finding, Remedy
from netwright.records.threat import Reach, Threat
from netwright.statistics import share

ROWS = 64  # attacked; their gradient steps cost about as much as ten training steps
STEPS = 10
SURFACE = 0.5  # of the right answers should stay right


def attack_surface(evidence: TrainingEvidence) -> Iterator[Finding]:
    """attack surface

    Changes that a person would not notice turn most right answers wrong.

    Why it matters: whoever can send inputs can choose the answers, and rare disturbances may do the same. For data
    that nobody outside can send it may not matter, so it is a note.

    How it is decided: ten gradient steps on 64 rows that training did not see, each value by as much as a person would
    not notice: 8 of 255 levels of a pixel, a tenth of a column's spread. Fewer than half of the right answers (SURFACE)
    stay right. `netwright attack` tries much more. Goodfellow et al. 2014, arXiv:1412.6572.
    """
    run = evidence.run
    if run is None or not (run.schema.inputs or run.bounds) or not run.task.can_be_wrong:
        raise Skip("it is not known which changes of the inputs would go unnoticed")
    batch = next(evidence.drawn(evidence.valid if len(evidence.valid) else evidence.train, ROWS))
    try:
        ways = ways_between(batch.inputs, *run.bounds) if run.bounds else ways_of(run.schema, Reach())
    except DataError as error:
        raise Skip(error.problem) from None
    if not any(way.moves for way in ways):
        raise Skip("no input holds values that can change a little")
    size = UNSEEN if run.bounds else 1.0
    campaign = Campaign(evidence.network, batch, run.task, Threat(ways, size, seed=run.recipe.seed))
    campaign.attack("pgd", campaign.right, {"steps": STEPS})
    right, left = int(campaign.right.sum()), int(campaign.standing.sum())
    if left < SURFACE * right:
        yield Finding(
            "note",
            f"{left:,} of {right:,} right answers stay right if an adversary makes changes that nobody would notice",
            measures=(share(left, right).measure("stay right", SURFACE),),
            remedies=(
                Remedy("see what an adversary can do: netwright attack RUN."),
                Remedy(
                    "train against it: netwright harden RUN --method adversarial.", cost="3 to 10 times the training"
                ),
            ),
        )
