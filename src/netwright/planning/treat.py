"""Remedies tried on paired seeds: what makes a training better beyond chance is kept, the rest is rolled back."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from math import exp, log
from typing import final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from netwright.data.examples import augmented
from netwright.data.readers.files import counted
from netwright.models import ACTIVATIONS
from netwright.planning import MENDS
from netwright.planning.mends import are_equal, mended
from netwright.planning.paired import Measures, check_seeds, gain, losses_of
from netwright.planning.quick import attempted, trained
from netwright.records.errors import DataError, NetwrightError, RecipeError, listed
from netwright.records.finding import Finding, Remedy, Report
from netwright.records.history import Progress
from netwright.records.note import Note, Tried, edited
from netwright.records.proof import Gain
from netwright.records.recipe import settings
from netwright.records.run import Run, fresh, with_result
from netwright.tasks.classification import Classification
from netwright.training import OPTIMIZERS
from netwright.training.adopt import designed, knows_first_weights
from netwright.training.calibrate import calibrate
from netwright.training.evaluate import device_of, predictions

# Settings that decide the network itself: of an engineer's own they need a function that follows them, or a mend.
OF_THE_NETWORK = (
    "depth", "width", "dropout", "activation", "backbone", "layers", "normalization", "init", "embedding", "members",
)  # fmt: skip
# Where random changes are drawn: the ranges that people search. Those of the Recipe hold networks of hours.
SPANS = {"lr": (1e-5, 1e-1), "batch_size": (8, 512), "depth": (1, 6), "width": (16, 512), "weight_decay": (1e-4, 0.3)}
MOST_DROPOUT = 0.6
ROUNDS = 3  # of treatment of one finding that becomes better and stays: epochs, for one, are doubled three times
BALANCED = "balanced accuracy"
IMBALANCE = "NW324"  # its remedies trade some of the frequent class for the rare ones
UNEVEN = 1.5  # times as many rows in the largest class as in the smallest: below, both accuracies say the same
WHOLE = ("batch_size", "depth", "width")


@final
@dataclass(frozen=True)
class Edits:
    """Of the recipe, and of an engineer's own network: names of MENDS."""

    recipe: Mapping[str, object] = field(default_factory=dict[str, object])
    mends: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.recipe or self.mends)

    def beside(self, other: "Edits") -> "Edits":
        """These, and then the others."""
        return Edits({**self.recipe, **other.recipe}, tuple(dict.fromkeys((*self.mends, *other.mends))))


Judge = Callable[[Run, Collection[str]], Report]
"""What is wrong with a training, beside findings of these codes."""


def treat_run(
    run: Run,
    report: Report,
    *,
    codes: Sequence[str],
    seeds: Sequence[int],
    judge: Judge,
    tell: Callable[[str | Progress], object],
    controls: bool = True,
) -> tuple[Run, Note]:
    """Treats the findings of a report, the worst first: those with the codes, or all that are no mere notes.

    Each remedy that is an edit of the recipe, or of an engineer's own network, is trained on all seeds, on the same
    parts and in the same orders as without it. It is kept where the 95 % interval of its gain on the validation part
    lies above zero and no new grave finding comes up. The gain is that of right answers where there are classes, or,
    where that cannot be told from chance and is not below zero, of losses; a training that diverges is worse than any
    that ends. Once a finding is gone, those of the treated run are treated; notes are where nothing else was found. As
    many random changes as remedies were trained are tried beside them (`controls`). Ctrl-C ends it early once something
    is kept.

    Returns the treated run of the first seed, or the run as it is where nothing was kept. Raises RecipeError for fewer
    than three seeds or a code that was not found, DataError without a validation part.
    """
    check_seeds(seeds)
    if not len(run.valid):
        raise DataError("there is no validation part to prove a remedy on", remedy="give the run some validation rows.")
    if unknown := [code for code in codes if code not in {finding.code for finding in report.findings}]:
        known = listed(sorted({finding.code for finding in report.findings})) if report.findings else "nothing"
        raise RecipeError(f"{listed(unknown)} was not found in this run: {known} was", remedy="try one of the found.")
    if not knows_first_weights(run):
        remedy = "give nw.adopt a function that builds the network (build=...), or train it with nw.train."
        raise DataError("the first weights of this network are not known", remedy=remedy)
    treatment = _Treatment(run, report, tuple(codes), tuple(seeds), judge, tell)
    ended = ""
    try:
        treatment.go()
        if controls:
            treatment.control()
    except KeyboardInterrupt:
        if not treatment.kept:
            raise
        ended = "stopped before its end"
    return treatment.outcome(ended)


