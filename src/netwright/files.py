"""Files that are complete or absent: written in a temporary folder next to their place, flushed, then renamed."""

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from pathlib import Path
from stat import S_IMODE, S_ISREG
from tempfile import TemporaryDirectory
from typing import IO, Any, TypeVar

import torch
from polars.exceptions import ComputeError
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from netwright.records.errors import RunError

AGAIN = "delete the run folder and train again."
DAMAGED = "restore the file from a copy, or delete the run folder and train again."

UNFINISHED = ".netwright-"  # prefix of folders that hold an unfinished file; a killed process leaves one
OLDER_UNFINISHED = ".writing"  # of earlier versions
WRITABLE = 0o222  # bits of a mode, of which one allows writing
TEXT_BYTES = 1 << 29  # of a text file: fixes of two million rows take less; more would not fit into memory as records
HEADER = "netwright"  # the one entry of a safetensors file's header: JSON
DIGEST = "digest"  # in the header of a safetensors file: of its tensors and of the rest of its header
FAR = 1 << 62  # Windows locks bytes, and others can still read a file that is locked beyond its end
T = TypeVar("T")
_NUMBERED = re.compile(r"os error (\d+)")  # how safetensors and polars report errors of the system


@contextmanager
def whole(path: Path) -> Generator[Path]:
    """A path to write to; on exit the file moves to `path` in one step, with the mode of the file it replaces.

    A reader sees the old file or the new one. A link is replaced, not followed. The path is in a new folder with a
    random name that only its owner can enter, so nobody can put a link in its way. Raises RunError if the system
    refuses, or the old file is read-only; it then stays.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is a folder" if path.is_dir() else "it is not a regular file")
        with TemporaryDirectory(dir=path.parent, prefix=UNFINISHED) as folder:
            unfinished = Path(folder) / path.name
            # Created here for its mode: safetensors creates files that only their owner can read.
            os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            is_replaced = path.exists() and not path.is_symlink()
            mode = S_IMODE((path if is_replaced else unfinished).stat().st_mode)
            if is_replaced and not mode & WRITABLE:
                raise OSError(errno.EACCES, "it is read-only")
            yield unfinished
            flush(unfinished)
            unfinished.chmod(mode)
            unfinished.replace(path)
        flush(path.parent)
    except (OSError, SafetensorError) as error:
        raise unwritable(path, error) from None
    except ComputeError as error:
        if not _NUMBERED.search(str(error)):
            raise
        raise unwritable(path, error) from None


def replace_text(path: Path, text: str) -> None:
    """Writes UTF-8 text to `path`. Raises RunError."""
    with whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def clear_unfinished(folder: Path) -> None:
    """Removes what a killed process left in a folder that no other process writes to."""
    for path in folder.iterdir():
        if is_unfinished(path):
            shutil.rmtree(path, ignore_errors=True)


def is_unfinished(path: Path) -> bool:
    """Whether a file was being written in this folder."""
    return path.name.startswith(UNFINISHED) or path.name == OLDER_UNFINISHED


def append_line(path: Path, line: str) -> None:
    """Adds a line to a text file. Raises RunError if it cannot be written.

    Waiting for the disk is left to `flush`: it takes as long as hundreds of steps of a small network.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise unwritable(path, error) from None


