"""A run on disk: text, and tensors without code. `weights.safetensors` is written last: with it, a run is whole."""

import io
import json
import platform
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
import polars as pl
import tomli_w
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from netwright.data.dataset import Dataset
from netwright.data.examples import empty
from netwright.files import (
    clear_unfinished,
    is_unfinished,
    read_tensors,
    replace_tensors,
    replace_text,
    unwritable,
)
from netwright.kinds import KINDS
from netwright.records.batch import Examples
from netwright.records.errors import NetwrightError, RunError
from netwright.records.finding import Fix, Report
from netwright.records.history import History
from netwright.records.note import Note
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Field, Schema
from netwright.records.source import Source
from netwright.records.task import Scores, Task
from netwright.records.watched import Watched
from netwright.resolve import resolve
from netwright.tasks import TASKS
from netwright.training.checkpoint import AGAIN, RESUME, cut_history, parse_watched, read_history, watched_text
from netwright.training.weights import misfit, named, put

FORMAT = 2  # of the whole folder; grows when a folder written today cannot be read by yesterday's code
FIRST = 1  # scores, baselines, notes and the end of training were one file
RECIPE, SCHEMA, TASK, SPLIT, ORIGIN = "recipe.toml", "schema.json", "task.json", "split.json", "origin.json"
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

WHOLE_BYTES = 1 << 26  # files up to 64 MiB are hashed whole, in a tenth of a second
PIECE_BYTES = 1 << 20  # of larger ones the beginning, the middle and the end
SAMPLED_ROWS = 1000  # of a table in memory
MAPPED_ROWS = 100  # where columns stand on disk: pictures of 224 x 224 are 15 MB then
LISTED_ROWS = 100_000  # rows of a part up to which split.json lists them: 1 MB of text; more are only hashed

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Fingerprint:
    """What tells whether data are still the same: how many bytes, when last changed, and a hash.

    The hash covers a file of up to 64 MiB whole; of a larger one three pieces and the time of its last change; of a
    folder all names and sizes; of a table in memory a sample of its rows.
    """

    bytes: int
    modified: float  # seconds since 1970; 0 for data in memory
    digest: str


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
class Part:
    """The rows of one part of the data."""

    count: int
    digest: str  # of the row numbers in their order
    rows: tuple[int, ...] | None  # None where they are too many to list


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
    parts = {name: _part(numbers) for name, numbers in rows.items()}
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
    schema = [{"kind": _name(type(f), f.kind, KINDS), **asdict(f)} for f in run.schema.inputs]
    task = {"task": _name(type(run.task), run.task.name, TASKS), **asdict(run.task)}
    # First, so that the folder is known as a run's whatever happens next.
    replace_text(folder / ORIGIN, _text(asdict(origin) | {"reading": origin.reading.said()}))
    replace_text(folder / RECIPE, tomli_w.dumps(asdict(run.recipe)))
    replace_text(folder / SCHEMA, _text(schema))
    replace_text(folder / TASK, _text(task))
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
) -> Run:
    """A whole run from its folder. The parts of the data are empty unless given.

    `network` is an untrained module for a run that was trained with the user's own (a copy gets the weights); others
    are rebuilt from schema, task and recipe. Raises RunError where the folder is missing, half written, broken, or of a
    newer version.
    """
    folder = Path(folder)
    source = origin(folder).reading
    if not (folder / WEIGHTS).exists():
        raise _unfinished(folder)
    recipe, schema, task = load_recipe(folder), _load_schema(folder), _load_task(folder)
    if network is None and not schema.inputs:
        raise RunError(f"the network of {folder} was the user's own", remedy="give it: load(folder, network=...).")
    build = partial(task.network, schema, recipe) if network is None else partial(deepcopy, deepcopy(network))
    built = build()
    tensors, _ = read_tensors(folder / WEIGHTS)
    if problem := misfit(built, tensors):
        raise RunError(f"{folder / WEIGHTS} does not fit the network of its recipe: {problem}", remedy=AGAIN)
    put(built, tensors)
    outcome, results = _load_outcome(folder)
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
        outcome = _read(folder / OUTCOME, Outcome)
        return outcome, {stage: _read(_file(folder, stage), kind) for stage, kind in there.items()}
    first = _read(folder / "scores.json", _FirstOutcome)
    results = {stage: _read(_file(folder, stage), kind) for stage, kind in there.items() if stage != "scores"}
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
    record = _json(path)
    found = record.get("format") if isinstance(record, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise RunError(
            f"{folder} was written by a newer netwright (format {found}; this one reads up to {FORMAT})",
            remedy="upgrade: pip install --upgrade netwright",
        )
    return _checked(path, record, Origin)


def load_recipe(folder: Path) -> Recipe:
    """The settings of a run. Raises RunError where they cannot be read."""
    path = folder / RECIPE
    try:
        return Recipe().edit(tomllib.loads(_content(path)))
    except tomllib.TOMLDecodeError as error:
        raise RunError(f"{path} is not valid TOML: {error}", remedy=AGAIN) from None
    except NetwrightError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path}: {error.problem}", remedy="correct the file by hand, or train again.") from None


