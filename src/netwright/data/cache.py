"""Files decoded once: their tensors are kept in the user's cache folder and mapped into memory when needed again."""

import json
import os
import re
import shutil
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import IO, final

import numpy as np
import polars as pl
import torch
from pydantic import TypeAdapter
from torch import Tensor

from netwright.files import lock_file
from netwright.machine.folders import is_own, make_own, temporary_folder
from netwright.machine.memory import free_memory
from netwright.machine.quiet import without_warnings
from netwright.records.errors import BudgetError, RecipeError, Unreadable, counted
from netwright.records.paths import real
from netwright.records.schema import Field

FORMAT = 2  # of an entry; raise it when older code would misread new entries
IN_MEMORY = 64 << 20  # up to this many encoded bytes, files are decoded into memory: it takes seconds and keeps no file
BLOCK_BYTES = 32 << 20  # encoded at once: the memory that decoding takes, besides one image per thread
LIMIT = 20 << 30  # bytes of all entries: a hundred thousand images of 224 x 224, and rarely a tenth of a disk
SPARE = 1 << 30  # bytes of the disk left free for others
FOLDER, BYTES = "NETWRIGHT_CACHE", "NETWRIGHT_CACHE_BYTES"  # environment variables: folder of the entries; their limit

_ROWS, _ABOUT = "rows.bin", "about.json"
_UNFINISHED = "building-"
_NAME = re.compile(rf"[0-9a-f]{{32}}|{_UNFINISHED}.+")  # nothing else in the folder is ever touched


@final
@dataclass(frozen=True)
class Entry:
    """One column of files, decoded."""

    path: str  # a folder with the rows as raw bytes, and their description in JSON
    files: str  # the common folder of the decoded files
    shape: tuple[int, ...]  # (rows, ...)
    bytes: int
    used: float  # seconds since 1970


@final
@dataclass(frozen=True)
class Cache:
    """All that is kept."""

    folder: str
    entries: tuple[Entry, ...]  # the least recently used first
    bytes: int  # of all entries
    limit: int
    freed: int = 0  # bytes just removed


@final
@dataclass(frozen=True)
class Decoded:
    """An encoded column: its tensor, the reason for each unreadable row, and a note about the cache."""

    tensor: Tensor
    bad: dict[int, str]
    notes: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class _Sums:
    """CRC-32 of each block of so many bytes: it finds what disks and memory lose, and no forgery."""

    bytes: int
    sums: tuple[int, ...]


@final
@dataclass(frozen=True)
class _About:
    """The description next to the rows of an entry."""

    files: str
    shape: tuple[int, ...]
    dtype: str  # numpy's name
    bad: dict[int, str]
    sums: _Sums


_ABOUTS = TypeAdapter(_About)


class _NoCache(Exception):
    """Why a column cannot be kept."""


def encode_column(field: Field, cells: pl.Series) -> Decoded:
    """A column, encoded into memory; a column of many files into a mapped file, which later calls reuse.

    A mapped tensor is read-only: writing to it ends the process. If files change, are added or removed, or the image
    size changes, a new entry is made. If no entry can be kept, the column is decoded into memory, and a note says why.
    Raises BudgetError if it does not fit there either.
    """
    if not field.decoder or cells.dtype != pl.String:
        return _encoded(field, cells)
    empty = field.encode(cells.clear()).numpy()
    shape = (len(cells), *empty.shape[1:])
    size = prod(shape) * empty.itemsize
    if size <= IN_MEMORY:
        return _encoded(field, cells)
    try:
        return _kept(field, cells, shape, empty.dtype)
    except (OSError, _NoCache) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if size > (free := free_memory()):
        raise BudgetError(
            f"column {field.name!r} decodes to {megabytes(size)}, only {megabytes(free)} of memory are free, "
            f"and it cannot be kept in {folder()}: {reason}",
            remedy=f"set the environment variable {FOLDER} to a folder with space, or choose smaller images.",
        )
    decoded = _encoded(field, cells)
    note = f"{field.name}: decoded into memory, not cached in {folder()}: {reason}"
    return Decoded(decoded.tensor, decoded.bad, (note,))


