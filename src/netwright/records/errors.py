"""Errors that say who must act, on what, and how."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from netwright.records.escaped import in_lines

if TYPE_CHECKING:
    from torch import Tensor

    from netwright.records.watched import Watched


class NetwrightError(Exception):
    """A problem that the user can solve: what was expected, what was given, where; and one remedy.

    If the error ended training, `watched` is what was recorded until then.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.watched: Watched | None = None

    def __str__(self) -> str:
        return in_lines([self.problem, *([f"  fix: {self.remedy}"] if self.remedy else [])])


class DataError(NetwrightError):
    """Change the data."""


class Unreadable(DataError):
    """Some cells cannot be read; the others can.

    `encoded` holds the tensors of all cells, blank if unreadable; `bad` the reason for each unreadable position.
    """

    def __init__(self, problem: str, remedy: str, encoded: "tuple[Tensor, ...]", bad: dict[int, str]) -> None:
        super().__init__(problem, remedy)
        self.encoded = encoded
        self.bad = bad


class RecipeError(NetwrightError):
    """Change a setting."""


class NetworkError(NetwrightError):
    """Change the module."""


class BudgetError(NetwrightError):
    """It does not fit; the remedy says what does."""


class RunError(NetwrightError):
    """The run folder is missing, incomplete, too new, or cannot be written."""


class MissingPackage(NetwrightError):
    """Install an extra."""


def nearest(name: str, names: Iterable[str]) -> str:
    """`did you mean 'lr'?`, or the choices if no name is close."""
    known = sorted(names)
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"choose from {listed(known)}."


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names joined by commas; a long list is cut."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(count: int, thing: str, things: str = "") -> str:
    """`1 word`, `1,200 words`."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"
