"""Remedies tried on paired seeds: what improves training beyond chance is kept, the rest is rolled back."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.kinds.cells import names, positions
from netwright.planning.edits import Edits, is_advice, possible, random_change, variant
from netwright.planning.paired import Measured, Measures, check_seeds, gain, losses_of, stacked, verdict
from netwright.planning.quick import attempted, trained
from netwright.records.errors import DataError, NetwrightError, RecipeError, counted, listed
from netwright.records.finding import Finding, Remedy, Report
from netwright.records.history import Progress
from netwright.records.note import Note, Tried, edited
from netwright.records.proof import Gain
from netwright.records.run import Run, with_result
from netwright.records.task import Labels
from netwright.training.adopt import knows_first_weights
from netwright.training.calibrate import calibrate
from netwright.training.evaluate import predictions

ROUNDS = 3  # of treatment for a finding that improves but persists: epochs, for example, are doubled three times
OWN_LOOP = (
    "compared with the adopted network in netwright's own loop, not with the watched loop: a fault of that loop is "
    "gone in all of these trainings, also in those without a remedy"
)
BALANCED = "balanced accuracy"
IMBALANCE = "NW324"  # its remedies trade accuracy on the frequent class for the rare ones
UNEVEN = 1.5  # rows of the largest class over those of the smallest: below, both accuracies agree

Judge = Callable[[Run, Collection[str]], Report]
"""What is wrong with a training, apart from findings with these codes."""


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
    """Treats the findings of a report, the worst first: those with the codes, or all but notes.

    Each remedy that edits the recipe, or an engineer's own network, is trained on all seeds, on the same parts and in
    the same orders as without it. It is kept if the 95 % interval of its gain on the validation part is above zero and
    no new serious finding appears. The gain is in correct answers if there are classes, or in losses if that gain is
    within chance and not below zero; a diverged training is worse than any that finishes. Once a finding is gone, the
    treated run's findings are treated; notes are treated if nothing else was found. As a control, as many random
    changes are tried as remedies were trained (`controls`). Ctrl-C ends treatment early once something is kept.

    Returns the treated run of the first seed, or the unchanged run if nothing was kept. Raises RecipeError for fewer
    than three seeds or a code that was not found, DataError without a validation part.
    """
    check_seeds(seeds)
    found = {finding.code for finding in report.findings}
    if not len(run.valid):
        raise DataError("there is no validation part to prove a remedy on", remedy="give the run some validation rows.")
    if unknown := [code for code in codes if code not in found]:
        known = listed(sorted(found)) if found else "nothing"
        raise RecipeError(f"{listed(unknown)} was not found in this run: {known} was", remedy="choose one of these.")
    if not knows_first_weights(run):
        remedy = "give nw.adopt a function that builds the network (build=...), or train it with nw.train."
        raise DataError("the initial weights of this network are unknown", remedy=remedy)
    if run.loop is not None:
        tell(OWN_LOOP)
    is_mild = all(finding.severity == "note" for finding in report.findings)
    patient = _Patient(run, tuple(codes), found if is_mild else set(), tuple(seeds), judge, tell)
    course, ended = _seen(_Course(report), report), ""
    try:
        for now in _courses(patient, course, controls=controls):
            course = now
    except KeyboardInterrupt:
        if not course.kept:
            raise
        ended = "interrupted"
    return course.best or run, _note(patient, course, report.subject, ended)


@final
@dataclass(frozen=True)
class _Patient:
    """What is treated, and with what."""

    run: Run
    codes: tuple[str, ...]  # that were asked for; if empty, all findings but notes
    notes: Collection[str]  # codes of notes that are treated because nothing worse was found
    seeds: tuple[int, ...]
    judge: Judge
    tell: Callable[[str | Progress], object]


@final
@dataclass(frozen=True)
class _Course:
    """How far a treatment has come."""

    report: Report  # of the run as treated so far
    sound: frozenset[str] = frozenset()  # codes of serious findings that are absent
    findings: Mapping[str, Finding] = field(default_factory=dict[str, Finding])  # all treated findings, by code
    rounds: Mapping[str, int] = field(default_factory=dict[str, int])  # of treatment, by code
    done: frozenset[str] = frozenset()  # codes not to treat any more
    tried: tuple[Tried, ...] = ()
    waiting: tuple[int, ...] = ()  # tried, removed a serious finding, gain not proven: the next gain decides
    advised: tuple[str, ...] = ()
    controls: tuple[Tried, ...] = ()
    best: Run | None = None  # of the first seed, with the kept edits and its findings
    untreated: Measures = field(default_factory=dict[str, Measured])
    measures: Measures = field(default_factory=dict[str, Measured])  # with what is kept

    @property
    def kept(self) -> Edits:
        """What improved training beyond chance."""
        return _together(tried for tried in self.tried if tried.is_kept)

    @property
    def with_held(self) -> Edits:
        """What is kept, and what is held until a gain."""
        return self.kept.beside(_together(self.tried[place] for place in self.waiting))

    def stays(self, code: str) -> bool:
        """Whether a finding is still present."""
        return code in {left.code for left in self.report.findings}

    def and_tried(self, tried: Tried) -> "_Course":
        """The course after a remedy that changed nothing."""
        return replace(self, tried=(*self.tried, tried))


@final
@dataclass(frozen=True)
class _Attempt:
    """A remedy that was trained, or why it was not."""

    tried: Tried
    run: Run | None = None  # of the first seed
    measures: Measures = field(default_factory=dict[str, Measured])


def _together(tried: Iterable[Tried]) -> Edits:
    return reduce(Edits.beside, (Edits(one.edit, one.mends) for one in tried), Edits())


def _courses(patient: _Patient, course: _Course, *, controls: bool) -> Iterator[_Course]:
    """The course after each remedy, until no finding is left untreated; then after as many random changes of the
    original recipe."""
    while waiting := _waiting(patient, course):
        course = yield from _treating(patient, course, waiting[0])
        # A serious finding that no remedy removed hides later ones.
        is_hiding = any(f.severity == "error" and f.code in course.findings for f in course.report.findings)
        if is_hiding and not patient.codes and not _waiting(patient, course):
            course = _seen(course, patient.judge(course.best or patient.run, course.findings))
    generator = np.random.default_rng(patient.seeds[0])
    for _ in [tried for tried in course.tried if tried.gains] if controls and course.kept else ():
        edit = random_change(generator, patient.run)
        course, attempt = _attempted(patient, course, "", Remedy(edited(edit), edit), Edits())
        course = replace(course, controls=(*course.controls, attempt.tried))
        yield course


def _waiting(patient: _Patient, course: _Course) -> list[Finding]:
    """Findings to treat, the worst first, each code once."""

    def is_meant(f: Finding) -> bool:
        return f.code in patient.codes if patient.codes else f.code in patient.notes or f.severity != "note"

    return [finding for finding in course.report.findings if is_meant(finding) and finding.code not in course.done]


def _seen(course: _Course, report: Report) -> _Course:
    """The course with a new report on the run as treated so far."""
    grave = {finding.code for finding in report.findings if finding.severity == "error"}
    sound = course.sound | {check.code for check in report.checks if not check.skipped} - grave
    return replace(course, report=report, sound=sound)


def _treating(patient: _Patient, course: _Course, finding: Finding) -> Generator[_Course, None, _Course]:
    """The course after each remedy of a finding, and at its end."""
    code, before = finding.code, course.kept
    findings = {**course.findings, code: course.findings.get(code, finding)}
    course = replace(course, findings=findings, rounds={**course.rounds, code: course.rounds.get(code, 0) + 1})
    yield course
    for remedy in finding.remedies:
        if is_advice(patient.run, remedy):
            at = f" (in {listed(finding.layers)})" if finding.layers else ""
            edit = f" That is {edited(remedy.edit)} in a recipe." if remedy.edit else ""
            course = replace(course, advised=(*course.advised, f"{code}  {remedy.advice}{at}{edit}"))
            yield course
            continue
        course, attempt = _attempted(patient, course, code, remedy, course.with_held)
        if not attempt.tried.gains and course.rounds[code] > 1:
            continue  # said before
        course = _decided(patient, course, finding, attempt)
        patient.tell(str(course.tried[-1]))
        yield course
        if attempt.run is not None and not course.stays(code):
            break
    # A finding that persists after a gain may need more of the remedy: the treated run's own finding says how much.
    if not course.stays(code) or course.kept == before or course.rounds[code] >= ROUNDS:
        course = replace(course, done=course.done | {code})
    return course


def _decided(patient: _Patient, course: _Course, finding: Finding, attempt: _Attempt) -> _Course:
    """Keeps a gain together with the held edits, or holds a remedy that removes a serious finding without a gain yet.

    With two faults at once, mending only one may show nothing: a network with far too low a learning rate learns as
    little without its softmax as with it.
    """
    tried, run, code = attempt.tried, attempt.run, finding.code
    may_be_held = finding.severity == "error" and bool(tried.gains) and tried.gains[0].high >= 0
    if run is None or not (tried.is_kept or may_be_held):
        return course.and_tried(tried)
    after = patient.judge(run, ())
    if new := [f.code for f in after.findings if f.severity == "error" and f.code in course.sound]:
        return course.and_tried(replace(tried, is_kept=False, reason=f"it causes {listed(new)}"))
    if tried.is_kept:
        held, together = course.waiting, f"with the remedy of {code} it is better beyond chance"
        earlier = (
            replace(one, is_kept=True, reason=together) if place in held else one
            for place, one in enumerate(course.tried)
        )
        course = replace(course, tried=tuple(earlier), waiting=(), measures=attempt.measures)
        return _seen(replace(course.and_tried(tried), best=with_result(run, "diagnosis", after)), after)
    if code in {left.code for left in after.findings}:
        return course.and_tried(tried)
    held = replace(tried, reason=f"{code} is gone, but without a gain")
    return _seen(replace(course, waiting=(*course.waiting, len(course.tried))).and_tried(held), after)


def _attempted(patient: _Patient, course: _Course, code: str, remedy: Remedy, kept: Edits) -> tuple[_Course, _Attempt]:
    """Trains the run with the kept edits and the remedy's; before the first remedy, unchanged."""
    run, tell = patient.run, patient.tell
    new, problem = possible(run, remedy, kept)
    said = partial(Tried, code, remedy.advice, new.recipe, mends=new.mends)
    recipe = run.recipe.edit(kept.recipe)
    if recipe.edit(new.recipe) == recipe and set(new.mends) <= set(kept.mends):
        return course, _Attempt(said((), False, problem or "the recipe already says so"))
    if not course.untreated:
        course = _begun(patient, course)
    tell(f"treating {code or 'at random'}: {remedy.advice.rstrip('.')}, {counted(len(patient.seeds), 'seed')}")
    try:
        runs = trained([variant(run, kept.beside(new), seed) for seed in patient.seeds], tell)
        after = stacked([measured(run) for run in runs])
        gains = _gains(patient, course.measures if kept else course.untreated, after)
    except NetwrightError as error:
        return course, _Attempt(said((), False, f"training with it fails: {error.problem}"))
    return course, _Attempt(said(gains, *_verdict(gains, code)), runs[0], after)