def folder() -> Path:
    """The folder of entries: NETWRIGHT_CACHE, else the user's cache folder, else one for temporary files."""
    if said := os.environ.get(FOLDER):
        return Path(said).absolute() / "decoded"
    home = Path(os.path.expanduser("~"))
    if not home.is_absolute():  # no HOME, and no user entry, as in many containers
        return temporary_folder() / "decoded"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base.absolute() / "netwright" / "decoded"


def limit() -> int:
    """Bytes that all entries may take: NETWRIGHT_CACHE_BYTES, else LIMIT. Raises RecipeError for anything else."""
    said = os.environ.get(BYTES, "").strip()
    if said and not said.isdecimal():
        raise RecipeError(
            f"the environment variable {BYTES} is {said!r}, not a number of bytes",
            remedy="set it to a whole number, 0 to keep nothing, or unset it.",
        )
    return int(said) if said else LIMIT


def entries() -> tuple[Entry, ...]:
    """All entries: remains of killed processes, then the least recently used first."""
    paths = [path for path in folder().iterdir() if _NAME.fullmatch(path.name)] if is_own(folder()) else []
    return tuple(sorted((entry for path in paths if (entry := _entry(path))), key=lambda entry: entry.used))


def read_cache() -> Cache:
    """The entries and their size."""
    kept = entries()
    return Cache(str(folder()), kept, sum(entry.bytes for entry in kept), limit())


def clear() -> Cache:
    """Removes all entries that are not in use; returns the rest."""
    freed = sum(entry.bytes for entry in entries() if _remove(Path(entry.path)))
    return replace(read_cache(), freed=freed)


def _remove(path: Path) -> bool:
    """Removes an entry; False if it stays because a process maps or writes it.

    Windows never removes an open file, so it needs no lock.
    """
    rows = path / _ROWS
    try:
        with rows.open("rb") if rows.exists() and sys.platform != "win32" else nullcontext() as file:
            if file is not None:
                _lock(file, alone=True)
            rows.unlink(missing_ok=True)  # first: if the system keeps a file in use, the rest stays too
            shutil.rmtree(path)
    except OSError:
        return not path.exists()
    return True


def megabytes(count: int) -> str:
    """`184 MB`."""
    return f"{count / 1e6:,.0f} MB"


def _encoded(field: Field, cells: pl.Series) -> Decoded:
    try:
        return Decoded(field.encode(cells), {})
    except Unreadable as error:
        return Decoded(error.encoded[0], error.bad)
    except MemoryError:
        raise BudgetError(
            f"column {field.name!r} does not fit into memory", remedy=f"unset {BYTES}, or choose smaller images."
        ) from None


