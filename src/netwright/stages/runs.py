"""A run reopened, with its rows if needed; scored; diagnosed."""

import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from netwright import run_folder
from netwright.checks import TRAINING_STAGES
from netwright.checks.training.evidence import diagnose, of_run
from netwright.data.dataset import Dataset
from netwright.data.examples import augmented
from netwright.data.fingerprint import fingerprint
from netwright.data.fixes import apply_fixes
from netwright.data.prepare import encode_new, prepare
from netwright.data.read import read_source
from netwright.data.split import split as split_rows
from netwright.machine.device import prepare_device, suited
from netwright.models.guards import builder
from netwright.planning.again import trained_again
from netwright.records.errors import DataError, RunError
from netwright.records.finding import Report
from netwright.records.options import silent
from netwright.records.result import Tell
from netwright.records.run import Run, with_result
from netwright.records.task import Scores
from netwright.simple_models.compare import compare, models_of
from netwright.stages.data import NONE_UNREAD, count_odd, tell_odd, tell_unread
from netwright.training.evaluate import device_of
from netwright.training.evaluate import evaluate as score_examples


def loaded(run: Run | Path | str, allow_code: bool = False) -> Run:
    """A run, or the run in a folder; its files may name outside code if `allow_code`."""
    return run_folder.load(run, allow_code=allow_code) if isinstance(run, Path | str) else run


def opened(
    run: Run | Path | str,
    tell: Tell,
    data: Any = None,  # Any: as in `reopened`
    *,
    rows: bool = False,
    allow_code: bool = False,
) -> Run:
    """A run, or the run in a folder, with the recipe to compute with here; with its rows, if needed."""
    run = loaded(run, allow_code)
    run = run_folder.with_teacher(reopened(run, data), allow_code=allow_code) if rows else run
    recipe, note = suited(run.recipe, device_of(run.network))
    if not note:
        return run
    tell(note)
    return replace(run, recipe=recipe)


def reopened(run: Run, data: Any = None) -> Run:  # Any: a path, or data in memory
    """The run with its rows, read again as for its training if it has none.

    `data` are the same data in another place, or in memory. Raises RunError if data, parts or columns are not those
    of the run's training.
    """
    if len(run.train):
        return run
    if run.folder is None or not run.schema.inputs:
        problem = "this run has no training rows, and they cannot be read again"
        raise RunError(problem, remedy="give its loaders: nw.load(folder, network=..., train=...), or use nw.adopt.")
    folder, origin = run.folder, run_folder.origin(run.folder)
    if data is None and not os.path.exists(origin.data):
        problem = f"the data of {folder} are not at {origin.data!r}"
        raise RunError(problem, remedy="give them: data=..., or --data on the command line.")
    source = replace(run.source, data=origin.data if data is None else data, task=run.task)
    dataset = read_source(source)
    fixes = run_folder.load_fixes(folder)
    looks = fingerprint(Path(source.data) if isinstance(source.data, str | Path) else dataset, fixes)
    run_folder.require_same_data(folder, looks)
    parts = split_rows(dataset, source, seed=run_folder.load_split(folder).seed)
    moved = [replace(fix, place=fix.place.replace(origin.data, dataset.origin, 1)) for fix in fixes]
    dataset, parts = apply_fixes(dataset, parts, moved)
    run_folder.require_same_rows(folder, {"train": parts.train, "valid": parts.valid, "test": parts.test})
    prepared = prepare(dataset, parts, source)
    if prepared.schema != run.schema:
        raise RunError(f"the columns of {folder} have changed", remedy="train it again.")
    train = augmented(prepared.train, run.schema, run.recipe.augment, run.task)
    build = builder(run.task, run.schema, run.recipe, prepared.train)
    return replace(run, train=train, valid=prepared.valid, test=prepared.test, build=build)


def scored(run: Run, tell: Tell) -> Run:
    """The run with scores on its test part and those of simple models; a simple model that fails becomes a note."""
    if not len(run.test):
        return run
    score = score_examples(run.network, run.task, run.test, run.recipe)
    run = with_result(run, "scores", score.result(run.test.groups))
    if run.baselines or not run.schema.inputs:  # the meaning of an engineer's own tensors is unknown
        return run
    models = models_of(run.task, run.schema)
    simple, notes = compare(models, run.schema, run.task, run.train, run.test, score)
    for note in notes:
        tell(note)
    return with_result(replace(run, notes=(*run.notes, *notes)), "baselines", simple)


def scored_pieces(run: Run, pieces: Iterable[Dataset], tell: Tell) -> Scores:
    """Scores of rows that come in pieces, so that any number of them fits. Raises DataError if none can be scored."""
    score, odd, unread, count, groups, origin = run.task.score(), {}, NONE_UNREAD, 0, None, ""
    with prepare_device():
        for dataset in pieces:
            count_odd(run.schema, dataset, odd)
            examples, bad = encode_new(run.schema, run.task, dataset)
            unread, count, origin = unread.with_rows(dataset, bad), count + len(examples), dataset.origin
            for note in dataset.notes:
                tell(note)
            score_examples(run.network, run.task, examples, run.recipe, score)
            groups = examples.groups  # of data that come in one piece: the rows of a table are independent
        tell_unread(unread, tell)
        tell_odd(odd, tell)
        if not count:
            problem = f"no row of {origin} can be scored: {unread.first}"
            remedy = f"give rows with targets like those of the training: {run.task.describe()}."
            raise DataError(problem, remedy=remedy)
        return score.result(groups)


def diagnosed(run: Run, tell: Tell, without: Collection[str] = (), *, deep: bool = False) -> Report:
    """The findings of the training checks, except those `without`; `deep` also trains again."""
    stages = {
        stage: {code: path for code, path in table.items() if code not in without}
        for stage, table in TRAINING_STAGES.items()
    }
    evidence = replace(of_run(run, tell), retrain=partial(trained_again, run, tell) if deep else None)
    return diagnose(evidence, stages, str(run.folder or "training"))


def judged(run: Run, without: Collection[str]) -> Report:
    """A diagnosis without messages."""
    return diagnosed(run, silent, without)
