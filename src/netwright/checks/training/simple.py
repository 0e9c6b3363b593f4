"""Whether a network is worth it: no simple model does as well."""

from collections.abc import Iterator

import numpy as np

from netwright.checks.evidence import Skip
from netwright.checks.training.capacity import recalibrated
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.held_out import Numbers, parts, twins
from netwright.records.finding import Finding, Measure, Remedy
from netwright.records.run import Run
from netwright.records.standing import Standing, standing
from netwright.statistics import mean

LITTLE = 0.02  # of a constant's score: a network that learned something gains more, even if few rows cannot tell


def no_better_than_simple(evidence: TrainingEvidence) -> Iterator[Finding]:
    """no better than a simple model

    The network does not beat a model that takes a few seconds to fit.

    Why it matters: a simple model is cheaper, faster, easier to explain, and as good here.

    How it is decided: simple models are the best constant, a linear model, nearest neighbors and boosted trees. If they
    were scored on the test part beside the network, the verdict printed with the scores decides: the best of them is
    better than the network, or the 95 % interval of the paired difference in the first metric includes 0. Else the
    losses on validation rows decide (with recalibrated logits, as in `underfitting`): one is lower than the network's,
    or within the 95 % interval of the paired difference. It is serious if the constant is as good on validation rows,
    or, for answers that these simple models do not give, such as forecasts, if the network gains no more than 2 %
    (LITTLE) on it on test rows: few blocks of overlapping windows cannot separate what gains more.
    """
    printed = None if evidence.run is None else standing(evidence.run.scores, evidence.run.baselines)
    if printed is not None and printed.is_ahead:
        return
    try:
        own, simple = evidence.once(recalibrated), evidence.once(twins)
    except Skip:
        if printed is None:
            raise
        own, simple = np.empty(0), dict[str, Numbers]()
    gains = {name: mean(losses - own) for name, losses in simple.items()}
    name = (
        "constant"
        if simple and gains["constant"].low <= 0
        else min(gains, key=lambda one: gains[one].value, default="")
    )
    if not simple and evidence.run is not None and (trivial := _constant(evidence.run)) is not None:
        printed = trivial
    if printed is not None and name != "constant":
        ours = printed.ours
        measure = Measure(ours.name, ours.value, ours.low, ours.high, printed.theirs.value)
        yield _told(printed.is_trivial, printed.named, f"on test rows the network has {printed}", measure)
    elif gains[name].low <= 0:
        plain = evidence.once(parts)[1].losses.mean()
        text = f"a {name} model's loss is {simple[name].mean():.4g}, the network's {plain:.4g}"
        text += f", {own.mean():.4g} with recalibrated logits" if own.mean() < plain else ""
        yield _told(name == "constant", f"the {name} model", text, gains[name].measure("the network's advantage", 0.0))


def _constant(run: Run) -> Standing | None:
    """How the network stands beside the best constant on the test rows; None if it beats it, or gains something."""
    found = standing(run.scores, run.baselines, ("constant",))
    if found is None or not found.is_trivial:
        return None
    gains = found.is_higher and abs(found.ours.value - found.theirs.value) > LITTLE * abs(found.theirs.value)
    return None if gains else found


def _told(is_serious: bool, named: str, text: str, measure: Measure) -> Finding:
    return Finding(
        "error" if is_serious else "note",
        text,
        (measure,),
        confidence=0.95,
        remedies=(Remedy(f"use {named}, or find out why the network does not learn."),),
    )