def load_split(folder: Path) -> Split:
    """Which rows were in which part. Raises RunError where this cannot be read."""
    return _read(folder / SPLIT, Split)


def load_watched(folder: Path) -> Watched:
    """What was seen of a training; nothing where the run is older than the recorder. Raises RunError."""
    path = folder / WATCHED
    if not path.exists():
        return Watched()
    try:
        return parse_watched(_content(path))
    except ValueError as error:  # no JSON, or pydantic's
        raise RunError(f"{path} cannot be read: {error}", remedy=AGAIN) from None


def load_fixes(folder: Path) -> tuple[Fix, ...]:
    """The fixes that were applied to the data. Raises RunError where they cannot be read."""
    if not (folder / FIXES).exists():
        return ()
    records = _json(folder / FIXES)
    if not isinstance(records, list):
        raise RunError(f"{folder / FIXES} is no list of fixes", remedy=AGAIN)
    return tuple(_checked(folder / FIXES, record, Fix) for record in records)


def require_same_data(folder: Path, fingerprint: Fingerprint) -> None:
    """Raises RunError where data are not those that the run was trained on."""
    old = origin(folder)
    if old.fingerprint.digest != fingerprint.digest:
        problem = f"the data have changed since {folder} was trained on {old.data}"
        raise RunError(problem, remedy="give the data as they were, or train again.")


def require_same_rows(folder: Path, rows: Mapping[str, Sequence[int] | NDArray[np.int64]]) -> None:
    """Raises RunError where parts do not hold the rows that they held in the run."""
    for name, part in load_split(folder).parts.items():
        if (now := _part(rows[name])).digest != part.digest:
            problem = f"the {name} part of {folder} had {part.count:,} rows; read again it has {now.count:,}"
            told = problem if now.count != part.count else f"the {name} part of {folder} holds other rows, read again"
            raise RunError(told, remedy=AGAIN)


def is_resumable(folder: Path) -> bool:
    """Whether training was stopped and can go on."""
    return (folder / RESUME).exists() and not is_whole(folder)


def is_whole(folder: Path) -> bool:
    """Whether the folder holds a finished run."""
    return (folder / WEIGHTS).exists()


def require_same(folder: Path, *, recipe: Recipe, fingerprint: Fingerprint) -> None:
    """Raises RunError, naming each difference, where a stopped training cannot go on with these settings and data."""
    saved, now = (asdict(r) for r in (load_recipe(folder), recipe))
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


def fingerprint(data: Path | Dataset, fixes: Sequence[Fix] = ()) -> Fingerprint:
    """What data look like from outside: a file, a folder, or rows in memory; and which fixes are applied to them."""
    if isinstance(data, Dataset):
        found = _fingerprint_rows(data)
    else:
        found = _fingerprint_folder(data) if data.is_dir() else _fingerprint_file(data)
    fixed = _digest(found.digest.encode(), _text(list(fixes)).encode()) if fixes else found.digest
    return replace(found, digest=fixed)