@final
class _Treatment:
    """Where a treatment stands: what was kept so far, and the runs trained with it."""

    def __init__(
        self, run: Run, report: Report, codes: tuple[str, ...], seeds: tuple[int, ...], judge: Judge,
        tell: Callable[[str | Progress], object],
    ) -> None:  # fmt: skip
        self.run, self.codes, self.seeds, self.judge, self.tell = run, codes, seeds, judge, tell
        self.report, self.subject = report, report.subject  # of the run as treated so far
        self.findings: dict[str, Finding] = {}  # all that were treated, by code
        self.rounds = Counter[str]()  # of treatment, by code
        self.done: set[str] = set()  # codes that are treated no more
        self.sound: set[str] = set()  # codes of grave findings that are not there
        self._look(report)
        is_mild = all(finding.severity == "note" for finding in report.findings)
        self.notes = {finding.code for finding in report.findings} if is_mild else set[str]()
        self.kept = Edits()
        self.held = Edits()  # what removed a grave finding and is not proven: the next gain decides
        self.waiting_for_gain: list[int] = []  # the places of what is held among what was tried
        self.tried: list[Tried] = []
        self.advised: list[str] = []
        self.controls: list[Tried] = []
        self.best: Run | None = None  # of the first seed, with what is kept and what is wrong with it
        self.untreated: Measures = {}
        self.measures: Measures = {}  # with what is kept

    def go(self) -> None:
        """Treats one finding after the other until none is left that was not treated."""
        while waiting := self._waiting():
            self._treat(waiting[0])
            if not self._waiting() and not self.codes and self._is_hiding():
                self._look(self.judge(self.best or self.run, self.findings))

    def control(self) -> None:
        """Random changes of the recipe as it was, as many as remedies were trained."""
        if not self.kept:
            return
        generator = np.random.default_rng(self.seeds[0])
        for _ in [tried for tried in self.tried if tried.gains]:
            edit = random_change(generator, self.run)
            self.controls.append(self._attempt("", Remedy(edited(edit), edit), Edits())[0])

    def outcome(self, ended: str) -> tuple[Run, Note]:
        """The treated run, where something was kept, and the note."""
        found = tuple(f"{f.severity:<8}{f.code}  {f.title}: {f.summary}" for f in self.findings.values())
        gains = self._gains(self.untreated, self.measures) if self.kept else ()
        note = Note(
            subject=self.subject,
            seeds=self.seeds,
            found=found,
            tried=tuple(self.tried),
            advised=tuple(dict.fromkeys(self.advised)),
            changes=self.kept.recipe,
            mends=self.kept.mends,
            gains=gains,
            controls=tuple(self.controls),
            before=self.run.scores,
            ended=ended,
        )
        return self.best or self.run, note

    def _look(self, report: Report) -> None:
        self.report = report
        grave = {finding.code for finding in report.findings if finding.severity == "error"}
        self.sound |= {check.code for check in report.checks if not check.skipped} - grave

    def _waiting(self) -> list[Finding]:
        """Findings to be treated, the worst first, each code once."""
        chosen = [
            f
            for f in self.report.findings
            if (f.code in self.codes if self.codes else f.code in self.notes or f.severity != "note")
        ]
        return [finding for finding in chosen if finding.code not in self.done]

    def _is_hiding(self) -> bool:
        """Whether what no remedy removed is grave, so that what comes after it was not looked for."""
        return any(f.severity == "error" and f.code in self.findings for f in self.report.findings)

    def _begin(self) -> None:
        """States what it may cost, and trains the run as it is on all seeds."""
        found = {finding.code: finding for finding in (*self.findings.values(), *self._waiting())}.values()
        remedies = sum(not _is_advice(self.run, remedy) for finding in found for remedy in finding.remedies)
        trainings = (1 + 2 * remedies) * len(self.seeds)
        seconds = sum(epoch.seconds for epoch in self.run.history.epochs)
        self.tell(
            f"treatment: at first {counted(remedies, 'change')} and as many random ones beside them, "
            f"{len(self.seeds)} seeds each: up to {trainings} trainings of about {seconds:.1f} s; fewer where one "
            "helps, more where it helps and something stays"
        )
        runs = attempted([variant(self.run, Edits(), seed) for seed in self.seeds], self.tell)
        self.untreated = self.measures = _stacked(
            [measured(run) if isinstance(run, Run) else lost(self.run) for run in runs]
        )

    def _treat(self, finding: Finding) -> None:
        self.findings.setdefault(finding.code, finding)
        self.rounds[finding.code] += 1
        before = self.kept
        for remedy in finding.remedies:
            if _is_advice(self.run, remedy):
                at = f" (in {listed(finding.layers)})" if finding.layers else ""
                edit = f" That is {edited(remedy.edit)} in a recipe." if remedy.edit else ""
                self.advised.append(f"{finding.code}  {remedy.advice}{at}{edit}")
                continue
            tried, run, measures = self._attempt(finding.code, remedy, self.kept.beside(self.held))
            if not tried.gains and self.rounds[finding.code] > 1:
                continue  # said before
            if run is not None and (tried.is_kept or _may_be_held(finding, tried)):
                tried = self._judged(finding, tried, run, measures)
            self.tried.append(tried)
            self.tell(str(tried))
            if run is not None and finding.code not in {left.code for left in self.report.findings}:
                break
        # What stays after a gain may want more of it: the treated run's own finding says how much.
        stays = finding.code in {left.code for left in self.report.findings}
        if not stays or self.kept == before or self.rounds[finding.code] >= ROUNDS:
            self.done.add(finding.code)

    def _judged(self, finding: Finding, tried: Tried, run: Run, measures: Measures) -> Tried:
        """Keeps what was gained, with what was held for it, or holds what removes a grave finding without a gain yet.

        Of two faults at once, mending one alone may show nothing: a network whose rate is far too low learns as little
        without its softmax as with it.
        """
        after = self.judge(run, ())
        if new := [f.code for f in after.findings if f.severity == "error" and f.code in self.sound]:
            return replace(tried, is_kept=False, reason=f"it brings {listed(new)}")
        edits = Edits(tried.edit, tried.mends)
        if tried.is_kept:
            self.best, self.measures = with_result(run, "diagnosis", after), measures
            self.kept = self.kept.beside(self.held).beside(edits)
            together = f"with the remedy of {finding.code} it is better beyond chance"
            for index in self.waiting_for_gain:
                self.tried[index] = replace(self.tried[index], is_kept=True, reason=together)
            self.held, self.waiting_for_gain = Edits(), []
        elif finding.code not in {left.code for left in after.findings}:
            self.held = self.held.beside(edits)
            self.waiting_for_gain.append(len(self.tried))
            tried = replace(tried, reason=f"{finding.code} is gone, but nothing was gained by it")
        else:
            return tried
        self._look(after)
        return tried

    def _attempt(self, code: str, remedy: Remedy, kept: Edits) -> tuple[Tried, Run | None, Measures]:
        """Trains the run with the kept edits and the remedy's; the run is that of the first seed."""
        new, problem = _possible(self.run, remedy, kept)
        said = partial(Tried, code, remedy.advice, new.recipe, mends=new.mends)
        recipe = self.run.recipe.edit(kept.recipe)
        if recipe.edit(new.recipe) == recipe and set(new.mends) <= set(kept.mends):
            return said((), False, problem or "the recipe says so already"), None, {}
        if not self.untreated:
            self._begin()
        self.tell(f"treating {code or 'at random'}: {remedy.advice.rstrip('.')}, {counted(len(self.seeds), 'seed')}")
        try:
            runs = trained([variant(self.run, kept.beside(new), seed) for seed in self.seeds], self.tell)
            after = _stacked([measured(run) for run in runs])
            gains = self._gains(self.measures if kept else self.untreated, after)
        except NetwrightError as error:
            return said((), False, f"it cannot be trained so: {error.problem}"), None, {}
        return said(gains, *_verdict(gains, code)), runs[0], after

    def _gains(self, before: Measures, after: Measures) -> tuple[Gain, ...]:
        return tuple(gain(name, before[name], after[name], self.seeds[0]) for name in before)


