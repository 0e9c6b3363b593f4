"""The records of a run folder, and how they are read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from netwright.data.fingerprint import Fingerprint, Part
from netwright.files import AGAIN, checked, read_json, read_record, read_text
from netwright.records.errors import RunError
from netwright.records.finding import Fix, Report
from netwright.records.hardened import Hardened
from netwright.records.note import Note
from netwright.records.robustness import Robustness
from netwright.records.rolled import Rolled
from netwright.records.source import Source
from netwright.records.task import Scores
from netwright.records.watched import Watched
from netwright.run_folder.seal import load_seal
from netwright.training.checkpoint import RESUME, parse_watched

FORMAT = 2  # of the whole folder; increased when older code can no longer read new folders
FIRST = 1  # scores, baselines, notes and the end of training were in one file
SPLIT, ORIGIN = "split.json", "origin.json"
OUTCOME, SAMPLE, WEIGHTS = "outcome.json", "sample.safetensors", "weights.safetensors"
WATCHED = "watched.json"
FIXES = "fixes.json"  # the applied fixes of the data; absent if there are none
AUGMENTED = "augmented.png"  # training pictures before and after augmentation

# The types of a run's results by stage; a stage's result is in <stage>.json if there is one.
RESULTS: Mapping[str, Any] = {  # Any: types, or generics such as tuple[...]
    "scores": Scores,
    "baselines": tuple[tuple[str, Scores], ...],
    "origins": Rolled,
    "audit": Report,
    "diagnosis": Report,
    "treatment": Note,
    "robustness": Robustness,
    "hardening": Hardened,
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
    bounds: tuple[float, float] | None = None  # as `Run.bounds`
    teacher: str = ""  # the run folder of `Run.teacher`; "" if there is none


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


def origin(folder: Path) -> Origin:
    """Where a run comes from. Raises RunError if the folder is not a run's, or of a newer version."""
    if not os.path.isdir(folder):
        raise RunError(f"there is no run folder {folder}", remedy="correct the path, or train first.")
    path = folder / ORIGIN
    if not os.path.lexists(path) and os.access(folder, os.X_OK):
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


def load_outcome(folder: Path) -> tuple[Outcome, Mapping[str, Any]]:  # Any: as RESULTS says
    """Why training ended, and the results of all stages. Raises RunError."""
    there = {stage: kind for stage, kind in RESULTS.items() if _file(folder, stage).exists()}
    if origin(folder).format > FIRST or (folder / OUTCOME).exists():
        outcome = read_record(folder / OUTCOME, Outcome)
        return outcome, {stage: read_record(_file(folder, stage), kind) for stage, kind in there.items()}
    first = read_record(folder / "scores.json", _FirstOutcome)
    results = {stage: read_record(_file(folder, stage), kind) for stage, kind in there.items() if stage != "scores"}
    if first.scores is not None:
        results |= {"scores": first.scores, "baselines": first.baselines}
    return Outcome(first.ended, first.notes), results


def is_resumable(folder: Path) -> bool:
    """Whether training was interrupted and can resume."""
    return os.path.exists(folder / RESUME) and not is_whole(folder)


def is_whole(folder: Path) -> bool:
    """Whether the folder holds a trained run."""
    return os.path.exists(folder / WEIGHTS)


def left(folder: Path) -> tuple[str, ...]:
    """The stages that are missing after the training of a whole run: it was killed before, or their file is gone."""
    if not is_whole(folder):
        return ()
    seal = load_seal(folder)
    gone = [stage for stage in RESULTS if result_name(stage) in seal.files and not _file(folder, stage).exists()]
    return tuple(dict.fromkeys((*seal.left, *gone)))


def result_name(stage: str) -> str:
    """The file of a stage's result."""
    return f"{stage}.json"


def _file(folder: Path, stage: str) -> Path:
    return folder / result_name(stage)
