"""From data to a trained run that is written, scored and diagnosed."""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netwright import run_folder
from netwright.blueprint import RECIPE
from netwright.checks import DATA_CHECKS, LEFT_TO_DIAGNOSE
from netwright.checks.evidence import DataEvidence, examine
from netwright.checks.training.early import beginning, explain, sure, told
from netwright.checks.training.evidence import TrainingEvidence
from netwright.data.cache import folder as decoded_folder
from netwright.data.dataset import Dataset
from netwright.data.fingerprint import Fingerprint, checksum, fingerprint, of_examples
from netwright.data.fixes import apply_fixes, as_fixes, spare_scored
from netwright.data.prepare import Prepared, prepare
from netwright.data.read import read_source
from netwright.data.split import Split, split
from netwright.explanations.augmented import augmented_picture
from netwright.files import clear_unfinished, whole
from netwright.machine.device import prepare_device
from netwright.machine.interrupts import Ended
from netwright.planning.choose import choose
from netwright.planning.measure import measured
from netwright.planning.quick import untrained
from netwright.planning.trial import AUTO, try_augmentations
from netwright.records.batch import Examples
from netwright.records.errors import NetwrightError, counted
from netwright.records.finding import Finding, Fix, Report, Severity
from netwright.records.recipe import Recipe, code_of, early
from netwright.records.result import Tell, Warned
from netwright.records.run import Run, fresh, with_result
from netwright.records.source import Source
from netwright.records.watched import Watched
from netwright.reports.text import ending
from netwright.resolve import refuse_code
from netwright.stages.origins import require_times, rolled
from netwright.stages.runs import diagnosed, scored
from netwright.training.calibrate import calibrate
from netwright.training.fit import fit

SAMPLE_ROWS = 256  # enough to estimate the spread of a column
SAMPLE_BYTES = 1 << 20  # keeps a run folder small, whatever its data
ARITHMETIC = ("precision", "kernels", "compile", "threads")  # settings that are measured unless given
OPEN = ("auto", 0)  # their values until they are measured
EARLY = "stopped early"  # begins the reason of a training that its own checks ended


@contextmanager
def resumable(folder: Path | None, tell: Tell) -> Generator[None]:
    """If a training in a folder is stopped, says that it is saved, and how to resume it."""
    try:
        yield
    except (KeyboardInterrupt, Ended) as stopped:
        if folder is None or not run_folder.is_unfinished(folder):
            raise
        how = f"stopped; saved in {folder}. To resume, run the same command again."
        if isinstance(stopped, Ended):
            tell(Warned(how))
            raise
        raise KeyboardInterrupt(how) from None


def trained(
    source: Source,
    given: Mapping[str, object],
    folder: Path | None,
    tell: Tell,
    *,
    audit: bool,
    diagnose: bool,
    command: tuple[str, ...],
    origins: int = 1,
) -> Run:
    """A run on new data, in a folder if one is named, which the caller locks; what was interrupted there resumes.

    With several origins it is also trained at earlier times, to see how good it would have been.
    """
    given = dict(given)
    seed = early(given, source.task).seed
    raw = read_source(source)
    parts = split(raw, source, seed=seed)
    raw, fixes = spare_scored(raw, parts, as_fixes(source.fixes))
    dataset, parts = apply_fixes(raw, parts, fixes)
    if origins > 1:
        require_times(dataset)
    prepared = prepare(dataset, parts, source)
    looks = fingerprint(Path(source.data) if isinstance(source.data, str | Path) else raw, fixes)
    if folder is not None:
        given = _as_started(folder, given, prepared.task.options(), looks, command)
    read = {name: kind for name, kind in dataset.kinds.items() if name == source.time}
    said = replace(source, data=None, target=dataset.targets, task=None, fixes=(), kinds={**source.kinds, **read})
    run = replace(_start(prepared, given, tell), source=said)
    for note in run.notes:
        tell(note)
    if audit:
        run = with_result(run, "audit", _audited(dataset, parts, prepared, seed, tell))
    if folder is not None:
        rows = {"train": parts.train, "valid": parts.valid, "test": parts.test}
        left = (*_stages(run, diagnose=diagnose), *(["origins"] if origins > 1 else []))
        start = _Start(dataset.origin, looks, rows, fixes, command, left)
        if _created(run, folder, start, tell) and (picture := augmented_picture(run)) is not None:
            with whole(folder / run_folder.AUGMENTED) as unfinished:
                picture.save(unfinished)
    run = finish(run, folder, tell, diagnose=diagnose)
    if origins > 1:
        run = with_result(run, "origins", rolled(dataset, parts, source, run, given, origins, tell))
        if folder is not None:
            run_folder.write_result(folder, "origins", run.origins)
            run_folder.done(folder, "origins")
    return run