def _may_be_held(finding: Finding, tried: Tried) -> bool:
    return finding.severity == "error" and bool(tried.gains) and tried.gains[0].high >= 0


def _verdict(gains: tuple[Gain, ...], code: str) -> tuple[bool, str]:
    """Answers decide; where they cannot be told apart, losses. Of classes that are missed, all count the same."""
    if code == IMBALANCE and len(gains) == len(("accuracy", BALANCED, "loss")):
        gains = gains[1:2]
    first, last = gains[0], gains[-1]
    if first.low > 0:
        return True, f"{first.metric} is better beyond chance"
    if last.low > 0 and first.value >= 0:
        return True, f"{last.metric} is better beyond chance, {first.metric} not worse"
    return False, f"{first.metric} is worse" if first.high < 0 else f"no gain in {first.metric} beyond chance"


def _is_advice(run: Run, remedy: Remedy) -> bool:
    """Whether nothing of a remedy can be tried from outside."""
    if run.schema.inputs:
        return not remedy.edit
    follows = set(OF_THE_NETWORK) if run.design is not None else set(OF_THE_NETWORK) & MENDS.keys()
    return not remedy.mend and (_changeable(run) | follows).isdisjoint(remedy.edit)


def _possible(run: Run, remedy: Remedy, kept: Edits) -> tuple[Edits, str]:
    """What of a remedy can be done beside the kept edits, and why the rest of it cannot.

    Settings of an engineer's own network are followed by the function that builds it; what it does not follow is done
    by the mend of the setting's name.
    """
    if run.schema.inputs:
        return Edits(remedy.edit), ""
    recipe, problems = run.recipe.edit(kept.recipe), list[str]()
    done = Edits({name: value for name, value in remedy.edit.items() if name in _changeable(run) - {*OF_THE_NETWORK}})
    wanted = [(name, {name: remedy.edit[name]}) for name in remedy.edit if name in OF_THE_NETWORK]
    for name, edit in (*wanted, *([(remedy.mend, {})] if remedy.mend else [])):
        if (
            run.design is not None
            and edit
            and not are_equal(designed(run.design, recipe), designed(run.design, recipe.edit(edit)))
        ):
            done = done.beside(Edits(edit))
        elif name not in MENDS:
            problems.append(f"the network does not follow {name}")
        else:
            new = done.beside(Edits(edit, (name,)))
            try:
                _network(run, kept.beside(new), run.recipe.seed)
                done = new
            except NetwrightError as error:
                problems.append(
                    f"the network does not follow {name}: {error.problem}"
                    if edit
                    else f"it cannot be mended: {error.problem}"
                )
    return done, "; ".join(problems)


