"""The whole product on one page: each stage is a call, and here they are joined."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright import run_folder
from netwright.baselines import BASELINES
from netwright.checks import DATA_CHECKS, LEFT_TO_DIAGNOSE, MODEL_CHECKS, TRAINING_STAGES
from netwright.checks.evidence import DataEvidence, examine
from netwright.checks.training.early import beginning, explain, sure, told
from netwright.checks.training.evidence import diagnose as diagnosed
from netwright.checks.training.evidence import of_run
from netwright.data.cache import Cache, read_cache
from netwright.data.cache import clear as clear_cache
from netwright.data.cache import folder as decoded_folder
from netwright.data.dataset import Dataset
from netwright.data.examples import InMemory, augmented
from netwright.data.fixes import apply_fixes, as_fixes, read_fixes, write_fixes
from netwright.data.prepare import Prepared, encode_new, prepare
from netwright.data.read import read, read_chunks, read_source, read_unlabelled
from netwright.data.readers.files import counted
from netwright.data.readers.folder import TEXTS
from netwright.data.split import Split
from netwright.data.split import split as split_rows
from netwright.explanations.augmented import augmented_picture
from netwright.explanations.weights import Learned, filters_picture, learned, strongest
from netwright.files import clear_unfinished, whole
from netwright.machine.device import prepare_device, suited
from netwright.planning.again import trained_again
from netwright.planning.choose import choose
from netwright.planning.cost import Layer, layers
from netwright.planning.labelling import COMMITTEE, worth_labelling
from netwright.planning.measure import measured
from netwright.planning.paired import LEAST_SEEDS
from netwright.planning.prove import SEEDS, Trial, prove_fixes
from netwright.planning.quick import quick_runs, untrained
from netwright.planning.treat import treat_run
from netwright.planning.trial import AUTO, try_augmentations
from netwright.records.batch import Examples
from netwright.records.errors import DataError, NetwrightError, RunError
from netwright.records.finding import Finding, Fix, Report, Severity
from netwright.records.history import Epoch, Progress
from netwright.records.options import worded
from netwright.records.proof import Proof
from netwright.records.recipe import Recipe
from netwright.records.run import Run, fresh, with_result
from netwright.records.source import Source
from netwright.records.task import Scores
from netwright.records.treatment import Treatment
from netwright.records.watched import Watched
from netwright.reports.answers import placed, written
from netwright.reports.charts import charts_of
from netwright.reports.page import EXTRA, write_page
from netwright.reports.pictures import pictures_of
from netwright.reports.text import ending
from netwright.resolve import require, resolve
from netwright.run_folder import load
from netwright.training.adopt import adopt
from netwright.training.calibrate import calibrate
from netwright.training.evaluate import device_of, predictions
from netwright.training.evaluate import evaluate as score_examples
from netwright.training.fit import fit

__all__ = [
    "adopt",
    "audit",
    "cache",
    "diagnose",
    "evaluate",
    "load",
    "next_labels",
    "predict",
    "predict_chunks",
    "predict_to",
    "prove",
    "read",
    "read_fixes",
    "show",
    "train",
    "treat",
    "weights",
    "write_fixes",
]

AUGMENTED = "augmented.png"  # in the run folder: training pictures and what augmentation makes of them
SAMPLE_ROWS = 256  # enough for the spread of a column
SAMPLE_BYTES = 1 << 20  # a run folder stays small, whatever its data

MEASURED = "arithmetic.json"  # beside the folder of decoded files: what measuring found before
ARITHMETIC = ("precision", "kernels", "compile", "threads")  # settings that are measured where they are not given

Show = Callable[[str | Progress | Epoch], None]


@worded
def audit(
    source: Source,
    *,
    against: Any = None,  # Any: as the data
    seed: int = 0,
    fast: bool = False,
    page: Path | str | None = None,
    show: Show | None = None,
) -> Report:
    """Whether data are accurate, representative and clean, with rows, evidence and fixes: `print(nw.audit("photos/"))`.

    The arguments are those of `train`; parts are cut as it would cut them. `against` names new data to compare with.
    With `fixes` the data are looked at as they are once fixed. `fast` leaves out what needs networks of its own and
    looks at a sample of rows: the form that `train` makes. `page` names an HTML file to write the report to, with
    pictures of the rows where they hold some; it needs the extra `report`.
    """
    tell = show or _silent
    if page is not None:
        require("jinja2", extra=EXTRA)  # told before the work, not after
    dataset = read_source(source)
    new = None if against is None else read_source(replace(source, data=against, target=(), labels="", split=""))
    chosen = as_fixes(source.fixes)
    parts = prepared = None
    problem = ""
    try:
        parts = split_rows(dataset, source, seed=seed)
    except DataError as error:  # what is wrong with the data is what an audit is to say
        if chosen:
            raise
        problem = str(error)
    if parts is not None:
        dataset, parts = apply_fixes(dataset, parts, chosen)
        try:
            prepared = prepare(dataset, parts, source)
        except DataError as error:
            problem = str(error)
    evidence = DataEvidence(dataset, parts, prepared, problem, new, seed, fast, tell)
    with prepare_device():
        report = examine(evidence, DATA_CHECKS if fast else {**DATA_CHECKS, **MODEL_CHECKS})
    if page is not None:
        write_page(report, page, title=f"Audit of {report.subject}", pictures=pictures_of(dataset))
    return report


@worded
def prove(
    source: Source,
    fixes: str | Path | Sequence[Fix],
    *,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    seeds: int = SEEDS,
    show: Show | None = None,
) -> Proof:
    """Whether fixes help: networks trained with and without them over paired seeds, on a test part that stays as it is.

    Each kind of fix is tried alone and all together; those whose gain cannot be told from chance are rolled back:
    `proof.kept` are the others, and `nw.write_fixes(fixes, path, proof.rolled_back)` writes both. `seed` decides the
    parts, as in `audit`, and `seeds` trainings start from it. Settings are quick ones unless given.
    """
    dataset = read_source(source)
    parts = split_rows(dataset, source, seed=seed)
    trial = Trial(source, settings or {}, tuple(range(seed, seed + seeds)), show or _silent)
    with prepare_device():
        return prove_fixes(dataset, parts, as_fixes(fixes), trial)


@worded
def next_labels(
    source: Source,
    *,
    count: int = 100,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    to: Path | str | None = None,
    show: Show | None = None,
) -> pl.DataFrame:
    """Of the rows without a label, those that are worth labelling first: where they stand, a guess, and why.

    Rows of a table whose target is empty, or files in a folder `unlabeled` beside the folders of labels. Quick networks
    learn from the labelled rows; chosen are rows that they doubt and that differ from each other. `to` writes the
    table to a .csv, .parquet or .jsonl file too.
    """
    tell = show or _silent
    dataset = read_source(source)
    pool = read_unlabelled(source, dataset.targets)
    parts = split_rows(dataset, source, seed=seed)
    everything = np.sort(np.concatenate([parts.train, parts.test]))  # nothing is scored, so nothing is put aside
    prepared = prepare(dataset, replace(parts, train=everything), source)
    examples, bad = encode_new(prepared.schema, None, pool)
    _tell_bad(pool, bad, tell)
    tell(f"learning from {counted(len(prepared.train), 'labelled row')}: {counted(COMMITTEE, 'quick network')}")
    with prepare_device():
        runs = quick_runs(prepared, settings or {}, range(seed, seed + COMMITTEE), tell)
        table = worth_labelling(runs, examples, pool, count)
    if to is not None:
        written(iter((table,)), Path(to))
    return table


@worded
def train(
    source: Source,
    *,
    audit: bool = True,
    diagnose: bool = True,
    settings: Mapping[str, object] | None = None,
    folder: Path | str | None = None,
    show: Show | None = None,
    command: tuple[str, ...] = (),
) -> Run:
    """From raw labelled data to a trained network, with scores on a test part that training never saw.

    `data`: a folder with one subfolder of files per label, a table (CSV, TSV, Parquet, JSON lines), a text file, or in
    memory: a frame, (inputs, labels) arrays or tensors; or a Run, as of `adopt`, whose network goes on from its weights
    on the run's own examples (then `settings` and `show` are all that counts). `target` names the column to predict.
    `kinds` overrules what columns are taken for ({"zip": "category"}), `settings` any setting of the Recipe. `series`,
    `time` and `labels` read long tables of series. The test part is as `split` says, or cut by `group` or `by_time`,
    else drawn at random, stratified. `fixes` are applied to the data, once they are split. `audit` makes the quick
    checks of `nw.audit`: what they find is told, and in `run.audit`. `diagnose` ends a training that diverges for sure,
    or is dead for good (`run.history.ended` says why), and makes, at the end, those checks of `nw.diagnose` that need
    no experiments: grave findings are told, all are in `run.diagnosis`.

    With a `folder` the run is written there, and a training that was stopped goes on; without one it stays in memory.
    `show` is told every note, step and epoch: `show=nw.progress()`. Raises a NetwrightError that says what to change.
    """
    tell = show or _silent
    given = dict(settings or {})
    if isinstance(source.data, Run):
        return _train_run(source.data, given, tell, diagnose=diagnose)
    seed = Recipe().edit(given).seed
    dataset = read_source(source)
    parts = split_rows(dataset, source, seed=seed)
    chosen = as_fixes(source.fixes)
    raw, (dataset, parts) = dataset, apply_fixes(dataset, parts, chosen)
    prepared = prepare(dataset, parts, source)
    if folder is not None and run_folder.is_resumable(Path(folder)):
        stopped = run_folder.load_recipe(Path(folder))  # a second measurement may differ
        given = {name: getattr(stopped, name) for name in ARITHMETIC} | given
        if AUTO in Recipe().edit(given).augment:
            given["augment"] = stopped.augment
    said = replace(source, data=None, target=dataset.targets, task=None, fixes=())
    run = replace(_start(prepared, given, tell), source=said)
    for note in run.notes:
        tell(note)
    if audit:
        found = _audited(DataEvidence(dataset, parts, prepared, "", None, seed, True), tell)
        run = with_result(run, "audit", found)
    if folder is not None:
        looks = run_folder.fingerprint(Path(source.data) if isinstance(source.data, str | Path) else raw, chosen)
        _open(run, Path(folder), looks, dataset, parts, chosen, command, tell)
    return _finish(run, None if folder is None else Path(folder), tell, diagnose=diagnose)


def _audited(evidence: DataEvidence, tell: Show) -> Report:
    """The quick checks; a line for each finding that costs score or trust, and one for the others."""
    report = examine(evidence, DATA_CHECKS)
    _tell_findings(report.findings, ("error", "warning"), tell)
    notes = sum(finding.severity == "note" for finding in report.findings)
    if report.findings:
        more = f" and {counted(notes, 'note')}" if notes else ""
        tell(f"rows and remedies{more}: netwright audit, or print(run.audit)")
    return report


def _looked_at(run: Run, first: tuple[Finding, ...], tell: Show) -> Run:
    """The run with the cheap part of its diagnosis; grave findings are told. `first` is told already: it ended it."""
    with prepare_device(run.recipe.threads):
        report = _diagnosed(run, tell, LEFT_TO_DIAGNOSE)
    others = tuple(f for f in report.findings if f.code not in {known.code for known in first})
    _tell_findings(others, ("error",), tell)
    report = replace(report, findings=(*first, *others))
    if run.folder is not None:
        run_folder.write_result(run.folder, "diagnosis", report)
    return with_result(run, "diagnosis", report)


def _tell_findings(findings: Iterable[Finding], severities: Collection[Severity], tell: Show) -> None:
    for finding in findings:
        if finding.severity in severities:
            tell(f"{finding.severity} {finding.code}, {finding.title}: {finding.summary}")


def _start(prepared: Prepared, given: Mapping[str, object], tell: Show) -> Run:
    """An untrained run: settings chosen, the network built."""
    recipe, reasons = choose(prepared.schema, prepared.task, len(prepared.train), given)
    if AUTO in recipe.augment:
        tell("augment: short trainings find out which changes of training rows help")
        with prepare_device():
            trial = try_augmentations(prepared, recipe)
        recipe, reasons = recipe.edit({"augment": trial.names}), (*reasons, trial.note)
    run = untrained(prepared, recipe)
    return _in_fastest_arithmetic(replace(run, notes=(*prepared.notes, *reasons), sample=_sample(prepared.train)))


def _in_fastest_arithmetic(run: Run) -> Run:
    """The run with its arithmetic measured, where it is not given."""
    if not any(getattr(run.recipe, name) in ("auto", 0) for name in ARITHMETIC):
        return run
    with prepare_device():
        found = measured(run, memory=decoded_folder().parent / MEASURED)
    changes = {name: getattr(found, name) for name in ARITHMETIC}
    return replace(run, recipe=run.recipe.edit(changes), notes=(*run.notes, f"arithmetic: {found}"))


def _train_run(run: Run, given: Mapping[str, object], tell: Show, *, diagnose: bool) -> Run:
    """Trains a run that is there already, from the weights it has."""
    run = _in_fastest_arithmetic(replace(run, recipe=run.recipe.edit(given), notes=()))
    for note in run.notes:
        tell(note)
    return _finish(fresh(run), None, tell, diagnose=diagnose)


def _sample(train: Examples) -> tuple[Tensor, ...]:
    """Inputs of the first rows, in no more than SAMPLE_BYTES."""
    inputs = next(train.uncut().batches(SAMPLE_ROWS, seed=None)).inputs
    row_bytes = sum(x[0].nbytes for x in inputs)
    return tuple(x[: max(1, SAMPLE_BYTES // row_bytes)].clone() for x in inputs)


def _open(
    run: Run, folder: Path, found: run_folder.Fingerprint, dataset: Dataset, parts: Split, fixes: tuple[Fix, ...],
    command: tuple[str, ...], tell: Show,
) -> None:  # fmt: skip
    """Writes what makes the run what it is, or, where a training was stopped, makes sure that it is the same one."""
    if run_folder.is_resumable(folder):
        run_folder.require_same(folder, recipe=run.recipe, fingerprint=found)
        clear_unfinished(folder)
        tell(f"{folder} holds a training that was stopped: going on with it")
        return
    run_folder.create(
        run, folder, data=dataset.origin, fingerprint=found, rows=_rows(parts), seed=run.recipe.seed, command=command,
        fixes=fixes,
    )  # fmt: skip
    if (picture := augmented_picture(run)) is not None:
        with whole(folder / AUGMENTED) as unfinished:
            picture.save(unfinished)


def _finish(run: Run, folder: Path | None, tell: Show, *, diagnose: bool) -> Run:
    """Trains, scores the test part once beside the simple models, writes the run, and diagnoses it."""
    evidence, found = beginning(run), list[Finding]()

    def judge(watched: Watched) -> str:
        found.extend(sure(replace(evidence, watched=watched)))
        return f"stopped early: {told(found[0])}" if found else ""

    with prepare_device(run.recipe.threads):
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
        if (temperature := calibrate(run)) != 1.0:
            tell(f"probabilities fitted to the validation part: logits divided by {temperature:.2f}")
        run = _scored(run)
    run = run if folder is None else run_folder.write(run, folder)
    return _looked_at(run, tuple(found), tell) if diagnose else run


def _scored(run: Run) -> Run:
    """The run with the scores of its test part, beside those of simple models."""
    if not len(run.test):
        return run
    run = with_result(
        run, "scores", score_examples(run.network, run.task, run.test, run.recipe).result(run.test.groups)
    )
    return with_result(run, "baselines", run.baselines or _baselines(run))


def _baselines(run: Run) -> tuple[tuple[str, Scores], ...]:
    """The scores of the simple models that suit the data; what an engineer's own tensors mean is not known."""
    if not run.schema.inputs:
        return ()
    simple = ((n, resolve("baseline", n, BASELINES)(run.schema, run.task, run.train, run.test)) for n in BASELINES)
    return tuple((name, scores) for name, scores in simple if scores is not None)


