"""Where a new run goes."""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from netwright.records.errors import RunError
from netwright.records.options import silent
from netwright.records.result import Tell
from netwright.run_folder.lock import InUse, locked
from netwright.run_folder.records import is_whole, left, origin

RUNS = Path("runs")


def named_after(data: str | Path, *, under: Path = RUNS) -> Path:
    """`runs/people` for `people.csv`."""
    return under / (re.sub(r"[^\w.-]+", "_", Path(data).resolve().stem).strip("._") or "run")


@contextmanager
def next_locked(first: Path, tell: Tell = silent, *, command: Sequence[str] = ()) -> Generator[Path]:
    """The folder, or with a number after its name, locked: the first without a finished run.

    So interrupted training resumes; a trained run counts as finished unless this command has left a stage undone. A
    folder that another process writes is passed over: two trainings that are started at once are two runs.
    """
    for folder in numbered(first):
        with ExitStack() as stack:
            if _is_finished(folder, command):
                continue
            try:
                stack.enter_context(locked(folder, tell))
            except InUse as error:
                tell(f"{error.problem}: taking the next number")
                continue
            if not _is_finished(folder, command):  # it may have been finished just before the lock
                yield folder
                return


def numbered(folder: Path) -> Iterator[Path]:
    """The folder, then with a number after its name: 2, 3, ..."""
    yield folder
    number = 2
    while True:
        yield folder.with_name(f"{folder.name}-{number}")
        number += 1


def _is_finished(folder: Path, command: Sequence[str]) -> bool:
    if not is_whole(folder):
        return False
    try:
        return not left(folder) or origin(folder).command != tuple(command)
    except RunError:  # a broken run stays as it is
        return True