def _network(run: Run, edits: Edits, seed: int) -> nn.Module:
    """An engineer's own network with these edits, before its training."""
    recipe = run.recipe.edit({**edits.recipe, "seed": seed})
    network = run.build() if run.design is None else designed(run.design, recipe)
    return mended(network.to(device_of(run.network)), replace(run, recipe=recipe), edits.mends)


def variant(run: Run, edits: Edits, seed: int) -> Run:
    """The run before its training, edited, with another seed."""
    recipe = run.recipe.edit({**edits.recipe, "seed": seed})
    if run.schema.inputs:
        build = partial(run.task.network, run.schema, recipe)
    else:
        build = partial(deepcopy, _network(run, edits, seed))
    return replace(
        fresh(run),
        network=build().to(device_of(run.network)),
        recipe=recipe,
        train=augmented(run.train, run.schema, recipe.augment, run.task) if "augment" in edits.recipe else run.train,
        build=build,
    )


def _stacked(measured: Sequence[Mapping[str, NDArray[np.float64]]]) -> Measures:
    return {name: np.stack([one[name] for one in measured]) for name in measured[0]}


def lost(run: Run) -> Mapping[str, NDArray[np.float64]]:
    """Measures of a training that has no end: each answer is wrong, and each loss infinite."""
    losses = np.full(len(run.valid), np.inf)
    if not isinstance(run.task, Classification):
        return {"loss": losses}
    targets, wrong = _targets(run), np.ones(len(losses))
    return {"accuracy": wrong, **_balanced(wrong, targets), "loss": losses}


