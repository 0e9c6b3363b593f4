"""A run on disk: text, and tensors without code. `weights.safetensors` is written last: with it, a run is whole."""

import json
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.blueprint import code_of_edits, code_of_source, load_recipe, load_schema, load_task, write_blueprint
from netwright.data.examples import empty
from netwright.data.fingerprint import Fingerprint, Part, part
from netwright.files import (
    AGAIN,
    checked,
    clear_unfinished,
    is_unfinished,
    read_json,
    read_record,
    read_tensors,
    read_text,
    replace_tensors,
    replace_text,
    unwritable,
)
from netwright.records.batch import Examples
from netwright.records.errors import RunError
from netwright.records.finding import Fix, Report
from netwright.records.history import History
from netwright.records.note import Note
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.source import Source
from netwright.records.task import Scores
from netwright.records.watched import Watched
from netwright.resolve import refuse_code
from netwright.training.checkpoint import RESUME, cut_history, parse_watched, read_history, watched_text
from netwright.training.weights import misfit, named, put

FORMAT = 2  # of the whole folder; grows when a folder written today cannot be read by yesterday's code
FIRST = 1  # scores, baselines, notes and the end of training were one file
SPLIT, ORIGIN = "split.json", "origin.json"
OUTCOME, SAMPLE, WEIGHTS = "outcome.json", "sample.safetensors", "weights.safetensors"
WATCHED = "watched.json"
FIXES = "fixes.json"  # of the data, as they were applied; not there if there are none

# What a run's results are, by stage; that of a stage is in <stage>.json if it was made.
RESULTS: Mapping[str, Any] = {  # Any: types, and such as tuple[...]
    "scores": Scores,
    "baselines": tuple[tuple[str, Scores], ...],
    "audit": Report,
    "diagnosis": Report,
    "treatment": Note,
}


T = TypeVar("T")


@final
@dataclass(frozen=True)
class Origin:
    """Where a run comes from."""

    format: int
    data: str  # a path, or what stands for data in memory
    fingerprint: Fingerprint
    versions: dict[str, str]
    command: tuple[str, ...]  # words of the command line; none where Python code started the run
    parent: str  # the run folder that this one was made from; "" where there is none
    reading: Source


@final
@dataclass(frozen=True)
class Split:
    """Which rows were in which part."""

    seed: int
    parts: dict[str, Part]


@final
@dataclass(frozen=True)
class Outcome:
    """Why training ended, and what was said of it."""

    ended: str
    notes: tuple[str, ...]


@final
@dataclass(frozen=True)
class _FirstOutcome:
    """What `scores.json` held in the first format."""

    ended: str
    scores: Scores | None
    baselines: tuple[tuple[str, Scores], ...]
    notes: tuple[str, ...]


def create(
    run: Run,
    folder: Path,
    *,
    data: str,
    fingerprint: Fingerprint,
    rows: Mapping[str, Sequence[int] | NDArray[np.int64]],
    seed: int = 0,
    command: Sequence[str] = (),
    fixes: Sequence[Fix] = (),
) -> None:
    """Writes all that makes a run what it is, before it is trained. `rows` are the row numbers of each part.

    Raises RunError where the folder holds a run already, or anything else, or cannot be written.
    """
    parts = {name: part(numbers) for name, numbers in rows.items()}
    origin = Origin(FORMAT, data, fingerprint, _versions(), tuple(command), "", run.source)
    _create(run, folder, origin, Split(seed, parts), fixes)


def write_from(run: Run, folder: Path, parent: Path, *, command: Sequence[str] = ()) -> Run:
    """A trained run on the data, parts and fixes of another run's folder, as a folder of its own. As `create`."""
    old = replace(origin(parent), parent=str(parent), command=tuple(command), versions=_versions(), format=FORMAT)
    _create(run, folder, old, load_split(parent), load_fixes(parent))
    cut_history(folder, run.history.epochs)
    return write(run, folder)


def _create(run: Run, folder: Path, origin: Origin, split: Split, fixes: Sequence[Fix]) -> None:
    _require_free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear_unfinished(folder)
    except OSError as error:
        raise unwritable(folder, error) from None
    # First, so that the folder is known as a run's whatever happens next.
    replace_text(folder / ORIGIN, _text(asdict(origin) | {"reading": origin.reading.said()}))
    write_blueprint(folder, run.recipe, run.schema, run.task)
    replace_text(folder / SPLIT, _text(split))
    if fixes:
        replace_text(folder / FIXES, _text(list(fixes)))
    replace_tensors(folder / SAMPLE, {str(number): x for number, x in enumerate(run.sample)}, {"format": str(FORMAT)})


