"""Fingerprints, which tell whether data are still the same."""

import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from netwright.data.dataset import Dataset
from netwright.records.batch import Examples
from netwright.records.finding import Fix

WHOLE_BYTES = 1 << 26  # files up to 64 MiB are hashed in full, in a tenth of a second
PIECE_BYTES = 1 << 20  # of larger ones the beginning, the middle and the end
SAMPLED_ROWS = 1000  # of a table in memory
MAPPED_ROWS = 100  # if columns are on disk: images of 224 x 224 are then 15 MB


CHECKED_BYTES = 1 << 28  # of encoded rows: a quarter of a second; of more, rows at even distances
CHECKED_ROWS = 1 << 10  # at once
CHECKED_AT_ONCE = 8 << 20  # bytes: windows of thousands of numbers are encoded in copies

LISTED_ROWS = 100_000  # up to this many rows of a part are listed, 1 MB of text; more are only hashed


@final
@dataclass(frozen=True)
class Part:
    """The rows of one part of the data."""

    count: int
    digest: str  # of the row numbers in order
    rows: tuple[int, ...] | None  # None if there are too many to list


@final
@dataclass(frozen=True)
class Fingerprint:
    """Number of bytes, time of the last change, and a hash.

    The hash covers all of a file up to 64 MiB; three pieces of a larger file, and the time of its last change; all
    names and sizes in a folder; a sample of the rows of a table in memory.
    """

    bytes: int
    modified: float  # seconds since 1970; 0 for data in memory
    digest: str


def fingerprint(data: Path | Dataset, fixes: Sequence[Fix] = ()) -> Fingerprint:
    """Fingerprint of a file, a folder or rows in memory, and of the fixes applied to them."""
    if isinstance(data, Dataset):
        found = _fingerprint_rows(data)
    else:
        found = _fingerprint_folder(data) if data.is_dir() else _fingerprint_file(data)
    fixed = digest(found.digest.encode(), _text(fixes).encode()) if fixes else found.digest
    return replace(found, digest=fixed)


def _fingerprint_rows(data: Dataset) -> Fingerprint:
    buffer = io.BytesIO()
    data.every(max(1, len(data) // (MAPPED_ROWS if data.mapped else SAMPLED_ROWS))).write_ipc(buffer)
    size = round(data.table.estimated_size())
    return Fingerprint(size, 0.0, digest(f"{len(data)}".encode(), buffer.getvalue()))


def _fingerprint_folder(folder: Path) -> Fingerprint:
    files = [(path.relative_to(folder).as_posix(), path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    names = "\n".join(f"{name} {stat.st_size}" for name, stat in files)
    modified = max((stat.st_mtime for _, stat in files), default=0.0)
    return Fingerprint(sum(stat.st_size for _, stat in files), modified, digest(os.fsencode(names)))


def _fingerprint_file(path: Path) -> Fingerprint:
    stat = path.stat()
    if stat.st_size <= WHOLE_BYTES:
        return Fingerprint(stat.st_size, stat.st_mtime, digest(path.read_bytes()))
    pieces: list[bytes] = []
    with path.open("rb") as file:
        for place in (0, stat.st_size // 2, stat.st_size - PIECE_BYTES):
            file.seek(place)
            pieces.append(file.read(PIECE_BYTES))
    return Fingerprint(stat.st_size, stat.st_mtime, digest(f"{stat.st_size} {stat.st_mtime_ns}".encode(), *pieces))


def of_examples(examples: Examples) -> Fingerprint:
    """Fingerprint of an engineer's own rows: how many, and the first batch in order."""
    first = next(examples.batches(MAPPED_ROWS, seed=None))
    cells = [x.detach().cpu().contiguous() for x in (*first.inputs, *first.targets)]
    size = sum(x.nbytes for x in cells) * len(examples) // len(first)
    return Fingerprint(size, 0.0, digest(f"{len(examples)}".encode(), *(x.numpy().tobytes() for x in cells)))


def checksum(parts: Iterable[Examples], modified: float) -> str:
    """A hash of what was encoded: inputs and targets of all rows, so it finds what names, sizes and times hide.

    Of more than CHECKED_BYTES it takes rows at even distances, and `modified`, the time of the data's last change. A
    loader without numbered rows counts with the number of its rows alone.
    """
    found = blake2b(digest_size=16)
    for examples in parts:
        found.update(f"{len(examples)}\n".encode())
        if not examples.is_indexed or not len(examples):
            continue
        rows = examples.rows
        step = max(1, -(-_row_bytes(examples) * len(rows) // CHECKED_BYTES))
        found.update(f"{step} {modified if step > 1 else 0.0}\n".encode())
        for some in rows[::step].split(max(1, min(CHECKED_ROWS, CHECKED_AT_ONCE // _row_bytes(examples)))):
            batch = examples.plain().take(some)
            for x in (*batch.inputs, *batch.targets):
                found.update(x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _row_bytes(examples: Examples) -> int:
    first = examples.take(examples.rows[:1])
    return sum(x.nbytes for x in (*first.inputs, *first.targets))


def part(rows: Sequence[int] | NDArray[np.int64]) -> Part:
    """The rows of a part."""
    numbers = pl.Series(rows, dtype=pl.Int64)
    listed = tuple(numbers) if len(numbers) <= LISTED_ROWS else None
    return Part(len(numbers), digest(numbers.to_numpy().tobytes()), listed)


def digest(*pieces: bytes) -> str:
    """A hash of bytes, in order."""
    return blake2b(b"".join(pieces), digest_size=16).hexdigest()


def _text(fixes: Sequence[Fix]) -> str:
    """What the fixes write; their part and advice change no cell."""
    written = [{name: x for name, x in asdict(fix).items() if name not in ("part", "apply")} for fix in fixes]
    return json.dumps(written, ensure_ascii=False) + "\n"