def _as_started(
    folder: Path, given: Mapping[str, object], own: Any, looks: Fingerprint, command: Sequence[str]
) -> dict[str, object]:  # Any: as `Recipe.own`
    """The given settings, with what an earlier start in the folder measured or tried: a second time may differ."""
    started = run_folder.started_recipe(folder, own, looks, command)
    if started is None:
        return dict(given)
    asked = Recipe(own=own).edit(given)
    refuse_code(folder / RECIPE, set(code_of(started)) - set(code_of(asked)))
    found = [name for name in ARITHMETIC if getattr(asked, name) in OPEN]
    found += ["augment"] if AUTO in asked.augment else []
    return {**given, **{name: getattr(started, name) for name in found}}


def _stages(run: Run, *, diagnose: bool) -> tuple[str, ...]:
    """The stages after training."""
    return (*(["scores"] if len(run.test) else []), *(["diagnosis"] if diagnose else []))


def trained_on(run: Run, given: Mapping[str, object], folder: Path | None, tell: Tell, *, diagnose: bool) -> Run:
    """An existing run, trained on from its weights, in a folder if one is named, which the caller locks.

    What was interrupted there resumes.
    """
    parent = run.folder
    run = _in_fastest_arithmetic(replace(run, recipe=run.recipe.edit(given), notes=()))
    for note in run.notes:
        tell(note)
    run = fresh(run)
    if folder is not None:
        parts = {"train": run.train, "valid": run.valid, "test": run.test}
        rows = {name: part.rows.numpy() if part.is_indexed else np.arange(len(part)) for name, part in parts.items()}
        known = None if parent is None else run_folder.origin(parent)
        looks = of_examples(run.train) if known is None else known.fingerprint
        data = "rows in memory" if known is None else known.data
        _created(run, folder, _Start(data, looks, rows, (), (), _stages(run, diagnose=diagnose)), tell)
    return finish(run, folder, tell, diagnose=diagnose)


def measurements() -> Path:
    """The file that remembers which arithmetic was fastest here, next to the folder of decoded files."""
    return decoded_folder().parent / "arithmetic.json"


def _audited(dataset: Dataset, parts: Split, prepared: Prepared, seed: int, tell: Tell) -> Report:
    """The quick checks; one line for each finding that costs score or trust, one for the others together."""
    report = examine(DataEvidence(dataset, parts, prepared, "", None, seed, True), DATA_CHECKS)
    _tell_findings(report.findings, ("error", "warning"), tell)
    notes = sum(finding.severity == "note" for finding in report.findings)
    if report.findings:
        more = f" and {counted(notes, 'note')}" if notes else ""
        tell(f"rows and remedies{more}: netwright audit, or print(run.audit)")
    return report


def _looked_at(run: Run, first: tuple[Finding, ...], tell: Tell) -> Run:
    """The run with the cheap part of its diagnosis. Reports serious findings, except `first`, which ended training."""
    with prepare_device(run.recipe.threads):
        report = diagnosed(run, tell, LEFT_TO_DIAGNOSE)
    others = tuple(f for f in report.findings if f.code not in {known.code for known in first})
    _tell_findings(others, ("error",), tell)
    report = replace(report, findings=(*first, *others))
    if run.folder is not None:
        run_folder.write_result(run.folder, "diagnosis", report)
        run_folder.done(run.folder, "diagnosis")
    return with_result(run, "diagnosis", report)


def _tell_findings(findings: Iterable[Finding], severities: Collection[Severity], tell: Tell) -> None:
    for finding in findings:
        if finding.severity in severities:
            tell(Warned(f"{finding.severity} {finding.code}, {finding.title}: {finding.summary}"))


def _start(prepared: Prepared, given: Mapping[str, object], tell: Tell) -> Run:
    """An untrained run: settings chosen, network built."""
    recipe, reasons = choose(prepared.schema, prepared.task, len(prepared.train), given)
    if AUTO in recipe.augment:
        tell("augment: finding out by short trainings which changes of training rows help")
        with prepare_device():
            trial = try_augmentations(prepared, recipe)
        recipe, reasons = recipe.edit({"augment": trial.names}), (*reasons, trial.note)
    run = untrained(prepared, recipe)
    return _in_fastest_arithmetic(replace(run, notes=(*prepared.notes, *reasons), sample=_sample(prepared.train)))


