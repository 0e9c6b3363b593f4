"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed."""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from netwright.records.errors import RunError

WRITING = ".writing"  # the folder of unfinished files; what a killed process left in it goes with the next write


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a file and puts it at `path` in one move: a reader sees the old file or the new one.

    Raises RunError where the disk is full or the folder cannot be written; then the old file is as it was.
    """
    writing = path.parent / WRITING
    try:
        writing.mkdir(exist_ok=True)
        unfinished = writing / path.name
        write(unfinished)
        flush(unfinished)
        # The safetensors package makes files that only their owner can read; the folder's mode follows the umask.
        unfinished.chmod(writing.stat().st_mode & 0o666)
        unfinished.replace(path)
        flush(path.parent)
    except (OSError, SafetensorError) as error:
        raise unwritable(path, error) from None
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def replace_text(path: Path, text: str) -> None:
    """`replace_file` for UTF-8 text."""
    replace_file(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def append_line(path: Path, line: str) -> None:
    """Adds a line to a text file. Raises RunError where it cannot be written.

    Waiting for the disk is left to `flush`: it takes as long as hundreds of steps of a small network.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise unwritable(path, error) from None


def replace_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """`replace_file` for a safetensors file: tensors by name, and text in its header."""
    contents = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, lambda unfinished: save_file(contents, unfinished, metadata=dict(header)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors (on the CPU) and the header's text of a safetensors file.

    Raises RunError where the file is missing, cut off or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118  no dict
    except FileNotFoundError:
        raise RunError(f"there is no file {path}", remedy="train the run again.") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}", remedy="delete the file and train the run again.") from None


def unwritable(path: Path, error: Exception) -> RunError:
    """The error for a file that cannot be written, with the system's reason."""
    return RunError(
        f"{path} cannot be written: {_reason(error)}",
        remedy="make room or choose another folder, then give the same command again.",
    )


def _reason(error: Exception) -> str:
    """`No space left on device`."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    numbered = re.search(r"os error (\d+)", str(error))  # how the safetensors package tells errors of the system
    return os.strerror(int(numbered[1])) if numbered else str(error)


def flush(path: Path) -> None:
    """Waits until a file's bytes, or a folder's names, are on the disk."""
    with suppress(PermissionError):  # Windows opens no folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