def replace_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Writes a safetensors file to `path`: tensors by name; in its header text, and a digest. Raises RunError."""
    contents = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole(path) as unfinished:
        text = json.dumps({**header, DIGEST: digest_of(contents, header)})
        save_file(contents, unfinished, metadata={HEADER: text})  # of several entries the order would be random


def digest_of(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """A hash of contiguous tensors (on the CPU) with their names, types and shapes, and of a header's other text."""
    found = blake2b(digest_size=16)
    found.update(json.dumps(sorted((name, text) for name, text in header.items() if name != DIGEST)).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors (on the CPU) and the header's text of a safetensors file.

    Raises RunError if the file is missing, truncated, not a safetensors file, or not as it was written.
    """
    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no dict
            header = _header(path, file.metadata() or {})
    except (OSError, SafetensorError, MemoryError) as error:
        raise _broken_tensors(path, error) from None
    if header.get(DIGEST, now := digest_of(tensors, header)) != now:  # files of older versions have none
        raise RunError(f"{path} is damaged: its content has changed since it was written", remedy=DAMAGED)
    return tensors, header


def read_shapes(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """The tensors' shapes and the header's text of a safetensors file, without its tensors. Raises RunError."""
    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  no dict
            return shapes, _header(path, file.metadata() or {})
    except (OSError, SafetensorError, MemoryError) as error:
        raise _broken_tensors(path, error) from None


def _header(path: Path, found: Mapping[str, str]) -> dict[str, str]:
    """Of files of older versions, the entries themselves."""
    if HEADER not in found:
        return dict(found)
    try:
        return TypeAdapter(dict[str, str]).validate_json(found[HEADER])
    except ValidationError as error:
        raise _broken_tensors(path, error) from None


def _broken_tensors(path: Path, error: Exception) -> RunError:
    return RunError(f"{path} cannot be read: {error}", remedy=DAMAGED)


def read_text(path: Path) -> str:
    """UTF-8 text of at most TEXT_BYTES. Raises RunError."""
    _require_file(path)
    try:
        with path.open("rb") as file:
            found = file.read(TEXT_BYTES + 1)
        if len(found) > TEXT_BYTES:
            raise RunError(f"{path} is longer than {TEXT_BYTES:,} bytes", remedy=AGAIN)
        return found.decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError, MemoryError) as error:
        raise RunError(f"{path} cannot be read: {error}", remedy=AGAIN) from None


def lock_file(file: IO[Any], *, alone: bool, waits: bool = False) -> None:
    """Locks an open file until it is closed or its process dies: for one process alone, or with others that read.

    Raises BlockingIOError or PermissionError if others hold it, unless it waits for them, and OSError if the file
    system has no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        file.seek(FAR)
        modes = (msvcrt.LK_LOCK, msvcrt.LK_RLCK) if waits else (msvcrt.LK_NBLCK, msvcrt.LK_NBRLCK)
        msvcrt.locking(file.fileno(), modes[not alone], 1)
    else:
        import fcntl

        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if waits else fcntl.LOCK_NB))


def read_json(path: Path) -> Any:  # Any: JSON
    """The contents of a JSON file. Raises RunError."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # numbers with thousands of digits are a ValueError
        raise RunError(f"{path} is not valid JSON: {error}", remedy=AGAIN) from None


def read_record(path: Path, kind: type[T]) -> T:
    """A JSON file as a record; every value is checked. Raises RunError."""
    return checked(path, read_json(path), kind)


def checked(path: Path, record: Any, kind: type[T]) -> T:  # Any: JSON
    """Parsed JSON as a record; every value is checked. Raises RunError."""
    name, known = (kind.__name__, {f.name for f in fields(kind)}) if is_dataclass(kind) else ("entry", None)
    if known is not None and isinstance(record, dict) and (unknown := record.keys() - known):
        raise RunError(f"{path}: {name} has no {min(unknown)!r}", remedy="upgrade netwright, or train again.")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(record), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(f"{path}: {name}: {where}: {first['msg']}", remedy=AGAIN) from None
    except (ValueError, RecursionError) as error:  # too deep to write, or numbers with thousands of digits
        raise RunError(f"{path}: {name} cannot be read: {error}", remedy=AGAIN) from None


def _require_file(path: Path) -> None:
    """Reading a pipe or a device might never end."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise RunError(f"there is no file {path}", remedy=AGAIN) from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {_reason(error)}", remedy="allow it, or correct the path.") from None
    if not S_ISREG(mode):
        raise RunError(f"{path} is not a regular file", remedy=AGAIN)


def unwritable(path: Path, error: Exception) -> RunError:
    """The error for a file that cannot be written, with the system's reason."""
    return RunError(
        f"{path} cannot be written: {_reason(error)}",
        remedy="free some space or choose another folder, then run the same command again.",
    )


def _reason(error: Exception) -> str:
    """`No space left on device`."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    numbered = _NUMBERED.search(str(error))
    return os.strerror(int(numbered[1])) if numbered else str(error)


def flush(path: Path) -> None:
    """Waits until a file's bytes, or a folder's names, are on the disk."""
    with suppress(PermissionError):  # Windows cannot open folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
