"""What a run's recipe says of the adversary in training."""

from typing import cast

from netwright.attacks.ways import ways_between
from netwright.records.errors import DataError
from netwright.records.run import Run
from netwright.records.threat import Hardening, Norm, Reach, Threat

UNSEEN = 8 / 255  # of the range of an engineer's own inputs: the usual L-infinity radius for natural images


def hardening_of(run: Run) -> Hardening:
    """The adversary and the teacher of a run's training.

    Its reach is a share of each input's range, or what a person would not notice. An engineer's own inputs move between
    `run.bounds`; if these are unknown there are no ways.
    """
    recipe, share = run.recipe, run.recipe.defense_eps
    if run.schema.inputs:
        reach = Reach(is_share=share > 0)
        ways, size = tuple(block.way(reach) for block in run.schema.blocks), share or 1.0
    else:
        inputs = next(run.train.batches(1, seed=None)).inputs if run.bounds else ()
        ways, size = ways_between(inputs, *run.bounds) if run.bounds else (), share or UNSEEN
    threat = Threat(ways, size, cast(Norm, recipe.defense_norm))
    teacher = None if run.teacher is None else run.teacher.network
    return Hardening(threat, teacher, recipe.temperature)


def moving(hardening: Hardening) -> Threat:
    """The adversary. Raises DataError if they cannot move any value a little: training has no swaps of words."""
    threat = hardening.threat
    if not threat.ways:
        problem = "the range of the inputs of this network is unknown, so the adversary's reach is too"
        raise DataError(problem, remedy="give it: nw.adopt(..., bounds=(0.0, 1.0)).")
    if any(way.moves for way in threat.ways):
        return threat
    raise DataError(
        "no input has values that can move a little, so training has nothing to resist",
        remedy="set defense_eps above 0 for numbers; for words and categories, choose another method.",
    )
