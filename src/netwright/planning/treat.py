"""Remedies tried on paired seeds: what makes a training better beyond chance is kept, the rest is rolled back."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import exp, log
from typing import final

import numpy as np
import polars as pl

from netwright.data.examples import InMemory, augmented
from netwright.data.readers.files import counted
from netwright.models import ACTIVATIONS
from netwright.planning.paired import Measures, check_seeds, gain, losses_of
from netwright.planning.quick import trained
from netwright.records.errors import DataError, NetwrightError, RecipeError, listed
from netwright.records.finding import Finding, Remedy, Report
from netwright.records.history import History, Progress
from netwright.records.note import Note, Tried, edited
from netwright.records.proof import Gain
from netwright.records.recipe import settings
from netwright.records.run import Run
from netwright.tasks.classification import Classification
from netwright.training import OPTIMIZERS
from netwright.training.adopt import knows_first_weights
from netwright.training.calibrate import calibrate
from netwright.training.evaluate import device_of, predictions

# Settings that decide the network itself: of an engineer's own network they are advice.
OF_THE_NETWORK = (
    "depth", "width", "dropout", "activation", "backbone", "layers", "normalization", "init", "embedding", "members",
)  # fmt: skip
# Where random changes are drawn: the ranges that people search. Those of the Recipe hold networks of hours.
SPANS = {"lr": (1e-5, 1e-1), "batch_size": (8, 512), "depth": (1, 6), "width": (16, 512), "weight_decay": (1e-4, 0.3)}
MOST_DROPOUT = 0.6
WHOLE = ("batch_size", "depth", "width")

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
) -> tuple[Run, Note]:
    """Treats the findings of a report, the worst first: those with the codes, or all that are no mere notes.

    Each remedy that is an edit of the recipe is trained on all seeds, on the same parts and in the same orders as the
    recipe without it. It is kept where the 95 % interval of its gain on the validation part lies above zero and no new
    grave finding comes up. The gain is that of right answers where there are classes, or, where that cannot be told
    from chance and is not below zero, of losses. Once a finding is gone, those of the treated run are treated. As many
    random changes as remedies were trained are tried beside them. Ctrl-C ends it early once something is kept.

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
        treatment.control()
    except KeyboardInterrupt:
        if not treatment.changes:
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
        self.sound: set[str] = set()  # codes of grave findings that are not there
        self._look(report)
        self.changes: dict[str, object] = {}
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
        if not self.changes:
            return
        generator = np.random.default_rng(self.seeds[0])
        for _ in [tried for tried in self.tried if tried.gains]:
            edit = _random_change(generator, self.run)
            self.controls.append(self._attempt("", Remedy(edited(edit), edit), {}, self.untreated)[0])

    def outcome(self, ended: str) -> tuple[Run, Note]:
        """The treated run, where something was kept, and the note."""
        found = tuple(f"{f.severity:<8}{f.code}  {f.title}: {f.summary}" for f in self.findings.values())
        gains = self._gains(self.untreated, self.measures) if self.changes else ()
        note = Note(
            subject=self.subject,
            seeds=self.seeds,
            found=found,
            tried=tuple(self.tried),
            advised=tuple(dict.fromkeys(self.advised)),
            changes=self.changes,
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
        chosen = [f for f in self.report.findings if (f.code in self.codes if self.codes else f.severity != "note")]
        return [finding for finding in chosen if finding.code not in self.findings]

    def _is_hiding(self) -> bool:
        """Whether what no remedy removed is grave, so that what comes after it was not looked for."""
        return any(f.severity == "error" and f.code in self.findings for f in self.report.findings)

    def _begin(self) -> None:
        """States what it may cost, and trains the recipe as it is on all seeds."""
        found = [*self.findings.values(), *self._waiting()]
        remedies = sum(bool(remedy.edit) for finding in found for remedy in finding.remedies)
        trainings = (1 + 2 * remedies) * len(self.seeds)
        seconds = sum(epoch.seconds for epoch in self.run.history.epochs)
        self.tell(
            f"treatment: at most {counted(remedies, 'change')} of the recipe and as many random ones beside them, "
            f"{len(self.seeds)} seeds each: up to {trainings} trainings of about {seconds:.1f} s; fewer where one helps"
        )
        _, self.untreated = self._train({})
        self.measures = self.untreated

    def _treat(self, finding: Finding) -> None:
        self.findings[finding.code] = finding
        recipe = self.run.recipe
        if not self.untreated and any(recipe.edit(remedy.edit) != recipe for remedy in finding.remedies):
            self._begin()
        for remedy in finding.remedies:
            own = not _changeable(self.run).issuperset(remedy.edit)
            if not remedy.edit or own:
                at = f" (in {listed(finding.layers)})" if finding.layers else ""
                edit = f" That is {edited(remedy.edit)} in a recipe." if own else ""
                self.advised.append(f"{finding.code}  {remedy.advice}{at}{edit}")
                continue
            tried, run, measures = self._attempt(finding.code, remedy, self.changes, self.measures)
            if tried.is_kept and run is not None:
                after = self.judge(run, ())
                new = [f.code for f in after.findings if f.severity == "error" and f.code in self.sound]
                if new:
                    tried = replace(tried, is_kept=False, reason=f"it brings {listed(new)}")
                else:
                    self.best, self.measures = replace(run, diagnosis=after), measures
                    self._look(after)
                    self.changes = {**self.changes, **remedy.edit}
            self.tried.append(tried)
            self.tell(str(tried))
            if tried.is_kept and finding.code not in {left.code for left in self.report.findings}:
                return

    def _attempt(
        self, code: str, remedy: Remedy, kept: Mapping[str, object], before: Measures
    ) -> tuple[Tried, Run | None, Measures]:
        """Trains the recipe with the kept changes and the remedy's; the run is that of the first seed."""
        said = partial(Tried, code, remedy.advice, remedy.edit)
        recipe = self.run.recipe.edit(kept)
        if recipe.edit(remedy.edit) == recipe:
            return said((), False, "the recipe says so already"), None, before
        self.tell(f"treating {code or 'at random'}: {remedy.advice.rstrip('.')}, {counted(len(self.seeds), 'seed')}")
        try:
            run, after = self._train({**kept, **remedy.edit})
            gains = self._gains(before, after)
        except NetwrightError as error:
            return said((), False, f"it cannot be trained so: {error.problem}"), None, before
        return said(gains, *_verdict(gains)), run, after

    def _train(self, changes: Mapping[str, object]) -> tuple[Run, Measures]:
        """A training for each seed, and what each makes of the validation rows."""
        runs = trained([_variant(self.run, {**changes, "seed": seed}) for seed in self.seeds], self.tell)
        for run in runs:
            calibrate(run)
        measured = [_measured(run) for run in runs]
        return runs[0], {name: np.stack([one[name] for one in measured]) for name in measured[0]}

    def _gains(self, before: Measures, after: Measures) -> tuple[Gain, ...]:
        return tuple(gain(name, before[name], after[name], self.seeds[0]) for name in before)


def _verdict(gains: tuple[Gain, ...]) -> tuple[bool, str]:
    """Answers decide; where they cannot be told apart, losses."""
    first, last = gains[0], gains[-1]
    if first.low > 0:
        return True, f"{first.metric} is better beyond chance"
    if last.low > 0 and first.value >= 0:
        return True, f"{last.metric} is better beyond chance, {first.metric} not worse"
    return False, f"{first.metric} is worse" if first.high < 0 else f"no gain in {first.metric} beyond chance"


def _variant(run: Run, changes: Mapping[str, object]) -> Run:
    """The run before its training, with another recipe."""
    recipe = run.recipe.edit(changes)
    build = partial(run.task.network, run.schema, recipe) if run.schema.inputs else run.build
    return replace(
        run,
        network=build().to(device_of(run.network)),
        recipe=recipe,
        train=augmented(run.train, run.schema, recipe.augment, run.task) if "augment" in changes else run.train,
        build=build,
        history=History(),
        scores=None,
        folder=None,
        diagnosis=None,
        treatment=None,
    )


def _measured(run: Run) -> Measures:
    """Each metric for each validation row, smaller is better."""
    _, losses = losses_of(run, run.valid)
    if not isinstance(run.task, Classification):
        return {"loss": losses}
    answers = pl.concat(list(predictions(run.network, run.task, run.valid, run.recipe)))["prediction"]
    batches = run.valid.batches(run.recipe.batch_size, seed=None)
    targets = np.concatenate([batch.targets[0].reshape(-1).cpu().numpy() for batch in batches])
    return {"accuracy": (answers.to_numpy() != np.array(run.task.labels)[targets]).astype(np.float64), "loss": losses}


def _changeable(run: Run) -> set[str]:
    """Settings that decide something of this run: an own network has its layers, and a loader its batch size."""
    names = {setting.name for setting in settings()}
    names -= set() if run.schema.inputs else set(OF_THE_NETWORK)
    return names - (set() if isinstance(run.train, InMemory) else {"batch_size"})


def _random_change(generator: np.random.Generator, run: Run) -> dict[str, object]:
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