def write(run: Run, folder: Path) -> Run:
    """Makes a created run whole: scores and what was found, then weights; then the checkpoint goes.

    Returns the run with its folder. Raises RunError where it cannot be written; the checkpoint is still there then.
    """
    write_results(run, folder)
    replace_text(folder / WATCHED, watched_text(run.watched) + "\n")
    replace_tensors(folder / WEIGHTS, named(run.network), {"format": str(FORMAT)})
    try:
        (folder / RESUME).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder / RESUME, error) from None
    return replace(run, folder=folder)


def write_results(run: Run, folder: Path) -> None:
    """Puts the results of all stages into the folder, and what was said of them."""
    replace_text(folder / OUTCOME, _text(Outcome(run.history.ended, run.notes)))
    for stage, result in run.results.items():
        write_result(folder, stage, result)


def write_result(folder: Path, stage: str, result: Any) -> None:  # Any: as RESULTS says
    """Puts the result of a stage into the folder of its run, in place of an older one."""
    replace_text(_file(folder, stage), _text(result))


def _file(folder: Path, stage: str) -> Path:
    return folder / f"{stage}.json"


def load(
    folder: Path | str,
    *,
    network: nn.Module | None = None,
    train: Examples | None = None,
    valid: Examples | None = None,
    test: Examples | None = None,
    allow_code: bool = False,
) -> Run:
    """A whole run from its folder. The parts of the data are empty unless given.

    `network` is an untrained module for a run that was trained with the user's own (a copy gets the weights); others
    are rebuilt from schema, task and recipe. These name entries of netwright's tables; with `allow_code` they may name
    other code, which then runs. Raises RunError if the folder is missing, half written, broken, of a newer version, or
    names other code.
    """
    folder = Path(folder)
    source = origin(folder).reading
    if not (folder / WEIGHTS).exists():
        raise _unfinished(folder)
    outcome, results = _load_outcome(folder)
    if not allow_code:
        refuse_code(folder / ORIGIN, code_of_source(source))
        for stage, result in results.items():
            refuse_code(_file(folder, stage), code_of_edits(json.loads(_text(result))))
    recipe = load_recipe(folder, allow_code=allow_code)
    schema, task = load_schema(folder, allow_code=allow_code), load_task(folder, allow_code=allow_code)
    if network is None and not schema.inputs:
        raise RunError(f"the network of {folder} was the user's own", remedy="give it: load(folder, network=...).")
    build = partial(task.network, schema, recipe) if network is None else partial(deepcopy, deepcopy(network))
    built = build()
    tensors, _ = read_tensors(folder / WEIGHTS)
    if problem := misfit(built, tensors):
        raise RunError(f"{folder / WEIGHTS} does not fit the network of its recipe: {problem}", remedy=AGAIN)
    put(built, tensors)
    return Run(
        network=built.eval(),
        task=task,
        schema=schema,
        recipe=recipe,
        train=train or empty(),
        valid=valid or empty(),
        test=test or empty(),
        build=build,
        history=History(read_history(folder), outcome.ended),
        watched=load_watched(folder),
        folder=folder,
        notes=outcome.notes,
        source=source,
        sample=_load_sample(folder),
        results=results,
    )


def _load_outcome(folder: Path) -> tuple[Outcome, Mapping[str, Any]]:  # Any: as RESULTS says
    there = {stage: kind for stage, kind in RESULTS.items() if _file(folder, stage).exists()}
    if origin(folder).format > FIRST or (folder / OUTCOME).exists():
        outcome = read_record(folder / OUTCOME, Outcome)
        return outcome, {stage: read_record(_file(folder, stage), kind) for stage, kind in there.items()}
    first = read_record(folder / "scores.json", _FirstOutcome)
    results = {stage: read_record(_file(folder, stage), kind) for stage, kind in there.items() if stage != "scores"}
    if first.scores is not None:
        results |= {"scores": first.scores, "baselines": first.baselines}
    return Outcome(first.ended, first.notes), results