def diagnose(
    run: Run | Path | str,
    *,
    data: Any = None,  # Any: as in `train`
    deep: bool = False,
    page: Path | str | None = None,
    show: Show | None = None,
) -> Report:
    """What is wrong with a training, how that is known, and what to do: `print(nw.diagnose("runs/people"))`.

    A run in memory, a run folder, or a network and loaders of your own: `nw.diagnose(nw.adopt(network, loss, loader))`.
    Small experiments on copies decide where a threshold would guess; the network is left as it was. The rows of a run
    from a folder are read again (`data` where they are no longer where they were), and the report is put there. `deep`
    also trains it again, on half of the rows and with two other seeds: whether more rows would help, and whether the
    score is luck. `page` names an HTML file to write it to, with charts; it needs the extra `report`.
    """
    if page is not None:
        require("jinja2", extra=EXTRA)
    run = _computable(reopened(load(run) if isinstance(run, Path | str) else run, data), show or _silent)
    with prepare_device(run.recipe.threads):
        report = _diagnosed(run, show or _silent, deep=deep)
    if run.folder is not None:
        run_folder.write_result(run.folder, "diagnosis", report)
    if page is not None:
        charts = charts_of(run.history, run.watched)
        write_page(report, page, title=f"Diagnosis of {report.subject}", run=run, charts=charts)
    return report


