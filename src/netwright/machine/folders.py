"""Folders that belong to this user alone."""

import errno
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from stat import S_IMODE, S_ISDIR

GROUP_OR_OTHERS = 0o077
WRITERS = 0o022


def make_own(path: Path) -> None:
    """A folder that only this user may enter; one of this user that others may enter is closed to them.

    Raises OSError if it belongs to another user, or is a link: somebody else may have made it first.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform == "win32":  # the user's folders are private there
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(handle)
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
        if S_IMODE(found.st_mode) & GROUP_OR_OTHERS:
            os.fchmod(handle, 0o700)
    finally:
        os.close(handle)


def is_own(path: Path) -> bool:
    """Whether it is a folder, not a link, that only this user can write to."""
    try:
        found = path.lstat()
    except OSError:
        return False
    if sys.platform == "win32":
        return S_ISDIR(found.st_mode)
    return S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & WRITERS


@cache
def temporary_folder() -> Path:
    """This user's folder among the temporary files, for users without a home; a new one if somebody took its name."""
    path = Path(tempfile.gettempdir()) / f"netwright-{os.getuid() if sys.platform != 'win32' else 'user'}"
    try:
        make_own(path)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="netwright-"))
    return path