def _in_fastest_arithmetic(run: Run) -> Run:
    """The run with its arithmetic, measured unless given."""
    if not any(getattr(run.recipe, name) in OPEN for name in ARITHMETIC):
        return run
    with prepare_device():
        found = measured(run, memory=measurements())
    changes = {name: getattr(found, name) for name in ARITHMETIC}
    return replace(run, recipe=run.recipe.edit(changes), notes=(*run.notes, f"arithmetic: {found}"))


def _sample(train: Examples) -> tuple[Tensor, ...]:
    """Inputs of the first rows, at most SAMPLE_BYTES."""
    inputs = next(train.uncut().batches(SAMPLE_ROWS, seed=None)).inputs
    row_bytes = sum(x[0].nbytes for x in inputs)
    return tuple(x[: max(1, SAMPLE_BYTES // row_bytes)].clone() for x in inputs)


@final
@dataclass(frozen=True)
class _Start:
    """What a new folder says of its training, beside the run; an old one must say the same."""

    data: str
    looks: Fingerprint
    rows: Mapping[str, NDArray[np.int64]]
    fixes: tuple[Fix, ...]
    command: tuple[str, ...]
    left: tuple[str, ...]


def _created(run: Run, folder: Path, start: _Start, tell: Tell) -> bool:
    """Whether the folder is new; False if what was interrupted there resumes. Raises RunError if that is another."""
    encoded = checksum((run.train, run.valid, run.test), start.looks.modified)
    if run_folder.is_unfinished(folder):
        same = partial(run_folder.require_same, folder, run, fingerprint=start.looks, rows=start.rows)
        same(fixes=start.fixes, checksum=encoded)
        clear_unfinished(folder)
        if run_folder.is_resumable(folder):
            tell(f"{folder} holds an interrupted training: resuming it")
        else:
            tell(f"{folder} holds a trained run without {' and '.join(run_folder.left(folder))}: completing it")
        return False
    run_folder.create(
        run, folder, data=start.data, fingerprint=start.looks, rows=start.rows, seed=run.recipe.seed,
        command=start.command, fixes=start.fixes, left=start.left, checksum=encoded,
    )  # fmt: skip
    return True


def finish(run: Run, folder: Path | None, tell: Tell, *, diagnose: bool) -> Run:
    """Trains and writes the run, unless it already is; only then scores it and simple models, and diagnoses."""
    evidence = beginning(run)
    with prepare_device(run.recipe.threads):
        if folder is not None and run_folder.is_whole(folder):
            run = _reloaded(run, folder)
        else:
            run = _fitted(run, folder, evidence, tell, diagnose=diagnose)
        run = scored(run, tell)
    # Found again, not kept: it may have been found before an interruption.
    found = tuple(sure(replace(evidence, watched=run.watched))) if run.history.ended.startswith(EARLY) else ()
    if folder is not None:
        run_folder.write_results(run, folder)
        run_folder.done(folder, "scores", "baselines", *([] if diagnose else ["diagnosis"]))
    return _looked_at(run, found, tell) if diagnose else run


def _fitted(run: Run, folder: Path | None, evidence: TrainingEvidence, tell: Tell, *, diagnose: bool) -> Run:
    """The trained run, with fitted probabilities, and written."""

    def judge(watched: Watched) -> str:
        found = next(sure(replace(evidence, watched=watched)), None)
        return "" if found is None else f"{EARLY}: {told(found)}"

    events = fit(run, folder=folder, judge=judge if diagnose else None)
    while True:
        try:
            tell(next(events))
        except StopIteration as end:
            run = end.value
            break
        except NetwrightError as error:
            if diagnose:
                explain(error, evidence)
            raise
    tell(ending(run.history, run.task.metric))
    if note := calibrate(run):
        tell(note)
    return run if folder is None else run_folder.write(run, folder)


def _reloaded(run: Run, folder: Path) -> Run:
    """The trained run of a folder on the rows of `run`, which is the same run, untrained."""
    network = None if run.schema.inputs else run.network
    # Recipe, schema and task were compared: code that they name is the user's own.
    trained = run_folder.load(folder, network=network, task=run.task, allow_code=True)
    run_folder.remove_checkpoint(folder)
    results = {**trained.results, **run.results}
    return replace(
        run, network=trained.network, history=trained.history, watched=trained.watched, folder=folder,
        notes=trained.notes, results=results,
    )  # fmt: skip
