"""What is certain while training still runs: seen in the watched steps, explained by the initial weights."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import isfinite, nan
from statistics import fmean, median

import torch

from netwright.checks import TRAINING_STAGES
from netwright.checks.evidence import made, titled
from netwright.checks.training.evidence import TrainingEvidence, of_run
from netwright.checks.training.remedies import ADAMW, CLIP, NEVER_FLAT, SUITED_INIT, warm_up
from netwright.records.errors import DataError, NetwrightError, RecipeError
from netwright.records.finding import Finding, Measure, Remedy
from netwright.records.history import History
from netwright.records.run import Run
from netwright.records.watched import Stretch, Watched
from netwright.resolve import resolve

LEAST_STEPS = 100  # fewer may be a slow start
LEAST_MOMENTS = 4  # consecutive
CHANCE_ROWS = 512  # that the best constant answer is computed from
FAR = 3.0  # times the first loss and that of a constant answer; healthy runs of the zoo stay below 1
NOISE = 10.0  # median absolute deviations over the root of their number: four standard errors of two medians
NOTHING = 0.98  # of the constant's loss left: only the frequency of the answers was learned
LOWER = 10.0  # what the rate is divided by, as after a NaN loss

# Checks that find from the initial weights alone why steps go wrong, in their order.
OF_DIVERGING = ("NW322", "NW321", "NW301", "NW306")
OF_DYING = ("NW313", "NW322", "NW321", "NW303", "NW302")


def beginning(run: Run) -> TrainingEvidence:
    """What is known of a run that is about to train, from its current weights."""
    known = of_run(replace(run, history=History(), watched=Watched()))
    return replace(known, build=partial(deepcopy, run.network), is_over=False)


def sure(evidence: TrainingEvidence) -> Iterator[Finding]:
    """Why training should end now: it diverges, or it is dead for good; nothing if that is not certain.

    The watched steps decide; the network with its initial weights is examined for the cause only then. The first
    LEAST_STEPS steps are not judged. How high a loss is is not judged either if the loss of the best constant answer is
    unknown.

    *Diverging*: in the second half of the steps no loss is below FAR times the first one and the constant's, and the
    median of the last quarter is above that of the quarter before, beyond NOISE. *Dead*: from the first step on no
    weight gets a gradient, or no step moves a weight; or all units of a layer are zero in LEAST_MOMENTS consecutive
    watched steps, and the network has learned no more than a constant answer.
    """
    if evidence.watched.steps < LEAST_STEPS:
        return
    symptoms = ((_standing_still, OF_DYING), (_dead_layer, OF_DYING), (_diverging, OF_DIVERGING))
    for symptom, causes in symptoms:
        for finding in symptom(evidence):
            yield _cause(evidence, causes) or titled(finding)
            return


def told(finding: Finding) -> str:
    """A finding in one line."""
    return f"{finding.code}, {finding.title}: {finding.summary}; fix: {finding.remedies[0].advice}"


def explain(error: NetwrightError, evidence: TrainingEvidence) -> None:
    """Adds the cause to an error that ended training because its losses became NaN or infinite; leaves others alone.

    For a bad cell the error already says everything.
    """
    seen = error.watched
    if seen is None or isinstance(error, DataError) or all(isfinite(s.mean) for s in seen.losses):
        return
    evidence = replace(evidence, watched=seen)
    cause = _cause(evidence, OF_DIVERGING)
    if cause is not None:
        error.remedy = cause.remedies[0].advice
    elif isinstance(error, RecipeError):
        cause = titled(_too_high(evidence, _course(evidence)))
    if cause is not None:
        error.problem += f". Cause: {cause.code}, {cause.title}: {cause.summary}"


def _cause(evidence: TrainingEvidence, codes: tuple[str, ...]) -> Finding | None:
    """The first serious finding of the checks in their order."""
    table = {code: path for stage in TRAINING_STAGES.values() for code, path in stage.items()}
    for code in codes:
        found, _ = made(code, resolve("check", table[code], table), evidence, lambda: 0.0)
        for finding in found:
            if finding.severity != "note":
                return finding
    return None


def _standing_still(evidence: TrainingEvidence) -> Iterator[Finding]:
    seen, moments = evidence.watched, evidence.watched.moments
    if len(moments) < LEAST_MOMENTS or not any(moment.lr > 0 for moment in moments):
        return
    if not any(moment.gradient > 0 or not isfinite(moment.loss) or moment.loss <= 0 for moment in moments):
        yield Finding(
            "error",
            f"no gradient arrived at any weight in {len(moments)} watched steps",
            (Measure("longest gradient", 0.0, threshold=0.0),),
            code="NW302",
            confidence=0.97,
            remedies=(Remedy("check what the loss is computed from: nothing in it depends on the weights."),),
        )
        return
    trainable = {name for name, p in evidence.network.named_parameters() if p.requires_grad}
    if seen.looked >= LEAST_MOMENTS and trainable <= {*seen.never_updated, *seen.without_gradient}:
        yield Finding(
            "error",
            f"no step changed any weight: changes at a rate of {max(m.lr for m in moments):.2g} are lost in rounding",
            (Measure("weights that moved", 0.0, threshold=0.0),),
            code="NW332",
            confidence=0.97,
            remedies=(ADAMW,),
        )


def _dead_layer(evidence: TrainingEvidence) -> Iterator[Finding]:
    seen = evidence.watched
    last, late = seen.moments[-LEAST_MOMENTS:], _behind(seen.losses, 0.5)
    dead = [
        number
        for number in range(len(seen.layers))
        if len(last) == LEAST_MOMENTS and all(moment.layers[number].dead == 1.0 for moment in last)
    ]
    if not dead or not late or not fmean(_means(late)) >= NOTHING * evidence.once(_chance):
        return
    name, began = seen.layers[dead[0]], next(m.step for m in seen.moments if m.layers[dead[0]].dead == 1.0)
    if began > 0:
        yield _too_high(evidence, f"all units of {name} are dead since step {began:,}, killed by long steps")
        return
    yield Finding(
        "error",
        f"all units of {name} are zero on all rows since the first step: no signal and no gradient passes",
        (Measure("largest share of dead units", 1.0, threshold=1.0),),
        code="NW303",
        layers=(name,),
        confidence=0.97,
        remedies=(SUITED_INIT, NEVER_FLAT),
    )


def _diverging(evidence: TrainingEvidence) -> Iterator[Finding]:
    losses, chance = evidence.watched.losses, evidence.once(_chance)
    late, last = _behind(losses, 0.5), _behind(losses, 0.75)
    before = late[: -len(last)]
    if not before or not min(s.least for s in late) >= FAR * chance:
        return
    if min(s.least for s in late) >= FAR * losses[0].mean and _rises(_means(before), _means(last)):
        yield _too_high(evidence, _course(evidence))


def _rises(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether the median rose by more than noise."""
    low, high = median(before), median(after)
    deviation = median([*(abs(x - low) for x in before), *(abs(x - high) for x in after)])
    return high - low > NOISE * deviation / len(after) ** 0.5