def _begun(patient: _Patient, course: _Course) -> _Course:
    """Announces the cost, and trains the unchanged run on all seeds."""
    run, seeds = patient.run, patient.seeds
    found = {finding.code: finding for finding in (*course.findings.values(), *_waiting(patient, course))}.values()
    remedies = sum(not is_advice(run, remedy) for finding in found for remedy in finding.remedies)
    seconds = sum(epoch.seconds for epoch in run.history.epochs)
    patient.tell(
        f"treatment: first {counted(remedies, 'change')} and as many random ones as a control, {len(seeds)} seeds "
        f"each: up to {(1 + 2 * remedies) * len(seeds)} trainings of about {seconds:.1f} s; fewer if one helps, "
        "more if it helps and a finding persists"
    )
    runs = attempted([variant(run, Edits(), seed) for seed in seeds], patient.tell)
    measures = stacked([measured(one) if isinstance(one, Run) else lost(run) for one in runs])
    return replace(course, untreated=measures, measures=measures)


def _note(patient: _Patient, course: _Course, subject: str, ended: str) -> Note:
    return Note(
        subject=subject,
        seeds=patient.seeds,
        found=tuple(f"{f.severity:<8}{f.code}  {f.title}: {f.summary}" for f in course.findings.values()),
        tried=course.tried,
        advised=tuple(dict.fromkeys(course.advised)),
        changes=course.kept.recipe,
        mends=course.kept.mends,
        gains=_gains(patient, course.untreated, course.measures) if course.kept else (),
        controls=course.controls,
        before=patient.run.scores,
        ended=ended,
        compared="" if patient.run.loop is None else OWN_LOOP,
    )


