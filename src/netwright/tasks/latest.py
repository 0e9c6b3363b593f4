"""The last steps of each series, to predict what follows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.records.errors import DataError, counted, listed
from netwright.records.frames import Frames, Raw
from netwright.records.task import ROW
from netwright.tasks.clock import DAY, Rows, Step, is_calendar
from netwright.tasks.columns import input_name, targets_of
from netwright.tasks.grid import Placed, Values, spread
from netwright.tasks.windows import KNOWN, STEP, Cutting


def latest(raw: Raw, names: tuple[str, ...], cutting: Cutting, asked: int = 0) -> Frames:
    """A window for each series that ends with its last known target; unknown before a series that is shorter.

    Rows after it say what is known of the next steps, of which `asked` are answered (0: all). Beside each answer stand
    its step, its series and its time. Raises DataError if a column that is known ahead lacks one of these steps.
    """
    windows, beside = cutting.windows, cutting.beside
    lags, ahead = windows.lags, windows.horizon
    placed = Placed.of(replace(raw, targets=names), cutting.step)
    targets, _ = targets_of(raw, names)
    ends, notes = _ends(raw, names, placed, targets)
    past = _around(placed, ends, targets, -lags, 0)
    every = (*names, *beside.static)
    arrays: dict[str, NDArray[Any]] = {input_name("past", names, every): past}
    if beside.others:
        arrays[input_name("others", names, every)] = _around(
            placed, ends, list(beside.read(raw, beside.others)), -lags, 0
        )
    if beside.known:
        _require_columns(raw, cutting, asked or ahead)
        known = _around(placed, ends, list(beside.read(raw, beside.known)), -lags, ahead)
        _require_known(raw, names, cutting, ends, known[:, lags : lags + (asked or ahead)])
        arrays[input_name("known", names, every)] = known
    if beside.cycles:
        positions = placed.positions[ends][:, None] + np.arange(1 - lags, ahead + 1)
        calendar = beside.calendar(placed.step, positions.ravel())
        arrays[input_name("calendar", names, every)] = calendar.reshape(*positions.shape, -1)
    if few := int((np.isfinite(past).any(axis=2).mean(1) < KNOWN).sum()):
        notes = (*notes, f"{counted(few, 'series', 'series')} with most of the last {lags} steps unknown: less is seen")
    statics = {name: values[placed.series[ends]] for name, values in beside.statics(raw, placed.series).items()}
    return Frames(
        pl.DataFrame({**dict.fromkeys(arrays, pl.Series(range(len(ends)))), **statics}),
        np.stack([ends, ends + 1], 1),
        arrays,
        {name: f"series:{array.shape[1]}" for name, array in arrays.items()},
        names=_named(raw, ends, ahead, placed.step),
        notes=(*placed.notes, *notes),
    )


def _ends(raw: Raw, names: tuple[str, ...], placed: Placed, targets: Sequence[Values]) -> tuple[Rows, tuple[str, ...]]:
    """The last row of each series with a known target; and a note about series without one."""
    is_known = ~np.isnan(np.stack(targets, 1)).all(1)
    rows = np.flatnonzero(is_known)
    if not len(rows):
        problem = f"no row has a value of {listed(names)}, from which the next ones could be predicted"
        raise DataError(problem, remedy="give the rows up to now with their values.")
    series = placed.series[rows]
    ends = rows[np.r_[series[1:] != series[:-1], True]]
    lost = int(placed.series[-1]) + 1 - len(ends)
    note = f"{counted(lost, 'series', 'series')} without a value of {listed(names)} left out"
    return ends, (note,) if lost else ()


def _around(placed: Placed, ends: Rows, columns: Sequence[Values], first: int, last: int) -> Values:
    """(series, last - first, columns): the steps from `first` to before `last`, counted from the one after each end."""
    of = placed.series[ends]
    number = np.searchsorted(of, placed.series).clip(max=len(of) - 1)
    place = placed.positions - placed.positions[ends][number] - 1 - first
    inside = (of[number] == placed.series) & (place >= 0) & (place < last - first)
    cells = (number * (last - first) + place)[inside]
    found = spread(cells, len(ends) * (last - first), (one[inside] for one in columns), len(columns))
    return found.reshape(len(ends), last - first, len(columns))


def _require_columns(raw: Raw, cutting: Cutting, steps: int) -> None:
    """Raises DataError if the data lack a column that is known ahead."""
    if absent := [name for name in cutting.beside.known if name not in raw.table.columns]:
        raise DataError(
            f"the data have no column {absent[0]!r}, which this run knows ahead",
            remedy=f"give it in all rows, and add rows for the next {counted(steps, 'step')} with it.",
        )


def _require_known(raw: Raw, names: tuple[str, ...], cutting: Cutting, ends: Rows, known: Values) -> None:
    """Raises DataError if a column is unknown in a next step: (series, steps, channels)."""
    beside = cutting.beside
    columns = [name for name in beside.known for _ in beside.channels([name])]
    lacking = np.isnan(known).sum(1)
    if not lacking.any():
        return
    worst, channel = (int(place) for place in np.argwhere(lacking)[0])
    whose = "the data have" if raw.owners is None else f"{raw.owners.name} {raw.owners[int(ends[worst])]} has"
    many = int(lacking.any(1).sum())
    others = f"; {counted(many, 'series', 'series')} lack such steps" if many > 1 else ""
    steps = known.shape[1]
    raise DataError(
        f"{whose} no {columns[channel]!r} in {lacking[worst, channel]} of the next {counted(steps, 'step')}{others}",
        remedy=f"add rows for the {steps} steps after the last {names[0]!r}, with {listed(beside.known)} and an empty "
        f"{names[0]!r}, or ask for fewer steps (--horizon).",
    )


def _plain_dates(times: pl.Series) -> pl.Series:
    """Dates instead of midnights."""
    is_midnight = times.dtype == pl.Date or bool((times.dt.time() == time()).all())
    return times.dt.date() if is_midnight else times


def _named(raw: Raw, last: Rows, ahead: int, step: Step) -> pl.DataFrame:
    """For each example and step after its last row: number, step, series and time."""
    count = len(last)
    frame = pl.DataFrame({ROW: np.repeat(np.arange(count), ahead), STEP: np.tile(np.arange(1, ahead + 1), count)})
    columns = list[pl.Series]()
    if raw.owners is not None:
        columns.append(raw.owners[last].gather(frame[ROW]))
    if raw.times is not None and step.unit != "row":
        times = _plain_dates(raw.times) if is_calendar(raw.times) and step.seconds >= DAY else raw.times
        at_end = step.unit == "month" and bool((times.dt.date().dt.month_end() == times.dt.date()).all())
        columns.append(step.after(times[last].gather(frame[ROW]), frame[STEP], at_month_end=at_end).alias(times.name))
    return frame.with_columns(
        c.alias(c.name if c.name not in (ROW, STEP) else f"{c.name} of the data") for c in columns
    )