def treat(
    run: Run | Path | str,
    codes: Sequence[str] = (),
    *,
    report: Report | None = None,
    data: Any = None,  # Any: as in `train`
    seeds: int = LEAST_SEEDS,
    folder: Path | str | None = None,
    show: Show | None = None,
    command: tuple[str, ...] = (),
) -> Treatment:
    """Tries the remedies of what `diagnose` finds, and keeps those that are proven: `nw.treat(run).run`.

    All findings but notes, or those with the `codes`, of the `report` of `diagnose` where it is there already. A remedy
    is kept where networks trained with it on `seeds` seeds are better on the validation part than without it, beyond
    chance, and nothing else breaks; else it is rolled back. The test part is scored once, at the end.
    `print(treatment)` tells what was tried, kept and rolled back, beside as many random changes. The treated run of a
    run with a folder gets its own, `<name>-treated` unless given. An engineer's own network is edited too: built
    anew for other settings where `nw.adopt` got a function of the recipe, else mended (`netwright.planning:MENDS`); the
    treated run's `build` makes it untrained. Ctrl-C keeps what is proven by then.
    """
    tell = show or _silent
    run = _computable(reopened(load(run) if isinstance(run, Path | str) else run, data), tell)
    with prepare_device(run.recipe.threads):
        report = report or _diagnosed(run, tell)
        chosen = range(run.recipe.seed, run.recipe.seed + seeds)
        treated, note = treat_run(run, report, codes=codes, seeds=chosen, judge=_judged, tell=tell)
        if not note.is_changed:
            return Treatment(run, note)
        treated = _scored(treated)
    note = replace(note, after=treated.scores)
    treated = with_result(treated, "treatment", note)
    if run.folder is not None:
        where = run_folder.free_folder(run.folder.with_name(f"{run.folder.name}-treated"))
        where = where if folder is None else Path(folder)
        treated = run_folder.write_from(treated, where, run.folder, command=command)
    return Treatment(treated, note)


