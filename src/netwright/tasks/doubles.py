"""Rows of a series at one time: averaged if a clock went back or their targets are equal, and refused otherwise."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.records.errors import Unreadable, counted, listed
from netwright.records.frames import Raw
from netwright.tasks.clock import Mask

# One zone for each rule by which clocks go back, in any hour: local times that one of them has twice are ambiguous.
ZONES = (
    "Europe/London", "Europe/Berlin", "Europe/Helsinki", "Atlantic/Azores", "America/New_York", "America/Chicago",
    "America/Denver", "America/Los_Angeles", "America/Anchorage", "America/Halifax", "America/St_Johns",
    "America/Mexico_City", "America/Santiago", "America/Sao_Paulo", "Australia/Sydney", "Australia/Adelaide",
    "Pacific/Auckland", "Asia/Jerusalem", "Asia/Beirut", "Asia/Tehran", "Africa/Cairo",
)  # fmt: skip
SHOWN = 3  # dates in a note


def doubles(raw: Raw) -> tuple[Mask, tuple[str, ...]]:
    """Which of the sorted rows repeat the row before them, and notes about these and clock changes.

    A row repeats another if all its cells are equal, or all its targets: tables that were joined have a row for each
    event of an hour. Raises Unreadable if two rows of a series have one time for another reason.
    """
    none = np.zeros(raw.table.height, bool)
    if raw.times is None:
        return none, ()
    same = _same_as_before(raw)
    if not same.any():
        return none, ()
    rows = np.flatnonzero(same | np.r_[same[1:], False])
    equal = none.copy()
    equal[rows] = _equal_to_before(raw.table[rows])
    equal &= same
    notes = list[str]()
    if equal.any():
        notes.append(f"{counted(int(equal.sum()), 'row')} equal to the row before, at the same time: left out")
    again = np.flatnonzero(same & ~equal)
    changes = again[_is_clock_change(raw.times, again, same & ~equal)]
    if len(changes):
        days = [str(day) for day in raw.times[changes].dt.date().unique().sort()]
        pairs = counted(len(changes), "pair")
        notes.append(f"clock change on {listed(days, SHOWN)}: {pairs} of rows at the same time averaged")
    others = np.setdiff1d(again, changes)
    if len(others):
        repeated = none.copy()
        repeated[rows] = _equal_to_before(raw.table[rows].select(raw.targets))
        if unlike := [int(row) for row in others if not raw.targets or not repeated[row]]:
            _refuse(raw, raw.times, unlike[0])
        equal[others] = True
        told = f"{counted(len(others), 'row')} at the same time as the row before, with the same {listed(raw.targets)}"
        notes.append(f"{told}: averaged")
    return equal, tuple(notes)


def _same_as_before(raw: Raw) -> Mask:
    """Which rows have the series and the time of the row before."""
    keys = [key for key in (raw.times, raw.owners) if key is not None]
    same = np.ones(raw.table.height, bool)
    for key in keys:
        same &= (key == key.shift(1)).fill_null(False).to_numpy()
    return same


def _equal_to_before(table: pl.DataFrame) -> Mask:
    if not table.width:
        return np.ones(table.height, bool)
    found = table.select(pl.all_horizontal(pl.all().eq_missing(pl.all().shift(1)))).to_series().to_numpy(writable=True)
    found[:1] = False
    return found


def _is_clock_change(times: pl.Series, again: NDArray[np.int64], same: Mask) -> Mask:
    """Which of the rows that share their time with the one before do so as a clock went back."""
    is_third = same[again] & same[again - 1]
    return _is_ambiguous(times[again]) & ~is_third


def _is_ambiguous(times: pl.Series) -> Mask:
    """Which local times a clock shows twice, in one of the zones."""
    found = np.zeros(len(times), bool)
    if not isinstance(times.dtype, pl.Datetime) or times.dtype.time_zone is not None:
        return found
    for zone in ZONES:
        first, last = (
            times.dt.replace_time_zone(zone, ambiguous=which, non_existent="null") for which in ("earliest", "latest")
        )
        found |= (first != last).fill_null(False).to_numpy()
    return found


def _refuse(raw: Raw, times: pl.Series, row: int) -> None:
    of = "" if raw.owners is None else f" of {raw.owners.name} {raw.owners[row]}"
    series = "" if of else ", name the column of series (--series)"
    remedy = f"give each time one row{series}, or name all columns of the time (--time date,hour)."
    text = f"two rows{of} have the {times.name} {str(times[row]).removesuffix(' 00:00:00')}"
    raise Unreadable(text, remedy, (), {row - 1: text, row: text})
