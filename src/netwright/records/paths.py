"""Paths of the user: spelled as text, whatever their bytes, and opened only if they are regular files."""

import errno
import os
import re
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISREG, S_ISSOCK
from typing import BinaryIO

from netwright.records.errors import DataError

SHOWN = 200  # letters of a path that the system does not take
_BYTE = "[89a-f][0-9a-f]|5c"  # never a slash or a dot: a spelling cannot lead out of a folder unseen
_RAW = re.compile(rf"[\udc80-\udcff]|\\(?=x(?:{_BYTE}))")  # bytes that are not UTF-8; what looks like our escape of one
_ESCAPED = re.compile(rf"\\x({_BYTE})")
_OTHERS = (
    (S_ISDIR, "a folder"), (S_ISFIFO, "a pipe"), (S_ISSOCK, "a socket"), (S_ISCHR, "a device"), (S_ISBLK, "a device"),
)  # fmt: skip


def spelled(path: str | os.PathLike[str]) -> str:
    r"""A path, or a name, as valid text: each byte that is not UTF-8 as `\xff`. `real` gives it back.

    All other names stay as they are, except that a backslash before such an escape becomes `\x5c`.
    """
    text = os.fspath(path)
    if os.name == "nt":  # names are text there, and backslashes separate them
        return text
    return _RAW.sub(lambda found: rf"\x{ord(found[0]) & 0xFF:02x}", text)


def real(text: str) -> str:
    """The path that `spelled` spelled, as the system wants it."""
    if "\\x" not in text or os.name == "nt":
        return text
    return _ESCAPED.sub(_unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    byte = int(found[1], 16)
    return chr(0xDC00 + byte) if byte >= 0x80 else chr(byte)


def open_regular(path: str | Path) -> BinaryIO:
    """A file to read. Raises OSError for anything but a regular file or a link to one: pipes and devices may not end.

    It is looked at before opening, because opening some devices does something, and again once open.
    """
    require_regular(os.stat(path))
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        require_regular(os.fstat(handle))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def stat_of(path: str | Path) -> os.stat_result | None:
    """What the system says of a path; None if nothing is there.

    Raises DataError if it cannot say: a name that is too long, a loop of links, a folder that may not be entered.
    """
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # the second for a NUL byte
        shown, why = str(path)[:SHOWN], error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"cannot read {shown!r}: {why}", remedy="correct the path.") from None


def require_regular(found: os.stat_result) -> None:
    """Raises OSError for anything but a regular file."""
    if not S_ISREG(found.st_mode):
        what = next((name for test, name in _OTHERS if test(found.st_mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {what}, not a regular file")