def _diagnosed(run: Run, tell: Show, without: Collection[str] = (), *, deep: bool = False) -> Report:
    stages = {
        stage: {code: path for code, path in table.items() if code not in without}
        for stage, table in TRAINING_STAGES.items()
    }
    evidence = replace(of_run(run, tell), retrain=partial(trained_again, run, tell) if deep else None)
    return diagnosed(evidence, stages, str(run.folder or "training"))


def _judged(run: Run, without: Collection[str]) -> Report:
    return _diagnosed(run, _silent, without)


def reopened(run: Run, data: Any = None) -> Run:  # Any: as in `train`
    """The run with its rows: read again as they were read for its training, where it has none.

    `data` are the same data at another place, or in memory. Raises RunError where data, parts or columns are not those
    that the run was trained on.
    """
    if len(run.train):
        return run
    if run.folder is None or not run.schema.inputs:
        problem = "this run has no training rows, and they cannot be read again"
        raise RunError(problem, remedy="give its loaders: nw.load(folder, network=..., train=...), or use nw.adopt.")
    folder, origin = run.folder, run_folder.origin(run.folder)
    if data is None and not Path(origin.data).exists():
        problem = f"the data of {folder} are not at {origin.data!r}"
        raise RunError(problem, remedy="give them: data=..., or --data on the command line.")
    data = origin.data if data is None else data
    source = replace(run.source, data=data, task=run.task)
    dataset = read_source(source)
    fixes = run_folder.load_fixes(folder)
    looks = run_folder.fingerprint(Path(data) if isinstance(data, str | Path) else dataset, fixes)
    run_folder.require_same_data(folder, looks)
    seed = run_folder.load_split(folder).seed
    parts = split_rows(dataset, source, seed=seed)
    moved = [replace(fix, place=fix.place.replace(origin.data, dataset.origin, 1)) for fix in fixes]
    dataset, parts = apply_fixes(dataset, parts, moved)
    run_folder.require_same_rows(folder, _rows(parts))
    prepared = prepare(dataset, parts, source)
    if prepared.schema != run.schema:
        raise RunError(f"the columns of {folder} are others when read again", remedy="train it again.")
    train = augmented(prepared.train, run.schema, run.recipe.augment, run.task)
    return replace(run, train=train, valid=prepared.valid, test=prepared.test)