def _too_high(evidence: TrainingEvidence, summary: str) -> Finding:
    seen, lr = evidence.watched, evidence.recipe.lr
    losses = [mean for mean in _means(seen.losses) if isfinite(mean)]
    rose = losses[-1] / losses[0] if losses and losses[0] > 0 else nan
    return Finding(
        "error",
        f"{summary} (learning rate {lr:.2g})",
        (Measure("times the first loss", rose),) if isfinite(rose) else (),
        code="NW331",
        confidence=0.9,
        remedies=(
            Remedy(f"lower the learning rate to lr={lr / LOWER:.3g}.", {"lr": max(1e-7, lr / LOWER)}),
            CLIP,
            warm_up(evidence.recipe),
        ),
    )


def _course(evidence: TrainingEvidence) -> str:
    losses = [mean for mean in _means(evidence.watched.losses) if isfinite(mean)]
    if not losses:
        return "the loss was NaN or infinite from the start"
    return f"the loss went from {losses[0]:.4g} to {losses[-1]:.4g} in {evidence.watched.steps:,} steps"


def _behind(losses: tuple[Stretch, ...], share: float) -> list[Stretch]:
    """The moments after this share of all steps."""
    count = losses[-1].first + losses[-1].count if losses else 0
    return [s for s in losses if s.first >= share * count]


def _means(losses: Sequence[Stretch]) -> list[float]:
    return [s.mean for s in losses]


def _chance(evidence: TrainingEvidence) -> float:
    """The loss of the best constant answer; NaN if unknown, and then nothing is above or below it."""
    batch = next(evidence.drawn(evidence.train, CHANCE_ROWS))
    if evidence.task is None or not batch.targets:
        return nan
    with torch.no_grad():
        chance = evidence.task.chance_loss(tuple(t.cpu() for t in batch.targets))
    return chance if chance > 0 else nan
