"""Rows of a series at one time: dropped if they are equal, averaged if a clock went back, and refused otherwise."""

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
    """Which of the sorted rows repeat the row before them in every cell, and notes about these and clock changes.

    Raises Unreadable if two rows of a series have one time for another reason.
    """
    none = np.zeros(raw.table.height, bool)
    if raw.times is None:
        return none, ()
    same = _same_as_before(raw)
    if not same.any():
        return none, ()
    rows = np.flatnonzero(same | np.r_[same[1:], False])
    table = raw.table[rows]
    equal = none.copy()
    equal[rows] = _equal_to_before(table)
    equal &= same
    again = np.flatnonzero(same & ~equal)
    notes = list[str]()
    if equal.any():
        notes.append(f"{counted(int(equal.sum()), 'row')} equal to the row before, at the same time: left out")
    if len(again):
        notes.append(_clock_changes(raw, again, same & ~equal))
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


def _clock_changes(raw: Raw, again: NDArray[np.int64], same: Mask) -> str:
    """A note that names the days; raises Unreadable for the first row that no clock change explains."""
    times = raw.times
    if times is None:
        return ""
    is_third = same[again] & same[again - 1]
    is_double = _is_ambiguous(times[again]) & ~is_third
    if not is_double.all():
        _refuse(raw, times, int(again[~is_double][0]))
    days = [str(day) for day in times[again].dt.date().unique().sort()]
    return f"clock change on {listed(days, SHOWN)}: {counted(len(again), 'pair')} of rows at the same time averaged"


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
    remedy = "give each time one row" + (", or name the column of series (--series)." if not of else ".")
    text = f"two rows{of} have the {times.name} {times[row]}"
    raise Unreadable(text, remedy, (), {row - 1: text, row: text})
