"""A run on disk: text, and tensors without code. `weights.safetensors` is written last and completes a run."""

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
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.blueprint import code_of_edits, code_of_source, load_recipe, load_schema, load_task, write_blueprint
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
from netwright.records.errors import RunError
from netwright.records.finding import Fix, Report
from netwright.records.history import History
from netwright.records.note import Note
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.source import Source
from netwright.records.task import Scores, Task
from netwright.records.watched import Watched
from netwright.resolve import refuse_code
from netwright.tasks.own_loss import Loss, task_of_loss
from netwright.training.checkpoint import RESUME, cut_history, parse_watched, read_history, watched_text
from netwright.training.forms import rows_of
from netwright.training.weights import misfit, named, put

FORMAT = 2  # of the whole folder; increased when older code can no longer read new folders
FIRST = 1  # scores, baselines, notes and the end of training were in one file
SPLIT, ORIGIN = "split.json", "origin.json"
OUTCOME, SAMPLE, WEIGHTS = "outcome.json", "sample.safetensors", "weights.safetensors"
WATCHED = "watched.json"
FIXES = "fixes.json"  # the applied fixes of the data; absent if there are none

# The types of a run's results by stage; a stage's result is in <stage>.json if there is one.
RESULTS: Mapping[str, Any] = {  # Any: types, or generics such as tuple[...]
    "scores": Scores,
    "baselines": tuple[tuple[str, Scores], ...],
    "audit": Report,
    "diagnosis": Report,
    "treatment": Note,
}


@final
@dataclass(frozen=True)
class Origin:
    """Where a run comes from."""

    format: int
    data: str  # a path, or a description of data in memory
    fingerprint: Fingerprint
    versions: dict[str, str]
    command: tuple[str, ...]  # words of the command line; none if Python code started the run
    parent: str  # the run folder that this one was made from; "" if there is none
    reading: Source


@final
@dataclass(frozen=True)
class Split:
    """The rows of each part."""

    seed: int
    parts: dict[str, Part]


@final
@dataclass(frozen=True)
class Outcome:
    """Why training ended, and the notes on it."""

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
    """Writes everything that defines a run, before it is trained. `rows` are the row numbers of each part.

    Raises RunError if the folder is not empty or cannot be written.
    """
    parts = {name: part(numbers) for name, numbers in rows.items()}
    origin = Origin(FORMAT, data, fingerprint, _versions(), tuple(command), "", run.source)
    _create(run, folder, origin, Split(seed, parts), fixes)


def write_from(run: Run, folder: Path, parent: Path, *, command: Sequence[str] = ()) -> Run:
    """A trained run on the data, parts and fixes of another run's folder, in a new folder. Raises as `create`."""
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
    # First, so that the folder is recognized as a run's whatever happens next.
    replace_text(folder / ORIGIN, _text(asdict(origin) | {"reading": origin.reading.said()}))
    write_blueprint(folder, run.recipe, run.schema, run.task)
    replace_text(folder / SPLIT, _text(split))
    if fixes:
        replace_text(folder / FIXES, _text(list(fixes)))
    replace_tensors(folder / SAMPLE, {str(number): x for number, x in enumerate(run.sample)}, {"format": str(FORMAT)})