def measured(run: Run) -> Mapping[str, NDArray[np.float64]]:
    """Each metric for each validation row, smaller is better; calibrates the run."""
    calibrate(run)
    losses = np.nan_to_num(losses_of(run, run.valid)[1], nan=np.inf, posinf=np.inf, neginf=np.inf)
    if not isinstance(run.task, Classification):
        return {"loss": losses}
    answers = pl.concat(list(predictions(run.network, run.task, run.valid, run.recipe)))["prediction"]
    targets = _targets(run)
    wrong = (answers.to_numpy() != np.array(run.task.labels)[targets]).astype(np.float64)
    return {"accuracy": wrong, **_balanced(wrong, targets), "loss": losses}


def _targets(run: Run) -> NDArray[np.int64]:
    batches = run.valid.batches(run.recipe.batch_size, seed=None)
    return np.concatenate([batch.targets[0].reshape(-1).cpu().numpy() for batch in batches])


def _balanced(wrong: NDArray[np.float64], targets: NDArray[np.int64]) -> Mapping[str, NDArray[np.float64]]:
    """Wrong answers with the weight of their class, where the classes are uneven: their mean is that of the recalls."""
    counts = np.bincount(targets)
    shown = counts[counts > 0]
    if shown.max() <= UNEVEN * shown.min():
        return {}
    return {BALANCED: wrong * len(targets) / (len(shown) * counts[targets])}


def _changeable(run: Run) -> set[str]:
    """Settings that decide something of this run: an own network has its layers, and a loader its batch size."""
    names = {setting.name for setting in settings()}
    names -= set() if run.schema.inputs or run.design is not None else set(OF_THE_NETWORK)
    return names - (set() if run.train.is_indexed else {"batch_size"})


def random_change(generator: np.random.Generator, run: Run) -> dict[str, object]:
    """One of the eight hyperparameters, drawn anew."""
    drawn = dict[str, object]()
    for name, (low, high) in SPANS.items():
        value = exp(generator.uniform(log(low), log(high)))
        drawn[name] = round(value) if name in WHOLE else float(f"{value:.2g}")
    drawn["dropout"] = round(float(generator.uniform(0, MOST_DROPOUT)), 2)
    drawn["activation"] = str(generator.choice(sorted(set(ACTIVATIONS) - {run.recipe.activation})))
    drawn["optimizer"] = str(generator.choice(sorted(set(OPTIMIZERS) - {run.recipe.optimizer})))
    name = str(generator.choice(sorted(_changeable(run) & drawn.keys())))
    return {name: drawn[name]}
