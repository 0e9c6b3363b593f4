"""Series on a grid of steps: each row of the data has a cell, and a cell without a row is unknown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.records.errors import DataError, counted
from netwright.records.frames import Raw
from netwright.tasks.clock import EACH_ROW, UNEVEN, Mask, Rows, Step, usual_step
from netwright.tasks.doubles import doubles

TELLING = 10  # distances between new rows that show whether they have the step of training

Values = NDArray[np.float32]
Owners = NDArray[np.int32]
"""Numbers of series."""
Cells = NDArray[np.int32 | np.int64]
"""int32 if that is enough: millions of windows are made from them."""


@final
@dataclass(frozen=True, eq=False)
class Placed:
    """Sorted rows, each at a step of its series."""

    step: Step
    series: Owners  # the number of each row's series, from 0
    positions: Rows  # the step of each row, never falling within a series; rows at one step are averaged
    notes: tuple[str, ...]

    @classmethod
    def of(cls, raw: Raw, step: Step | None = None) -> Self:
        """By the usual step of the rows, or one that is given.

        Raises Unreadable for two rows of a series at one time, and DataError for rows that do not have the given step.
        """
        equal, notes = doubles(raw)
        series = _numbered(raw)
        begins = np.diff(series, prepend=-1) > 0
        if raw.times is None:
            return cls(EACH_ROW, series, _counted(begins, equal), notes)
        told = ""
        if step is None:
            step, told = usual_step(raw.times, begins)
        else:
            _refuse_other(raw.times, begins, step)
        if step.unit == "row":
            return cls(step, series, _counted(begins, equal), (*notes, *([told] if told else [])))
        positions = step.positions(raw.times, begins)
        close = (
            ~begins
            & (np.diff(positions, prepend=0) == 0)
            & (raw.times != raw.times.shift(1)).fill_null(True).to_numpy()
        )
        if close.any():
            told = f"{counted(int(close.sum()), 'row')} at the same step of {step} as the row before: averaged"
        return cls(step, series, positions, (*notes, *([told] if told else [])))

    @property
    def starts(self) -> Rows:
        """The first row of each series."""
        return np.flatnonzero(np.diff(self.series, prepend=-1))

    def stretches(self, hole: int) -> tuple[Rows, Rows]:
        """First rows and lengths in steps of the stretches without a hole longer than this."""
        begins = (np.diff(self.series, prepend=-1) > 0) | (np.diff(self.positions, prepend=0) > hole + 1)
        starts = np.flatnonzero(begins)
        ends = np.r_[starts[1:], len(self.series)]
        return starts, self.positions[ends - 1] - self.positions[starts] + 1


@final
@dataclass(frozen=True, eq=False)
class Grid:
    """The steps of all stretches one after the other, with unknown ones before stretches that are too short."""

    cells: Cells  # of each row
    owners: Owners  # the number of each row's series
    first: Rows  # cell of each stretch's first step, after the unknown ones
    lengths: Rows  # steps of each stretch
    positions: Rows  # of each stretch's first step
    series: Owners  # of each stretch
    size: int  # cells in all

    @classmethod
    def of(cls, placed: Placed, hole: int, padding: Callable[[Rows], Rows]) -> Self:
        """`padding` says how many unknown steps stretches of some lengths get. A longer hole ends a stretch."""
        starts, lengths = placed.stretches(hole)
        ends = np.cumsum(padding(lengths) + lengths)
        first = ends - lengths
        rows = np.diff(np.r_[starts, len(placed.series)])
        positions = placed.positions[starts]
        size = int(ends[-1])
        kind = np.int32 if size < 2**31 else np.int64
        cells = (placed.positions + np.repeat(first - positions, rows)).astype(kind)
        return cls(cells, placed.series, first, lengths, positions, placed.series[starts], size)


def spread(cells: Cells, size: int, columns: Iterable[Values], count: int) -> Values:
    """(size, count) from `count` columns of rows with ascending cells: NaN without a row, the mean of several rows."""
    grid = np.full((size, count), np.nan, np.float32)
    again = np.flatnonzero(np.diff(cells) == 0) + 1
    rows = np.union1d(again - 1, again)
    several, which = np.unique(cells[rows], return_inverse=True)
    for column, numbers in enumerate(columns):
        grid[cells, column] = numbers
        if len(rows):
            some = numbers[rows]
            known = np.bincount(which, ~np.isnan(some))
            with np.errstate(invalid="ignore"):
                grid[several, column] = np.bincount(which, np.nan_to_num(some)) / np.where(known > 0, known, np.nan)
    return grid


def _numbered(raw: Raw) -> Owners:
    if raw.owners is None:
        return np.zeros(raw.table.height, np.int32)
    return np.cumsum((raw.owners != raw.owners.shift(1)).fill_null(False).to_numpy(), dtype=np.int32)


def _counted(begins: Mask, equal: Mask) -> Rows:
    """0, 1, 2, ... from each beginning; a row that is equal to the one before counts with it."""
    count = np.cumsum(~equal)
    starts = np.flatnonzero(begins)
    return count - np.repeat(count[starts], np.diff(np.r_[starts, len(begins)]))


def _refuse_other(times: pl.Series, begins: Mask, step: Step) -> None:
    """Raises DataError if hardly any row is one step after the row before."""
    if step.unit == "row":
        return
    distances = np.diff(step.positions(times, begins))[~begins[1:]]
    if len(distances) >= TELLING and (distances == 1).mean() < UNEVEN:
        usual, _ = usual_step(times, begins)
        came = "unevenly spaced" if usual.unit == "row" else f"{usual} apart"
        raise DataError(
            f"rows of one series are {came} in {times.name!r}, but this run learned steps of {step}",
            remedy=f"give rows that are {step} apart, or train a run on such rows.",
        )
