"""The rows that rankings are cut from: who had what, and when."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.checks.data.columns import as_numbers
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.records.errors import listed
from netwright.records.finding import SHOWN
from netwright.records.frames import Raw
from netwright.tasks.clock import as_seconds, is_calendar

EPOCH = 1e8, 1e10  # numbers between them are seconds since 1970, from 1973 to 2286
EPOCH_MS = 1e11, 1e13  # the same in milliseconds
SHOWN_NAMES = 3  # of users or items in a sentence

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RawVisits:
    """Rows by user, then by time. Users and items are numbered from 0."""

    raw: Raw
    users: Rows  # (rows,), ascending
    items: Rows  # (rows,)
    user_names: pl.Series  # of each number, as text
    item_names: pl.Series
    seconds: Floats | None  # (rows,); None without times
    is_clock: bool  # whether times are seconds since 1970
    ratings: Floats | None  # (rows,); None if they are not named
    origin: DataEvidence

    def __len__(self) -> int:
        return len(self.users)

    def places(self, rows: Rows) -> tuple[str, ...]:
        """Where the first of these rows are in the data."""
        return tuple(self.origin.dataset.locate_raw(int(row)) for row in rows[:SHOWN])

    def firsts(self, users: Rows) -> Rows:
        """The first row of each user."""
        return np.searchsorted(self.users, users)

    def named_users(self, users: Rows) -> str:
        """`A, B, C, ...`"""
        return _named(self.user_names, users)

    def named_items(self, items: Rows) -> str:
        """`A, B, C, ...`"""
        return _named(self.item_names, items)


def raw_visits(evidence: DataEvidence) -> RawVisits:
    """The interactions of a task that cuts users from rows. Raises Skip for other data."""
    raw = evidence.dataset.raw
    if raw is None or raw.owners is None or not raw.source.item:
        raise Skip("the examples are not cut from interactions")
    items, item_names = _numbered(raw.table[raw.source.item])
    users = np.cumsum(np.r_[0, raw.owners.ne_missing(raw.owners.shift(1)).to_numpy()[1:]]).astype(np.int64)
    firsts = np.searchsorted(users, np.arange(users[-1] + 1))
    seconds, is_clock = _times(raw)
    ratings = as_numbers(raw.table[raw.source.rating]) if raw.source.rating else None
    user_names = raw.owners[firsts].cast(pl.String)
    return RawVisits(raw, users, items, user_names, item_names, seconds, is_clock, ratings, evidence)


def _numbered(cells: pl.Series) -> tuple[Rows, pl.Series]:
    names = cells.cast(pl.String).fill_null("")
    ranks = names.rank("dense").to_numpy().astype(np.int64) - 1
    return ranks, names.unique().sort()


def _times(raw: Raw) -> tuple[Floats | None, bool]:
    if raw.times is None:
        return None, False
    numbers = as_seconds(raw.times)
    if is_calendar(raw.times):
        return numbers, True
    for (low, high), unit in ((EPOCH, 1.0), (EPOCH_MS, 1e-3)):
        if numbers.min() >= low and numbers.max() < high:
            return numbers * unit, True
    return numbers, False


def _named(names: pl.Series, numbers: Rows) -> str:
    few = names[numbers[:SHOWN_NAMES].tolist()].to_list()
    return listed(few) + ", ..." * (len(numbers) > len(few))
