"""The rows that examples were cut from, as series: where each begins, its times and its columns of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.checks.data.columns import as_numbers
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.cut import cuts_rows
from netwright.data.split import Rows
from netwright.records.errors import listed
from netwright.records.finding import SHOWN, Severity
from netwright.records.frames import Raw
from netwright.tasks.clock import as_seconds, is_calendar

BLOCK = 1 << 21  # values of several series that are examined together: 16 MB
SHOWN_SERIES = 3  # named in a sentence
FEW_SERIES = 0.01  # of the series; with fewer, a score over all of them moves by less than its interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RawSeries:
    """Sorted rows, of which each series has those from `starts` to before `ends`."""

    raw: Raw
    starts: Rows  # (series,)
    ends: Rows
    seconds: Floats | None  # (rows,) times in seconds, or in the unit of a column of numbers; None: rows are steps
    is_clock: bool  # whether times are dates or datetimes
    horizon: int  # steps that are predicted at once
    origin: DataEvidence

    @property
    def lengths(self) -> Rows:
        """(series,): rows of each."""
        return self.ends - self.starts

    @property
    def measured(self) -> tuple[str, ...]:
        """The targets, then other columns of numbers that are not known ahead."""
        others = [c.name for c in self.raw.table.iter_columns() if c.name not in self.raw.targets and _is_number(c)]
        return (*self.raw.targets, *(name for name in others if name not in self.raw.source.known))

    def numbers(self, name: str) -> Floats:
        """(rows,): a column as float64, NaN if missing."""
        return self.origin.once(_Column(name))

    def of(self, rows: Rows) -> Rows:
        """The number of the series that each row is of."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def name(self, series: int) -> str:
        """Its name as the user wrote it; "" if there is only one."""
        return "" if self.raw.owners is None else str(self.raw.owners[int(self.starts[series])])

    def named(self, series: Rows) -> str:
        """` of 3 of 1,000 series (A, B, C)`, or "" if there is only one."""
        if self.raw.owners is None:
            return ""
        few = [self.name(int(number)) for number in series[:SHOWN_SERIES]]
        return f" of {len(series):,} of {len(self.starts):,} series ({listed(few)}{', ...' * (len(series) > len(few))})"

    def time(self, row: int) -> str:
        """When a row was, as words: its time, or its number in its series."""
        if self.raw.times is not None:
            return str(self.raw.times[int(row)])
        return f"step {row - int(self.starts[int(self.of(np.array([row]))[0])]) + 1:,}"

    def places(self, rows: Rows) -> tuple[str, ...]:
        """Where the first of these rows are in the data."""
        return tuple(self.origin.dataset.locate_raw(int(row)) for row in rows[:SHOWN])

    def blocks(self, values: Floats) -> Iterator[tuple[Rows, Floats]]:
        """Numbers of series, longest first, with their values, (B, T), NaN after the end of the shorter ones."""
        order, at = np.argsort(-self.lengths, kind="stable"), 0
        while at < len(order):
            longest = int(self.lengths[order[at]])
            some = order[at : at + max(1, BLOCK // max(longest, 1))]
            steps = np.arange(longest)
            inside = steps < self.lengths[some, None]
            taken = np.where(inside, self.starts[some, None] + steps, 0)
            yield some, np.where(inside, values[taken], np.nan)
            at += len(some)


@dataclass(frozen=True)
class _Column:
    """A column of numbers, computed once for all checks."""

    name: str

    def __call__(self, evidence: DataEvidence) -> Floats:
        raw = evidence.once(raw_series).raw
        numbers = as_numbers(raw.table[self.name])
        return np.full(raw.table.height, np.nan) if numbers is None else numbers


def raw_series(evidence: DataEvidence) -> RawSeries:
    """The series of a task that cuts rows by time. Raises Skip for other data."""
    dataset = evidence.dataset
    raw, spans = dataset.raw, dataset.spans
    if raw is None or spans is None or raw.source.item or not cuts_rows(raw.source):
        raise Skip("the examples are not cut from series")
    count = raw.table.height
    begins = np.r_[True, np.zeros(count - 1, bool)]
    if raw.owners is not None:
        begins[1:] = (raw.owners[1:] != raw.owners[:-1]).to_numpy()
    starts = np.flatnonzero(begins)
    seconds = None if raw.times is None else as_seconds(raw.times)
    is_clock = raw.times is not None and is_calendar(raw.times)
    horizon = int((spans[:, 1] - spans[:, 0]).max(initial=1))
    return RawSeries(raw, starts, np.r_[starts[1:], count], seconds, is_clock, horizon, evidence)


def _is_number(cells: pl.Series) -> bool:
    return as_numbers(cells) is not None


def severity_of_series(count: int, series: int) -> Severity:
    """A warning if this many of the series are odd, a note if so few are that the others hardly notice."""
    return "warning" if count >= FEW_SERIES * series else "note"
