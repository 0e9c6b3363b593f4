"""Whether training in a folder may resume: everything that decides its result must be the same."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.blueprint import SCHEMA, TASK, blueprint, load_recipe
from netwright.data.fingerprint import Fingerprint, part
from netwright.files import AGAIN, read_json
from netwright.records.errors import NetwrightError, RunError, listed
from netwright.records.finding import Fix
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.source import Source
from netwright.run_folder.records import (
    OUTCOME,
    RESULTS,
    WATCHED,
    is_resumable,
    is_whole,
    left,
    load_fixes,
    load_split,
    origin,
    result_name,
)
from netwright.run_folder.seal import load_seal, require_intact
from netwright.run_folder.writing import text_of

Rows = Mapping[str, Sequence[int] | NDArray[np.int64]]
"""Row numbers by part."""


def is_unfinished(folder: Path) -> bool:
    """Whether the command that trained here has something left to do: training, or a stage after it."""
    return is_resumable(folder) or bool(left(folder))


def started_recipe(
    folder: Path, own: Any, fingerprint: Fingerprint, command: Sequence[str]
) -> Recipe | None:  # Any: as `Recipe.own`
    """The settings of an unfinished training here; also of one that was killed before its first checkpoint.

    So what was measured or tried for them once is not measured again. None for another command, other data, or a
    folder without a start. Raises RunError if training can resume, but its settings cannot be read.
    """
    if is_unfinished(folder):
        return load_recipe(folder, own=own, allow_code=True)
    try:
        before = origin(folder)
        if is_whole(folder) or (before.fingerprint.digest, before.command) != (fingerprint.digest, tuple(command)):
            return None
        return load_recipe(folder, own=own, allow_code=True)
    except NetwrightError:
        return None


def require_same(
    folder: Path, run: Run, *, fingerprint: Fingerprint, rows: Rows, fixes: Sequence[Fix] = (), checksum: str = ""
) -> None:
    """Raises RunError, naming each difference, if training there cannot resume as the training of this run.

    Compares settings, how the data are read, their content, the applied fixes, columns, task, and the rows of each
    part. `checksum` is that of the encoded rows.
    """
    require_intact(folder, optional=[OUTCOME, WATCHED, *map(result_name, RESULTS)])
    told = [
        *_other_settings(folder, run.recipe),
        *_other_reading(origin(folder).reading, run.source),
        *_other_data(folder, fingerprint, fixes, checksum),
        *_other_columns(folder, run),
        *_other_rows(folder, rows),
    ]
    if told:
        raise RunError(
            f"training in {folder} was interrupted and cannot resume: {'; '.join(told)}",
            remedy="run the command that started it, or choose another folder.",
        )


def require_same_from(folder: Path, run: Run, parent: Path) -> None:
    """The same for a run that `create_from` began there from another run's folder."""
    require_intact(folder, optional=[OUTCOME, WATCHED, *map(result_name, RESULTS)])
    now, old = origin(folder), origin(parent)
    told = [
        *([] if _is_at(now.parent, parent) else [f"it is made from {now.parent or 'no run'}, not from {parent}"]),
        *_other_settings(folder, run.recipe),
        *_other_columns(folder, run),
        *(["the data differ"] if now.fingerprint.digest != old.fingerprint.digest else []),
        *(["the parts differ"] if _differ(load_split(folder), load_split(parent)) else []),
        *(["the fixes differ"] if _differ(list(load_fixes(folder)), list(load_fixes(parent))) else []),
    ]
    if told:
        raise RunError(
            f"{folder} holds another run: {'; '.join(told)}", remedy="choose another folder, or delete this one."
        )


def _is_at(path: str, folder: Path) -> bool:
    return bool(path) and Path(path).resolve() == folder.resolve()


def _other_settings(folder: Path, recipe: Recipe) -> Iterator[str]:
    saved = load_recipe(folder, own=recipe.of(type(recipe.own)), allow_code=True)  # compared, not built
    saved, now = ({s.name: value for s, value in r.values()} for r in (saved, recipe))
    yield from (f"{name} was {saved[name]}, now {now[name]}" for name in now if _differ(saved[name], now[name]))


def _other_reading(saved: Source, now: Source) -> Iterator[str]:
    was, said, plain = saved.said(), now.said(), vars(Source())
    for name in dict.fromkeys((*was, *said)):
        old, new = was.get(name, plain[name]), said.get(name, plain[name])
        if _differ(old, new):
            yield f"{name} was {_shown(old)}, now {_shown(new)}"


def _other_data(folder: Path, now: Fingerprint, fixes: Sequence[Fix], checksum: str) -> Iterator[str]:
    before, saved = origin(folder), load_fixes(folder)
    if _differ(list(saved), list(fixes)):
        yield f"the fixes applied to the data differ: {len(saved)} before, {len(fixes)} now"
    elif before.fingerprint.digest != now.digest:
        yield f"the data ({before.data}) have changed"
    elif (was := load_seal(folder).data) and was != checksum:
        yield f"the content of the data ({before.data}) has changed"


def _other_columns(folder: Path, run: Run) -> Iterator[str]:
    now = {
        name: json.loads(text) for name, text in blueprint(run.recipe, run.schema, run.task).items() if name in COMPARED
    }
    was = {name: read_json(folder / name) for name in COMPARED}
    if _differ(was[TASK], now[TASK]):
        yield f"the task was {_shown(was[TASK])}, now {_shown(now[TASK])}"
    if not _differ(was[SCHEMA], now[SCHEMA]):
        return
    old, new = (
        {str(c.get("name")): c for c in columns if isinstance(c, dict)} for columns in (was[SCHEMA], now[SCHEMA])
    )
    other = [name for name in dict.fromkeys((*old, *new)) if _differ(old.get(name), new.get(name))]
    yield f"columns differ: {listed(other)}" if other else "the order of the columns has changed"


COMPARED = (SCHEMA, TASK)


def _other_rows(folder: Path, rows: Rows) -> Iterator[str]:
    for name, before in load_split(folder).parts.items():
        if (now := part(rows[name])).digest != before.digest:
            yield (
                f"the {name} part had {before.count:,} rows, now {now.count:,}"
                if now.count != before.count
                else f"the {name} part holds other rows"
            )


def require_same_data(folder: Path, fingerprint: Fingerprint) -> None:
    """Raises RunError if the data are not those that the run was trained on."""
    old = origin(folder)
    if old.fingerprint.digest != fingerprint.digest:
        problem = f"the data have changed since {folder} was trained on {old.data}"
        raise RunError(problem, remedy="restore the data, or train again.")


def require_same_rows(folder: Path, rows: Rows) -> None:
    """Raises RunError if the parts do not hold the same rows as in the run."""
    if told := next(_other_rows(folder, rows), ""):
        raise RunError(f"{told}: {folder} was trained on others", remedy=AGAIN)


def _differ(old: Any, new: Any) -> bool:  # Any: what JSON can write
    return text_of(old) != text_of(new)


def _shown(value: Any) -> str:  # Any: what JSON can write
    text = text_of(value).strip()
    return text if len(text) <= 80 else f"{text[:77]}..."