def _kept(field: Field, cells: pl.Series, shape: tuple[int, ...], dtype: np.dtype) -> Decoded:
    """From an entry, which is made if missing."""
    make_own(folder())
    path = folder() / _key(field, cells)
    if (found := _opened(path, shape, dtype)) is not None:
        note = f"{field.name}: {counted(shape[0], 'file')} already decoded in {path}"
        return Decoded(found.tensor, found.bad, (note,))
    began = time.perf_counter()
    _make_room(prod(shape) * dtype.itemsize)
    building = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder()))
    try:
        _build(building, field, cells, shape, dtype)
        if _opened(path, shape, dtype) is None:  # else another process was faster
            _remove(path)  # a broken one
            building.rename(path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    if (found := _opened(path, shape, dtype)) is None:
        raise _NoCache("another process removed it")
    took = f"{time.perf_counter() - began:.0f} s"
    size = megabytes(prod(shape) * dtype.itemsize)
    note = f"{field.name}: {counted(shape[0], 'file')} decoded in {took}, cached in {path} ({size})"
    return Decoded(found.tensor, found.bad, (note,))


def _key(field: Field, cells: pl.Series) -> str:
    """Of the files, by path, size and times, and of everything that decides the pixels."""
    decided = {name: getattr(field, name) for name in field.decided_by}
    digest = blake2b(json.dumps([FORMAT, field.kind, field.decoder, decided]).encode(), digest_size=16)
    for cell in cells:
        digest.update(_state(cell).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _state(path: str | None) -> str:
    """The inode's change time reveals files that changed but kept their date."""
    if path is None:
        return "\0\0\n"
    try:
        found = os.stat(real(path))
    except (OSError, ValueError):  # reported by the decoder, with the reason
        return f"{path}\0\n"
    whole = path if os.path.isabs(path) else os.path.abspath(path)
    return f"{whole}\0{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}\n"


def _build(building: Path, field: Field, cells: pl.Series, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Block by block. Written, not mapped: then a full disk raises an error instead of a fatal signal."""
    rows = max(1, BLOCK_BYTES * shape[0] // (prod(shape) * dtype.itemsize))
    bad = dict[int, str]()
    sums = list[int]()
    with (building / _ROWS).open("xb") as file:
        _lock(file, alone=True)
        for start in range(0, shape[0], rows):
            block = _encoded(field, cells[start : start + rows])
            file.write(data := block.tensor.numpy().data)
            sums.append(zlib.crc32(data))
            bad |= {start + row: reason for row, reason in block.bad.items()}
        file.flush()
        os.fsync(file.fileno())
    about = _About(
        _common([cell for cell in cells if cell is not None]),
        shape,
        dtype.name,
        bad,
        _Sums(rows * prod(shape[1:]) * dtype.itemsize, tuple(sums)),
    )
    (building / _ABOUT).write_bytes(_ABOUTS.dump_json(about))


def _common(paths: list[str]) -> str:
    """The common folder of all files: that of the first and the last in order."""
    try:
        return os.path.commonpath([os.path.dirname(min(paths)), os.path.dirname(max(paths))])
    except ValueError:  # no file, or several drives
        return ""


def _opened(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> Decoded | None:
    """An entry's rows, mapped and locked against removal while the tensor lives; None if the entry is incomplete."""
    if not is_own(path):
        return None
    try:
        about = _ABOUTS.validate_json((path / _ABOUT).read_bytes())
        with open(path / _ROWS, "rb", opener=_without_links) as file:
            _lock(file, alone=False)  # held by the map, which keeps the file open
            whole = os.fstat(file.fileno()).st_size == prod(shape) * dtype.itemsize
            if not whole or (about.shape, about.dtype) != (shape, dtype.name):
                return None
            rows = np.memmap(file, dtype, "r", shape=shape)
            found = os.fstat(file.fileno())
        if not _is_intact(path / _ROWS, (found.st_ino, found.st_mtime_ns), about.sums):
            return None
        os.utime(path / _ABOUT)
    except (OSError, ValueError):
        return None
    with without_warnings():  # read-only on purpose: a private map would count as memory, a writable one break
        return Decoded(torch.from_numpy(rows), about.bad)


@cache
def _is_intact(path: Path, _written: tuple[int, int], about: _Sums) -> bool:
    """Whether the bytes are still those that were written; looked at once by each process, a block on each thread."""

    def crc(start: int) -> int:
        with path.open("rb") as file:
            file.seek(start)
            return zlib.crc32(file.read(about.bytes))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return tuple(threads.map(crc, range(0, path.stat().st_size, about.bytes))) == about.sums


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def _entry(path: Path) -> Entry | None:
    """None if it is being removed."""
    try:
        size = (path / _ROWS).stat().st_size if (path / _ROWS).exists() else 0
    except OSError:
        return None
    try:
        about = _ABOUTS.validate_json((path / _ABOUT).read_bytes())
        return Entry(str(path), about.files, about.shape, size, (path / _ABOUT).stat().st_mtime)
    except (OSError, ValueError):  # unfinished, or broken
        return Entry(str(path), "", (), size, 0.0)


def _make_room(needed: int) -> None:
    """Removes entries, the least recently used first, until `needed` bytes fit. Raises _NoCache if they do not."""
    kept = entries()
    if needed > limit():
        raise _NoCache(f"{megabytes(needed)} exceed its limit of {megabytes(limit())} ({BYTES})")
    oldest = iter(kept)
    total = sum(entry.bytes for entry in kept)
    while (is_over := total + needed > limit()) or shutil.disk_usage(folder()).free < needed + SPARE:
        entry = next(oldest, None)
        if entry is None:
            raise _NoCache("entries in use fill it" if is_over else "the disk is full")
        total -= entry.bytes if _remove(Path(entry.path)) else 0


def _lock(file: IO[bytes], *, alone: bool) -> None:
    if sys.platform != "win32":  # it cannot rename or remove what is open or locked
        lock_file(file, alone=alone)
