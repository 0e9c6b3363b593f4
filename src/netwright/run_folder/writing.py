"""A run is written: what defines it before training, its results and weights afterwards."""

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.blueprint import RECIPE, SCHEMA, TASK, blueprint
from netwright.data.fingerprint import Fingerprint, part
from netwright.files import clear_unfinished, is_unfinished, unwritable
from netwright.records.errors import RunError
from netwright.records.finding import Fix
from netwright.records.run import Run
from netwright.run_folder.records import (
    AUGMENTED,
    FIXES,
    FORMAT,
    ORIGIN,
    OUTCOME,
    RESULTS,
    SAMPLE,
    SPLIT,
    WATCHED,
    WEIGHTS,
    Origin,
    Outcome,
    Split,
    is_resumable,
    is_whole,
    left,
    load_fixes,
    load_split,
    origin,
    result_name,
)
from netwright.run_folder.seal import SEAL, Seal, keep, load_seal, write_seal, write_tensors, write_texts
from netwright.training.checkpoint import HISTORY, RESUME, cut_history, watched_text
from netwright.training.weights import named

# All that an earlier start may have left, but the origin, which says that the folder is a run's.
LEFT_OVER = (
    SEAL, RECIPE, SCHEMA, TASK, SPLIT, FIXES, SAMPLE, HISTORY, OUTCOME, WATCHED, AUGMENTED, *map(result_name, RESULTS),
)  # fmt: skip


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
    left: Sequence[str] = (),
    checksum: str = "",
) -> None:
    """Writes everything that defines a run, before it is trained. `rows` are the row numbers of each part.

    `left` are the stages that follow its training, `checksum` is that of the encoded rows. What an earlier start left
    is removed. Raises RunError if the folder is not empty or cannot be written.
    """
    parts = {name: part(numbers) for name, numbers in rows.items()}
    origin = Origin(
        FORMAT, data, fingerprint, versions(), tuple(command), "", run.source, run.bounds, _teacher(run)
    )  # fmt: skip
    _create(run, folder, origin, Split(seed, parts), fixes, Seal(left=tuple(left), data=checksum))


def create_from(run: Run, folder: Path, parent: Path, *, command: Sequence[str] = (), left: Sequence[str] = ()) -> None:
    """The same for a run on the data, parts and fixes of another run's folder, which it names. Raises as `create`."""
    old = replace(
        origin(parent), parent=str(parent), command=tuple(command), versions=versions(), format=FORMAT,
        bounds=run.bounds, teacher=_teacher(run),
    )  # fmt: skip
    seal = Seal(left=tuple(left), data=load_seal(parent).data)
    _create(run, folder, old, load_split(parent), load_fixes(parent), seal)


def write_from(run: Run, folder: Path, parent: Path, *, command: Sequence[str] = ()) -> Run:
    """Writes such a run after it was trained. Raises as `create`."""
    create_from(run, folder, parent, command=command)
    cut_history(folder, run.history.epochs)
    return write(run, folder)


def _teacher(run: Run) -> str:
    return str(run.teacher.folder) if run.teacher is not None and run.teacher.folder is not None else ""


def _create(run: Run, folder: Path, origin: Origin, split: Split, fixes: Sequence[Fix], seal: Seal) -> None:
    _require_free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear_unfinished(folder)
        for name in LEFT_OVER:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    write_seal(folder, seal)
    texts = {
        ORIGIN: text_of(asdict(origin) | {"reading": origin.reading.said()}),
        **blueprint(run.recipe, run.schema, run.task),
        SPLIT: text_of(split),
        **({FIXES: text_of(list(fixes))} if fixes else {}),
    }
    write_texts(folder, texts)
    inputs = {str(number): x for number, x in enumerate(run.sample)}
    write_tensors(folder, SAMPLE, inputs, {"format": str(FORMAT)})


def write(run: Run, folder: Path) -> Run:
    """Completes a created run: writes scores and findings, then weights, then deletes the checkpoint.

    Returns the run with its folder. Raises RunError if it cannot be written; the checkpoint then stays.
    """
    write_results(run, folder)
    write_texts(folder, {WATCHED: watched_text(run.watched) + "\n"})
    if (folder / HISTORY).exists():
        keep(folder, HISTORY)
    write_tensors(folder, WEIGHTS, named(run.network), {"format": str(FORMAT)})
    remove_checkpoint(folder)
    return replace(run, folder=folder)


def remove_checkpoint(folder: Path) -> None:
    """Of a whole run. Raises RunError."""
    try:
        (folder / RESUME).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder / RESUME, error) from None


def write_results(run: Run, folder: Path) -> None:
    """Writes the results of all stages and their notes."""
    results = {result_name(stage): text_of(result) for stage, result in run.results.items()}
    write_texts(folder, {OUTCOME: text_of(Outcome(run.history.ended, run.notes)), **results})


def write_result(folder: Path, stage: str, result: Any) -> None:  # Any: as RESULTS says
    """Writes the result of a stage, replacing an older one."""
    write_texts(folder, {result_name(stage): text_of(result)})


def versions() -> dict[str, str]:
    """Of what computes."""
    packages = {name: version(name) for name in ("netwright", "torch", "polars")}
    return {**packages, "python": platform.python_version(), "system": sys.platform}


def text_of(record: object) -> str:
    """A record as one line of JSON."""
    return json.dumps(record, ensure_ascii=False, default=asdict) + "\n"


def _require_free(folder: Path) -> None:
    if is_whole(folder):
        why = f" without {', '.join(stages)}" if (stages := left(folder)) else ""
        raise RunError(f"{folder} holds a finished run{why}", remedy="choose another folder, or delete it.")
    if is_resumable(folder):
        raise RunError(
            f"{folder} holds an interrupted training",
            remedy="run the command that started it, or choose another folder.",
        )
    if folder.is_file():
        raise RunError(f"{folder} is a file", remedy="choose another folder.")
    others = folder.is_dir() and not all(is_unfinished(path) or path.name == SEAL for path in folder.iterdir())
    if others and not (folder / ORIGIN).exists():
        raise RunError(f"{folder} is not empty and not a run folder", remedy="choose another folder.")
