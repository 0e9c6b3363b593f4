"""Files that are complete or absent: written in a temporary folder next to their place, flushed, then renamed."""

import errno
import json
import os
import re
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from polars.exceptions import ComputeError
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from netwright.records.errors import RunError

AGAIN = "delete the run folder and train again."

UNFINISHED = ".netwright-"  # prefix of folders that hold an unfinished file; a killed process leaves one
OLDER_UNFINISHED = ".writing"  # of earlier versions
WRITABLE = 0o222  # bits of a mode, of which one allows writing
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
    """Writes a safetensors file to `path`: tensors by name, and text in its header. Raises RunError."""
    contents = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole(path) as unfinished:
        save_file(contents, unfinished, metadata=dict(header))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors (on the CPU) and the header's text of a safetensors file.

    Raises RunError if the file is missing, truncated or not a safetensors file.
    """
    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118  no dict
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}", remedy="delete the file and train the run again.") from None


def read_text(path: Path) -> str:
    """UTF-8 text. Raises RunError."""
    _require_file(path)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}", remedy=AGAIN) from None


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


def _require_file(path: Path) -> None:
    """Reading a pipe or a device might never end."""
    if not path.exists():
        raise RunError(f"there is no file {path}", remedy=AGAIN)
    if not path.is_file():
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
