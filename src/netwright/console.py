"""What reaches a terminal: text without control characters from data, and the progress of training.

Progress is one aligned line per epoch, and one that updates in place.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from netwright.records.errors import RunError
from netwright.records.escaped import escaped, one_line
from netwright.records.history import Epoch, Progress
from netwright.records.result import Cells, Warned

REFRESH_SECONDS = 0.25  # four refreshes a second: faster than people read, cheap on a slow terminal
PLAIN_SECONDS = 30.0  # without a terminal nothing moves: a line in mid-epoch shows that training is alive
MOST_LINES = 40  # epochs that a person reads one by one; of more, every second, third, ... is shown
WIPE = "\r\x1b[K"  # the moving line
WIDEST = 11  # letters of a metric's name above its column of 12

Event = str | Progress | Epoch

_QUOTED = re.compile(r'"[^"]*"')  # a doubled quote within it only splits it


class Unread(Exception):
    """Nobody reads standard output any more: `netwright predict ... | head`."""


def say(text: str) -> None:
    """Writes text to standard output, with control characters as visible escapes.

    `Cells` stay exact if it is no terminal; on one, a row stays one line. Raises Unread if its reader is gone, and
    RunError if it cannot be written.
    """
    if (out := sys.stdout) is None:  # a process may be without it
        return
    try:
        _write(out, text if isinstance(text, Cells) and not out.isatty() else _shown(text))
    except BrokenPipeError:
        raise Unread from None
    except OSError as error:
        problem = f"standard output cannot be written: {error.strerror}"
        raise RunError(problem, remedy="free some space, or send it elsewhere.") from None


def aside(text: str) -> None:
    """Writes text to standard error, with control characters as visible escapes; if that fails, nobody wants it."""
    if sys.stderr is not None:  # a process may be without it
        with suppress(OSError):
            _write(sys.stderr, escaped(text))


def _shown(text: str) -> str:
    return escaped(_QUOTED.sub(lambda cell: one_line(cell[0]), text) if isinstance(text, Cells) else text)


def settle() -> None:
    """A standard stream that cannot be written leads nowhere from now on: Python would complain of it at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _write(out: TextIO, text: str) -> None:
    """Letters that the stream's encoding lacks become escapes."""
    encoding = getattr(out, "encoding", None) or "utf-8"  # none: a stream in memory
    out.write(text.encode(encoding, "backslashreplace").decode(encoding))
    out.flush()


def progress(stream: TextIO | None = None, *, quiet: bool = False) -> Callable[[Event], None]:
    """A listener for `train(..., show=progress())`: notes as text, a line per epoch, a moving line for the step.

    Writes to `stream` (stderr by default). If that is not a terminal, it prints plain lines only;
    with `quiet` only warnings.
    """
    out = sys.stderr if stream is None else stream
    show = _Screen(out).show
    return (lambda event: show(event) if isinstance(event, Warned) else None) if quiet else show


class _Screen:
    """Remembers the text of the moving line and the columns of the epochs' lines."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.moves = out.isatty()
        self.columns: tuple[str, ...] = ()
        self.last = 0.0
        self.moving = False
        self.left = ""
        self.every = 1

    def show(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._step(event)
        elif isinstance(event, Epoch):
            self._epoch(event)
        else:
            self._line(event)

    def _line(self, text: str) -> None:
        self._print(one_line(text) + "\n")
        self.moving = False

    def _print(self, text: str) -> None:
        """Training goes on if nobody reads of it any more, and if the disk of a log is full."""
        with suppress(OSError):
            _write(self.out, (WIPE if self.moving else "") + text)

    def _step(self, event: Progress) -> None:
        now = time.monotonic()
        self.every = -(-event.epochs // MOST_LINES)
        self.left = duration(event.seconds_left)
        if now - self.last < (REFRESH_SECONDS if self.moves else PLAIN_SECONDS):
            return
        if self.last == 0.0 and not self.moves:  # the first plain line comes after the interval, not immediately
            self.last = now
            return
        self.last = now
        text = (
            f"epoch {event.epoch}/{event.epochs}  step {event.step:,}/{event.steps:,}  loss {event.loss:.4f}  "
            f"{event.rows_per_second:,.0f} rows/s  {self.left} left"
        )
        if self.moves:
            self.moving = True
            self._print(one_line(text))
        else:
            self._line(text)

    def _epoch(self, event: Epoch) -> None:
        columns = tuple(name for name in event.valid if name != "loss")
        if columns != self.columns or event.epoch == 1:
            self.columns = columns
            names = "".join(f"{_short(name):>12}" for name in columns)
            self._line(f"{'epoch':>6}{'train loss':>12}{names}    {'lr':>8}{'rows/s':>10}{'memory':>9}{'left':>8}")
        if event.epoch % self.every and event.epoch > 1:
            return
        values = "".join(f"{event.valid[name]:12.4f}" for name in columns)
        self._line(
            f"{event.epoch:>6}{event.train_loss:12.4f}{values}  {'*' if event.is_best else ' '} {event.lr:8.1e}"
            f"{event.rows_per_second:10,.0f}{event.memory_bytes / 2**20:6,.0f} MB{self.left:>8}"
        )


def _short(name: str) -> str:
    for word, shorter in (("balanced", "bal"), ("accuracy", "acc"), ("average", "avg"), ("median", "med")):
        name = name.replace(word, shorter) if len(name) > WIDEST else name
    return name[:WIDEST]


def duration(seconds: float) -> str:
    """`0:42`, `1:05:00`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