def _rows(parts: Split) -> dict[str, NDArray[np.int64]]:
    return {"train": parts.train, "valid": parts.valid, "test": parts.test}


def evaluate(run: Run, data: Any = None, *, labels: str | Path | None = None, show: Show | None = None) -> Scores:
    """Scores with 95 % intervals: of the run's own test part, which was scored once, or of new data with the target."""
    if data is None:
        if run.scores is None:
            raise DataError("this run has no test part that was scored", remedy="give data to evaluate on.")
        return run.scores
    said = run.source
    dataset = read_source(Source(data, said.target, series=said.series, time=said.time, labels=str(labels or "")))
    examples, bad = encode_new(run.schema, run.task, dataset)
    _tell_bad(dataset, bad, show or _silent)
    with prepare_device():
        run = _computable(run, show or _silent)
        return score_examples(run.network, run.task, examples, run.recipe).result(examples.groups)


def predict(run: Run, data: Any, *, to: Path | str | None = None, show: Show | None = None) -> pl.DataFrame:
    """Answers for new data, a row for each of its rows; null where a row could not be read. `to` writes them too.

    `data` as in `train`, without the target; also one row or several as dictionaries, and lists of files.
    """
    table = pl.concat(predict_chunks(run, data, show=show))
    if to is not None:
        written(iter((table,)), Path(to))
    return table