def write(run: Run, folder: Path) -> Run:
    """Completes a created run: writes scores and findings, then weights, then deletes the checkpoint.

    Returns the run with its folder. Raises RunError if it cannot be written; the checkpoint then stays.
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
    """Writes the results of all stages and their notes."""
    replace_text(folder / OUTCOME, _text(Outcome(run.history.ended, run.notes)))
    for stage, result in run.results.items():
        write_result(folder, stage, result)


def write_result(folder: Path, stage: str, result: Any) -> None:  # Any: as RESULTS says
    """Writes the result of a stage, replacing an older one."""
    replace_text(_file(folder, stage), _text(result))


def _file(folder: Path, stage: str) -> Path:
    return folder / f"{stage}.json"


def load(
    folder: Path | str,
    *,
    network: nn.Module | None = None,
    task: Task | Loss | None = None,
    train: Any = None,  # Any: Examples, or an engineer's loader
    valid: Any = None,
    test: Any = None,
    allow_code: bool = False,
) -> Run:
    """Loads a complete run. The parts of the data are empty unless given: loaders as for `adopt`, or Examples.

    `task` is needed if the run was trained with the user's own loss. `network` is an untrained module, needed if the
    run was trained with the user's own (a copy gets the weights); others are rebuilt from schema, task and recipe.
    These name entries of netwright's tables; with `allow_code` they may name other code, which then runs. Raises
    RunError if the folder is missing, incomplete, broken, of a newer version, or names other code.
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
    schema = load_schema(folder, allow_code=allow_code)
    task = task_of_loss(load_task(folder, allow_code=allow_code) if task is None else task)
    if network is None and not schema.inputs:
        raise RunError(f"the network of {folder} is the user's own", remedy="give it: load(folder, network=...).")
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
        train=rows_of(built, task, train, "train loader"),
        valid=rows_of(built, task, valid, "validation loader"),
        test=rows_of(built, task, test, "test loader"),
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
    """Where a run comes from. Raises RunError if the folder is not a run's, or of a newer version."""
    if not folder.is_dir():
        raise RunError(f"there is no run folder {folder}", remedy="correct the path, or train first.")
    path = folder / ORIGIN
    if not path.exists():
        raise RunError(f"{folder} is not a run folder: it has no {ORIGIN}", remedy="give the folder of a run.")
    record = read_json(path)
    found = record.get("format") if isinstance(record, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise RunError(
            f"{folder} was written by a newer netwright (format {found}; this one reads up to {FORMAT})",
            remedy="upgrade: pip install --upgrade netwright",
        )
    return checked(path, record, Origin)


def load_split(folder: Path) -> Split:
    """The rows of each part. Raises RunError if they cannot be read."""
    return read_record(folder / SPLIT, Split)


def load_watched(folder: Path) -> Watched:
    """What the recorder saw of the training; nothing if the run is older than the recorder. Raises RunError."""
    path = folder / WATCHED
    if not path.exists():
        return Watched()
    try:
        return parse_watched(read_text(path))
    except (ValueError, RecursionError) as error:  # not JSON, or pydantic's
        raise RunError(f"{path} cannot be read: {error}", remedy=AGAIN) from None


def load_fixes(folder: Path) -> tuple[Fix, ...]:
    """The fixes that were applied to the data. Raises RunError if they cannot be read."""
    if not (folder / FIXES).exists():
        return ()
    records = read_json(folder / FIXES)
    if not isinstance(records, list):
        raise RunError(f"{folder / FIXES} is not a list of fixes", remedy=AGAIN)
    return tuple(checked(folder / FIXES, record, Fix) for record in records)


def require_same_data(folder: Path, fingerprint: Fingerprint) -> None:
    """Raises RunError if the data are not those that the run was trained on."""
    old = origin(folder)
    if old.fingerprint.digest != fingerprint.digest:
        problem = f"the data have changed since {folder} was trained on {old.data}"
        raise RunError(problem, remedy="restore the data, or train again.")


def require_same_rows(folder: Path, rows: Mapping[str, Sequence[int] | NDArray[np.int64]]) -> None:
    """Raises RunError if the parts do not hold the same rows as in the run."""
    for name, before in load_split(folder).parts.items():
        if (now := part(rows[name])).digest != before.digest:
            problem = f"the {name} part of {folder} had {before.count:,} rows; it now has {now.count:,}"
            told = problem if now.count != before.count else f"the {name} part of {folder} now holds other rows"
            raise RunError(told, remedy=AGAIN)


def is_resumable(folder: Path) -> bool:
    """Whether training was interrupted and can resume."""
    return (folder / RESUME).exists() and not is_whole(folder)


def is_whole(folder: Path) -> bool:
    """Whether the folder holds a finished run."""
    return (folder / WEIGHTS).exists()


def require_same(folder: Path, *, recipe: Recipe, fingerprint: Fingerprint) -> None:
    """Raises RunError, naming each difference, if training cannot resume with these settings and data."""
    saved = load_recipe(folder, own=recipe.of(type(recipe.own)), allow_code=True)  # compared, not built
    saved, now = ({s.name: value for s, value in r.values()} for r in (saved, recipe))
    told = [f"{name} was {saved[name]}, now {now[name]}" for name in now if _text(saved[name]) != _text(now[name])]
    old = origin(folder)
    if old.fingerprint.digest != fingerprint.digest:
        told.append(f"the data ({old.data}) or the fixes applied to them have changed")
    if told:
        raise RunError(
            f"training in {folder} was interrupted and cannot resume: {'; '.join(told)}",
            remedy="run the command that started it, or choose another folder.",
        )


def next_folder(data: str | Path, *, under: Path = Path("runs")) -> Path:
    """`runs/people` for `people.csv`: the first without a finished run, so that interrupted training resumes."""
    return free_folder(under / (re.sub(r"[^\w.-]+", "_", Path(data).resolve().stem).strip("._") or "run"))


def free_folder(folder: Path) -> Path:
    """The folder, or with a number after its name: the first without a finished run."""
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
            f"{folder} holds an interrupted training",
            remedy="run the command that started it, or choose another folder.",
        )
    if folder.is_file():
        raise RunError(f"{folder} is a file", remedy="choose another folder.")
    others = folder.is_dir() and not all(map(is_unfinished, folder.iterdir()))
    if others and not (folder / ORIGIN).exists():
        raise RunError(f"{folder} is not empty and not a run folder", remedy="choose another folder.")


def _unfinished(folder: Path) -> RunError:
    if (folder / RESUME).exists():
        remedy = "run the command that started it: training resumes from its last checkpoint."
        return RunError(f"training in {folder} was interrupted", remedy=remedy)
    return RunError(f"{folder} has no {WEIGHTS}: training never finished", remedy="train it again.")


def _load_sample(folder: Path) -> tuple[Tensor, ...]:
    tensors, _ = read_tensors(folder / SAMPLE)
    return tuple(tensors[str(number)] for number in range(len(tensors)))


def _text(record: object) -> str:
    return json.dumps(record, ensure_ascii=False, default=asdict) + "\n"