def origin(folder: Path) -> Origin:
    """Where a run comes from. Raises RunError where the folder is none of a run, or of a newer version."""
    if not folder.is_dir():
        raise RunError(f"there is no run folder {folder}", remedy="correct the path, or train first.")
    path = folder / ORIGIN
    if not path.exists():
        raise RunError(f"{folder} is no run folder: it has no {ORIGIN}", remedy="give the folder of a run.")
    record = read_json(path)
    found = record.get("format") if isinstance(record, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise RunError(
            f"{folder} was written by a newer netwright (format {found}; this one reads up to {FORMAT})",
            remedy="upgrade: pip install --upgrade netwright",
        )
    return checked(path, record, Origin)


def load_split(folder: Path) -> Split:
    """Which rows were in which part. Raises RunError where this cannot be read."""
    return read_record(folder / SPLIT, Split)


def load_watched(folder: Path) -> Watched:
    """What was seen of a training; nothing where the run is older than the recorder. Raises RunError."""
    path = folder / WATCHED
    if not path.exists():
        return Watched()
    try:
        return parse_watched(read_text(path))
    except (ValueError, RecursionError) as error:  # no JSON, or pydantic's
        raise RunError(f"{path} cannot be read: {error}", remedy=AGAIN) from None


def load_fixes(folder: Path) -> tuple[Fix, ...]:
    """The fixes that were applied to the data. Raises RunError where they cannot be read."""
    if not (folder / FIXES).exists():
        return ()
    records = read_json(folder / FIXES)
    if not isinstance(records, list):
        raise RunError(f"{folder / FIXES} is no list of fixes", remedy=AGAIN)
    return tuple(checked(folder / FIXES, record, Fix) for record in records)


def require_same_data(folder: Path, fingerprint: Fingerprint) -> None:
    """Raises RunError where data are not those that the run was trained on."""
    old = origin(folder)
    if old.fingerprint.digest != fingerprint.digest:
        problem = f"the data have changed since {folder} was trained on {old.data}"
        raise RunError(problem, remedy="give the data as they were, or train again.")


def require_same_rows(folder: Path, rows: Mapping[str, Sequence[int] | NDArray[np.int64]]) -> None:
    """Raises RunError where parts do not hold the rows that they held in the run."""
    for name, before in load_split(folder).parts.items():
        if (now := part(rows[name])).digest != before.digest:
            problem = f"the {name} part of {folder} had {before.count:,} rows; read again it has {now.count:,}"
            told = problem if now.count != before.count else f"the {name} part of {folder} holds other rows, read again"
            raise RunError(told, remedy=AGAIN)


def is_resumable(folder: Path) -> bool:
    """Whether training was stopped and can go on."""
    return (folder / RESUME).exists() and not is_whole(folder)


def is_whole(folder: Path) -> bool:
    """Whether the folder holds a finished run."""
    return (folder / WEIGHTS).exists()


def require_same(folder: Path, *, recipe: Recipe, fingerprint: Fingerprint) -> None:
    """Raises RunError, naming each difference, where a stopped training cannot go on with these settings and data."""
    saved = load_recipe(folder, own=recipe.of(type(recipe.own)), allow_code=True)  # compared, not built
    saved, now = ({s.name: value for s, value in r.values()} for r in (saved, recipe))
    told = [f"{name} was {saved[name]}, now {now[name]}" for name in now if _text(saved[name]) != _text(now[name])]
    old = origin(folder)
    if old.fingerprint.digest != fingerprint.digest:
        told.append(f"the data ({old.data}) or the fixes applied to them have changed")
    if told:
        raise RunError(
            f"the training in {folder} was stopped and cannot go on: {'; '.join(told)}",
            remedy="give the command it was started with, or choose another folder.",
        )


def next_folder(data: str | Path, *, under: Path = Path("runs")) -> Path:
    """`runs/people` for `people.csv`: the first that holds no whole run, so that a stopped one goes on."""
    return free_folder(under / (re.sub(r"[^\w.-]+", "_", Path(data).resolve().stem).strip("._") or "run"))


def free_folder(folder: Path) -> Path:
    """The folder, or with a number behind its name: the first that holds no whole run."""
    under, name, number = folder.parent, folder.name, 2
    while is_whole(folder):
        folder, number = under / f"{name}-{number}", number + 1
    return folder


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("netwright", "torch", "polars")}
    return {**packages, "python": platform.python_version(), "system": sys.platform}


def _require_free(folder: Path) -> None:
    if is_whole(folder):
        raise RunError(f"{folder} holds a finished run", remedy="choose another folder, or delete it.")
    if is_resumable(folder):
        raise RunError(
            f"{folder} holds a training that was stopped",
            remedy="give the command it was started with, or choose another folder.",
        )
    if folder.is_file():
        raise RunError(f"{folder} is a file", remedy="choose another folder.")
    others = folder.is_dir() and not all(map(is_unfinished, folder.iterdir()))
    if others and not (folder / ORIGIN).exists():
        raise RunError(f"{folder} is not empty, and holds no run", remedy="choose another folder.")


def _unfinished(folder: Path) -> RunError:
    if (folder / RESUME).exists():
        remedy = "give the command it was started with: training goes on from its last checkpoint."
        return RunError(f"the training in {folder} was stopped before its end", remedy=remedy)
    return RunError(f"{folder} has no {WEIGHTS}: it was never trained to its end", remedy="train it again.")


def _load_sample(folder: Path) -> tuple[Tensor, ...]:
    tensors, _ = read_tensors(folder / SAMPLE)
    return tuple(tensors[str(number)] for number in range(len(tensors)))


def _text(record: object) -> str:
    return json.dumps(record, ensure_ascii=False, default=asdict) + "\n"