def _gains(patient: _Patient, before: Measures, after: Measures) -> tuple[Gain, ...]:
    return tuple(gain(name, before[name], after[name], patient.seeds[0]) for name in before)


def _verdict(gains: tuple[Gain, ...], code: str) -> tuple[bool, str]:
    """Answers decide; if they do not differ, losses do. If classes are missed, all classes count the same."""
    balanced = tuple(gain for gain in gains if gain.metric == BALANCED)
    gains = balanced if code == IMBALANCE and balanced else gains
    first, last = gains[0], gains[-1]
    if first.low <= 0 and last.low > 0 and first.value >= 0:
        return True, f"{last.metric} is better beyond chance, {first.metric} not worse"
    return verdict(first)


def lost(run: Run) -> Measures:
    """Measures of a training that failed: every answer wrong, every loss infinite."""
    losses = Measured(np.full(len(run.valid), np.inf), "lower")
    if not isinstance(labels := run.task.view(run.valid.targets()), Labels):
        return {"loss": losses}
    return {**_hits(np.zeros(len(run.valid)), labels.positions), "loss": losses}


def measured(run: Run) -> Measures:
    """Each metric for each validation row; calibrates the run."""
    calibrate(run)
    losses = Measured(np.nan_to_num(losses_of(run, run.valid)[1], nan=np.inf, posinf=np.inf, neginf=np.inf), "lower")
    if not isinstance(labels := run.task.view(run.valid.targets()), Labels):
        return {"loss": losses}
    answers = pl.concat(list(predictions(run.network, run.task, run.valid, run.recipe)))["prediction"]
    right = (positions(names(answers), labels.names).to_numpy() == labels.positions).astype(np.float64)
    return {**_hits(right, labels.positions), "loss": losses}


def _hits(right: NDArray[np.float64], targets: NDArray[np.int64]) -> dict[str, Measured]:
    """Correct answers; for uneven classes also weighted by class: their mean is the mean recall."""
    counts = np.bincount(targets)
    shown = counts[counts > 0]
    found = {"accuracy": Measured(right, "higher")}
    if shown.max() > UNEVEN * shown.min():
        found[BALANCED] = Measured(right * len(targets) / (len(shown) * counts[targets]), "higher")
    return found
