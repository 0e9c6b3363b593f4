"""One process writes to a run folder at a time."""

import json
import os
import platform
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import IO

from netwright.files import UNFINISHED, lock_file, unwritable
from netwright.records.errors import RunError
from netwright.records.options import silent
from netwright.records.result import Tell

LOCK = f"{UNFINISHED}lock"  # removed at the end; a killed process leaves it unlocked
MOST = 1000  # bytes read of it


class InUse(RunError):
    """Another process writes to the folder."""


@contextmanager
def locked(folder: Path, tell: Tell = silent) -> Generator[Path]:
    """The folder, made if missing, with other processes kept from writing to it.

    The system ends the lock with the process, however it dies. Raises InUse, naming the process that has the folder,
    and RunError if it cannot be written. If the file system has no locks, nothing is kept out, and a message says so.
    """
    with ExitStack() as stack:
        _make(folder, stack)
        if (file := _locked_file(folder / LOCK, folder, tell)) is not None:
            stack.callback(file.close)
            stack.callback(_remove, folder / LOCK)  # while it is locked: nobody else's
        yield folder


def _make(folder: Path, stack: ExitStack) -> None:
    """Makes the folder and its parents; those that stay empty go at the end."""
    missing = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if os.path.exists(folder):
            raise RunError(f"{folder} is a file", remedy="choose another folder.") from None
        raise unwritable(folder, error) from None
    for path in reversed(missing):
        stack.callback(_remove, path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # a folder with files; a file that Windows keeps while it is open
        path.unlink() if path.is_file() else path.rmdir()


def _locked_file(path: Path, folder: Path, tell: Tell) -> IO[str] | None:
    """The open lock file; None on a file system without locks."""
    while True:
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | _SAFE, 0o644), "r+", encoding="utf-8")
        except OSError as error:
            raise unwritable(folder, error) from None
        with ExitStack() as stack:
            stack.callback(file.close)
            if not S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RunError(f"{path} is not a regular file", remedy="delete it.")
            try:
                lock_file(file, alone=True)
            except (BlockingIOError, PermissionError):
                raise InUse(
                    f"{folder} is being written by {_holder(file)}",
                    remedy="wait until it ends, or choose another folder.",
                ) from None
            except OSError as error:  # network file systems without a lock daemon
                told = f"{folder} cannot be locked ({error.strerror}): let no other process write to it meanwhile"
                tell(told)
                return None
            if _is_at(path, file):  # else its last owner removed it after it was opened here
                file.seek(0)
                file.truncate()
                json.dump({"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%F %T")}, file)
                file.flush()
                stack.pop_all()
                return file


# No link is followed, and a pipe does not block.
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def _holder(file: IO[str]) -> str:
    """`process 1234 on host since 2026-01-31 12:00:00`."""
    try:
        file.seek(0)
        record = json.loads(file.read(MOST))
        return f"process {record['pid']:d} on {record['host']:.100s} since {record['since']:.19s}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it has not written this yet
        return "another process"
