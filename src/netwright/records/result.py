"""What a verb returns: text for a person, a record for a program, sections of a page, and whether it failed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, final

if TYPE_CHECKING:
    from netwright.records.finding import Chart, Report, Severity

T = TypeVar("T")

Tell = Callable[[Any], object]
"""Takes news: a line of text, a step (`Progress`), an epoch (`Epoch`)."""


@final
class Warned(str):
    """A line of news that is printed even if a person wants no progress."""

    __slots__ = ()


@final
class Cells(str):
    """Comma-separated text for programs: exact in a file or a pipe, escaped only on a terminal."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """The content of one part of a page."""

    title: str
    report: "Report"
    text: str = ""  # above the findings: scores
    charts: "tuple[Chart, ...]" = ()
    pictures: Callable[[int], Any] | None = None  # of a row, by its number; Any: a picture of pillow
    verdict: str = ""  # in one sentence; "": that of the report


class Result(Protocol):
    """What a verb returns."""

    def __str__(self) -> str: ...

    def record(self) -> Any:
        """For `--json`: what `json` can write."""
        ...

    def sections(self) -> tuple[Section, ...]:
        """For a page; empty if there is nothing to draw."""
        ...

    def fails(self, severity: "Severity") -> bool:
        """Whether a finding is this severe or worse; then the exit code is 1."""
        ...


class Held(ABC, Generic[T]):
    """A result that wraps a Python value: a run, scores, a frame."""

    @abstractmethod
    def held(self) -> T:
        """What the Python function returns."""

    @abstractmethod
    def pieces(self) -> Iterator[str]:
        """The text for a person, as it comes; each piece ends its line."""

    def sections(self) -> tuple[Section, ...]:
        """For a page; empty by default."""
        return ()

    def fails(self, severity: "Severity") -> bool:
        """Whether a finding is this severe; False by default."""
        return False


@final
@dataclass(frozen=True)
class Outcome(Held[T]):
    """A result that is complete from the start."""

    value: T
    text: str
    written: Any  # for `--json`
    report: "Report | None" = None  # decides the exit code
    drawn: tuple[Section, ...] = ()
    asides: tuple[str, ...] = ()  # for standard error: files written, and what to do next

    def __str__(self) -> str:
        return self.text

    def held(self) -> T:
        """The value."""
        return self.value

    def pieces(self) -> Iterator[str]:
        """The text, in one; cells end their last line already."""
        yield self.text if isinstance(self.text, Cells) else f"{self.text}\n"

    def record(self) -> Any:
        """What `json` can write."""
        return self.written

    def sections(self) -> tuple[Section, ...]:
        """For a page."""
        return self.drawn

    def fails(self, severity: "Severity") -> bool:
        """Whether the report has a finding this severe or worse."""
        return self.report is not None and self.report.fails(severity)