def _fingerprint_rows(data: Dataset) -> Fingerprint:
    buffer = io.BytesIO()
    data.every(max(1, len(data) // (MAPPED_ROWS if data.mapped else SAMPLED_ROWS))).write_ipc(buffer)
    size = round(data.table.estimated_size())
    return Fingerprint(size, 0.0, _digest(f"{len(data)}".encode(), buffer.getvalue()))


def _fingerprint_folder(folder: Path) -> Fingerprint:
    files = [(path.relative_to(folder).as_posix(), path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    names = "\n".join(f"{name} {stat.st_size}" for name, stat in files)
    modified = max((stat.st_mtime for _, stat in files), default=0.0)
    return Fingerprint(sum(stat.st_size for _, stat in files), modified, _digest(names.encode()))


def _fingerprint_file(path: Path) -> Fingerprint:
    stat = path.stat()
    if stat.st_size <= WHOLE_BYTES:
        return Fingerprint(stat.st_size, stat.st_mtime, _digest(path.read_bytes()))
    pieces: list[bytes] = []
    with path.open("rb") as file:
        for place in (0, stat.st_size // 2, stat.st_size - PIECE_BYTES):
            file.seek(place)
            pieces.append(file.read(PIECE_BYTES))
    return Fingerprint(stat.st_size, stat.st_mtime, _digest(f"{stat.st_size} {stat.st_mtime_ns}".encode(), *pieces))


def _digest(*pieces: bytes) -> str:
    digest = blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _part(rows: Sequence[int] | NDArray[np.int64]) -> Part:
    numbers = pl.Series(rows, dtype=pl.Int64)
    listed = tuple(numbers) if len(numbers) <= LISTED_ROWS else None
    return Part(len(numbers), _digest(numbers.to_numpy().tobytes()), listed)


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


def _load_schema(folder: Path) -> Schema:
    path = folder / SCHEMA
    records = _json(path)
    if not isinstance(records, list):
        raise RunError(f"{path} is no list of columns", remedy=AGAIN)
    return Schema(tuple(_thing(path, record, "kind", KINDS, Field) for record in records))


def _load_sample(folder: Path) -> tuple[Tensor, ...]:
    tensors, _ = read_tensors(folder / SAMPLE)
    return tuple(tensors[str(number)] for number in range(len(tensors)))


def _load_task(folder: Path) -> Task:
    path = folder / TASK
    return _thing(path, _json(path), "task", TASKS, Task)


def _thing(path: Path, record: Any, key: str, table: Mapping[str, str], parent: type[T]) -> T:  # Any: JSON
    """A field or a task from its record, whose `key` names the class."""
    if not isinstance(record, dict) or not isinstance(record.get(key), str):
        raise RunError(f"{path} has an entry without {key!r}", remedy=AGAIN)
    try:
        found = resolve(key, record[key], table)
    except NetwrightError as error:
        raise RunError(f"{path}: {error.problem}", remedy=error.remedy) from None
    if not isinstance(found, type) or not issubclass(found, parent):
        raise RunError(f"{path}: {record[key]!r} is no {key}", remedy=AGAIN)
    return _checked(path, {name: value for name, value in record.items() if name != key}, found)


def _read(path: Path, kind: type[T]) -> T:
    return _checked(path, _json(path), kind)


def _checked(path: Path, record: Any, kind: type[T]) -> T:  # Any: JSON
    """A record as its dataclass, every value checked."""
    name, known = (kind.__name__, {f.name for f in fields(kind)}) if is_dataclass(kind) else ("entry", None)
    if known is not None and isinstance(record, dict) and (unknown := record.keys() - known):
        raise RunError(f"{path}: {name} has no {min(unknown)!r}", remedy="upgrade netwright, or train again.")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(record), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(f"{path}: {name}: {where}: {first['msg']}", remedy=AGAIN) from None


def _json(path: Path) -> Any:  # Any: JSON
    try:
        return json.loads(_content(path))
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not valid JSON: {error}", remedy=AGAIN) from None


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"there is no file {path}", remedy=AGAIN) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}", remedy=AGAIN) from None


def _text(record: object) -> str:
    return json.dumps(record, ensure_ascii=False, default=asdict) + "\n"


def _name(kind: type, name: str, table: Mapping[str, str]) -> str:
    """The table's key, or the import path of a class that is in no table."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    return name if table.get(name) == path else path