def predict_to(run: Run, data: Any, to: Path, *, show: Show | None = None) -> int:
    """Writes answers to a .csv, .parquet or .jsonl file in bounded memory; returns how many rows."""
    return written(predict_chunks(run, data, show=show), to)


def predict_chunks(run: Run, data: Any, *, show: Show | None = None) -> Iterator[pl.DataFrame]:
    """Answers some rows at a time, so that data of any size fit."""
    source = Source(_whole(run, data), series=run.source.series, time=run.source.time)
    with prepare_device():
        run = _computable(run, show or _silent)
        for dataset in read_chunks(source):
            examples, bad = encode_new(run.schema, None, dataset)
            _tell_bad(dataset, bad, show or _silent)
            found = predictions(run.network, run.task, examples, run.recipe)
            yield placed(found if len(examples) else (_no_answers(run),), dataset)


def _no_answers(run: Run) -> pl.DataFrame:
    """The columns of answers without rows, as where none of the data could be read."""
    first = InMemory(run.sample, (), torch.zeros(1, dtype=torch.int64), str)
    return next(predictions(run.network, run.task, first, run.recipe)).clear()


def _computable(run: Run, tell: Show) -> Run:
    """The run with the recipe to compute with here, of one that may have been trained elsewhere."""
    recipe, note = suited(run.recipe, device_of(run.network))
    if not note:
        return run
    tell(note)
    return replace(run, recipe=recipe)


def _whole(run: Run, data: Any) -> Any:  # Any: as in `predict`
    """A text file is one example where texts have labels; a language model reads it in windows."""
    is_text = isinstance(data, str | Path) and str(data).lower().endswith(TEXTS)
    return [Path(data)] if is_text and run.source.target else data


def show(run: Run) -> tuple[Layer, ...]:
    """The network's layers with shapes, parameters and FLOPs for one example."""
    return layers(run.network, run.sample)


def weights(run: Run, *, top: int = 10) -> Learned:
    """What the layers have learned: positive and negative weights, the strongest columns, filters as a picture."""
    connections = strongest(run.network, run.schema, run.sample, top)
    return Learned(learned(run.network), connections, filters_picture(run.network))


def cache(*, clear: bool = False) -> Cache:
    """Decoded files that are kept for the next training: where, and how much; with `clear` they are removed.

    They are in the folder that the environment variable NETWRIGHT_CACHE names, else in the user's folder of caches.
    NETWRIGHT_CACHE_BYTES bounds them: the least recently used go first, and none that a process has in use.
    """
    if clear:
        (decoded_folder().parent / MEASURED).unlink(missing_ok=True)
    return clear_cache() if clear else read_cache()


def _tell_bad(dataset: Dataset, bad: Mapping[int, str], tell: Show) -> None:
    for note in dataset.notes:
        tell(note)
    if bad:
        first = min(bad)
        tell(f"{counted(len(bad), 'row')} cannot be read, the first is {dataset.locate(first)}: {bad[first]}")


def _silent(_event: object) -> None:
    """For those who want no news."""
