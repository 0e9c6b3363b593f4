"""Windows of a series: the past that is seen, and the steps after it that are predicted."""

from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from netwright.kinds.number import as_numbers
from netwright.models.history import Role
from netwright.records.errors import DataError, RecipeError, Unreadable, counted
from netwright.records.frames import Frames, Raw
from netwright.records.task import ROW

HORIZON = 24  # steps ahead if the user names none: a day of hours, two years of months
MOST_LAGS = 512  # looked back unless the user says more: on hourly data three weeks
SEASONS = 14  # looked back: two weeks of hours in days, or of days in weeks
LEAST_SHARE = 5  # the past takes at most a fifth of the longest unbroken series
GAP = 1.5  # usual steps; a longer distance between two rows is a gap, and below its inverse rows are too close
UNEVEN = 0.1  # share of such distances from which on time stamps are not even: then each row counts as a step
DAY = 86_400.0
SECONDS_IN = ((366 * DAY, 1), (92 * DAY, 4), (31 * DAY, 12), (7 * DAY, 52), (DAY, 7))  # a step's most, steps in a cycle
SHORTEST = 0.9  # of the most: February
CLOSE = 0.02  # of a step: clocks drift
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
STEP, PAST = "step", "past"

Rows = NDArray[np.int64]
Values = NDArray[np.float32]


@final
@dataclass(frozen=True)
class Windows:
    """How a task looks at a series. 0 lags and a season of 0 are chosen by the data."""

    horizon: int = HORIZON
    lags: int = 0  # past steps that are seen
    season: int = 0  # steps of a cycle; 1: none is known
    levels: tuple[float, ...] = LEVELS  # quantiles that are predicted

    @classmethod
    def read(cls, detail: str) -> Self:
        """From `96` or `96,lags=336,season=24,quantiles=0.1/0.5/0.9`. Raises RecipeError for anything else."""
        first, *others = [part.strip() for part in detail.split(",")] if detail else [str(HORIZON)]
        found = {"horizon": first} | {name: word for name, _, word in (part.partition("=") for part in others)}
        if unknown := found.keys() - {"horizon", "lags", "season", "quantiles"}:
            raise RecipeError(
                f"forecasting has no setting {min(unknown)!r}", remedy="choose lags, season or quantiles."
            )
        counts = {name: _count(name, word) for name, word in found.items() if name != "quantiles"}
        levels = _levels(found["quantiles"]) if "quantiles" in found else LEVELS
        return cls(levels=levels, **counts)

    def fitted(self, raw: Raw, steps: "Steps") -> Self:
        """With the season of the time stamps, and as many lags as the data allow, unless they are given."""
        season = self.season or steps.season
        longest = int((steps.ends - steps.starts).max())
        wanted = min(max(2 * self.horizon, SEASONS * season), MOST_LAGS, max(1, longest // LEAST_SHARE))
        lags = self.lags or wanted
        if season > lags and self.season:
            raise RecipeError(f"season={season} is longer than the {lags} lags", remedy=f"set lags={season} or more.")
        return replace(self, lags=lags, season=season if season <= lags else 1)


def _count(name: str, word: str) -> int:
    if word.isdecimal() and int(word) > 0:
        return int(word)
    raise RecipeError(f"forecasting: {name} is {word!r}, not a whole number above 0", remedy="write forecasting:96.")


def _levels(words: str) -> tuple[float, ...]:
    try:
        levels = tuple(float(word) for word in words.split("/"))
    except ValueError:
        levels = tuple[float, ...]()
    if 0.5 not in levels or list(levels) != sorted({*levels}) or not all(0 < level < 1 for level in levels):
        problem = f"forecasting: quantiles are {words!r}, not rising numbers between 0 and 1 with 0.5 among them"
        raise RecipeError(problem, remedy="write quantiles=0.1/0.5/0.9.")
    return levels


@final
@dataclass(frozen=True, eq=False)
class Steps:
    """Stretches of rows without a gap, each within one series: from `starts` to before `ends`."""

    starts: Rows
    ends: Rows
    owners: Rows  # the number of each stretch's series
    size: float  # the usual distance of two rows, in seconds or in the time column's own unit; 0: rows are steps
    season: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Those of sorted rows."""
        count = raw.table.height
        _refuse_times(raw)
        owner = np.zeros(count, np.int64) if raw.owners is None else _numbered(raw.owners)
        begins = np.r_[True, owner[1:] != owner[:-1]]
        size, season, notes = 0.0, 1, list[str]()
        if raw.times is not None and not begins[1:].all():
            seconds, is_clock = _seconds(raw.times)
            distance = np.r_[np.inf, np.diff(seconds)]
            size = float(np.median(distance[~begins]))
            odd = ~begins & ((distance > GAP * size) | (distance * GAP < size))
            if odd[~begins].mean() > UNEVEN:
                size = 0.0
                notes.append("time stamps are not evenly spaced: each row counts as one step")
            else:
                season = _season(size) if is_clock else 1
                begins |= odd
                if odd.any():
                    notes.append(f"{counted(int(odd.sum()), 'gap')} between time stamps: no window crosses one")
        starts = np.flatnonzero(begins)
        return cls(starts, np.r_[starts[1:], count], owner[starts], size, season, tuple(notes))


def _refuse_times(raw: Raw) -> None:
    """Raises DataError for a single time, and Unreadable if two rows of a series have the same time."""
    if raw.times is None:
        return
    name = raw.times.name
    if raw.times.n_unique() == 1:
        problem = f"{name!r} is {raw.times[0]} in every row"
        raise DataError(problem, remedy="choose a column that orders the rows in time.")
    keys = pl.DataFrame([raw.times.alias("0"), *(() if raw.owners is None else (raw.owners.alias("1"),))])
    same = keys.select(pl.all_horizontal(pl.all() == pl.all().shift(1))).to_series().fill_null(False)
    if same.any():
        row = same.arg_max() or 0
        of = "" if raw.owners is None else f" of {raw.owners.name} {raw.owners[row]}"
        remedy = "give each time one row" + (", or name the column of series (--series)." if not of else ".")
        text = f"two rows{of} have the {name} {raw.times[row]}"
        raise Unreadable(text, remedy, (), {row - 1: text, row: text})


def _numbered(series: pl.Series) -> Rows:
    return np.cumsum(np.r_[0, (series[1:] != series[:-1]).to_numpy()]).astype(np.int64)


def _seconds(times: pl.Series) -> tuple[NDArray[np.float64], bool]:
    """Times as numbers, and whether they are seconds."""
    if _is_calendar(times):
        return times.cast(pl.Datetime("us")).to_physical().to_numpy() / 1e6, True
    return times.to_physical().cast(pl.Float64).to_numpy(), False


def _is_calendar(times: pl.Series) -> bool:
    return times.dtype == pl.Date or times.dtype == pl.Datetime


def _season(seconds: float) -> int:
    """Steps of the cycle that such steps usually have: hours of a day, days of a week, months of a year."""
    if seconds < DAY * (1 - CLOSE):
        return max(1, round(DAY / seconds))
    return next((steps for most, steps in SECONDS_IN if SHORTEST * most <= seconds <= most * (1 + CLOSE)), 1)


def cut(raw: Raw, windows: Windows) -> Frames:
    """All windows of past and next steps that fit into the data. Raises DataError if none does.

    A target's cells begin one season before the predicted steps: what a seasonal forecast would repeat.
    """
    steps = Steps.of(raw)
    windows = windows.fitted(raw, steps)
    lags, ahead, season = windows.lags, windows.horizon, windows.season
    values = _values(raw, raw.targets)
    fitting = [np.arange(a, b - lags - ahead + 1) for a, b in zip(steps.starts, steps.ends, strict=True)]
    first = np.concatenate(fitting)
    if not len(first):
        _refuse_short(raw, steps, windows)
    unused = [name for name in raw.table.columns if name not in raw.targets]
    notes = list(steps.notes)
    if short := len({*steps.owners}) - len({*steps.owners[[len(one) > 0 for one in fitting]]}):
        notes.append(f"{counted(short, 'series', 'series')} with fewer than {lags + ahead} steps left out")
    if unused:
        notes.append(f"only the past of the targets is seen; columns not used: {', '.join(unused)}")
    past = past_name(raw.targets)
    columns = np.moveaxis(sliding_window_view(values, season + ahead, axis=0), 1, 0)
    arrays = {
        past: sliding_window_view(values, lags, axis=0).swapaxes(1, 2),
        **dict(zip(raw.targets, columns, strict=True)),
    }
    start = first + lags
    table = {past: first, **{name: start - season for name in raw.targets}}
    order = start if raw.times is None else raw.times.rank("dense").to_numpy().astype(np.int64)[start]
    if raw.times is None and raw.owners is not None:
        order = start - np.repeat(_begins_of_series(steps), [len(one) for one in fitting])
    return Frames(
        pl.DataFrame(table),
        np.stack([start, start + ahead], 1),
        arrays,
        {past: "series"},
        order=order,
        notes=tuple(notes),
    )


def latest(raw: Raw, names: tuple[str, ...], windows: Windows) -> Frames:
    """The last steps of each series, to predict what follows; missing at the start of a series that is too short.

    Beside each answer stand its step, its series and its time.
    """
    steps = Steps.of(raw)
    values = _values(raw, names)
    last = np.flatnonzero(np.r_[steps.owners[1:] != steps.owners[:-1], True])
    past = np.full((len(last), windows.lags, len(names)), np.nan, np.float32)
    for row, (start, end) in enumerate(zip(steps.starts[last], steps.ends[last], strict=True)):
        known = values[max(start, end - windows.lags) : end]
        past[row, windows.lags - len(known) :] = known
    ends = steps.ends[last]
    short = int((ends - steps.starts[last] < windows.lags).sum())
    note = (
        f"{counted(short, 'series', 'series')} with fewer than {windows.lags} unbroken steps at the end: less is known"
    )
    name, count = past_name(names), len(last)
    return Frames(
        pl.DataFrame({name: range(count)}), np.stack([ends - 1, ends], 1), {name: past}, {name: "series"},
        names=_named(raw, ends - 1, windows.horizon, steps.size), notes=(*steps.notes, *((note,) if short else ())),
    )  # fmt: skip


def role_of(name: str) -> Role:
    """What an input of a forecast is, by its name."""
    return "past" if name == PAST or name.startswith(f"{PAST} of ") else "static"


def past_name(targets: tuple[str, ...]) -> str:
    """The name of the input column."""
    return PAST if PAST not in targets else f"{PAST} of {targets[0]}"


def _named(raw: Raw, last: Rows, ahead: int, size: float) -> pl.DataFrame:
    """For each example and step after its last row: number, step, series and time."""
    count = len(last)
    frame = pl.DataFrame({ROW: np.repeat(np.arange(count), ahead), STEP: np.tile(np.arange(1, ahead + 1), count)})
    columns = list[pl.Series]()
    if raw.owners is not None:
        columns.append(raw.owners[last].gather(frame[ROW]))
    if raw.times is not None and size:
        frame, ends = frame.with_columns(end=raw.times[last].gather(frame[ROW])), pl.col("end")
        if _is_calendar(raw.times):
            months = round(size / (30.44 * DAY)) if size > 27 * DAY else 0  # months differ in length
            each = (
                pl.format("{}mo", pl.col(STEP) * months)
                if months
                else pl.format("{}us", pl.col(STEP) * round(size * 1e6))
            )
            times = frame.select(ends.cast(pl.Datetime("us")).dt.offset_by(each)).to_series()
            columns.append(times.cast(pl.Date) if raw.times.dtype == pl.Date and size >= DAY else times)
        else:
            columns.append(frame.select(ends + pl.col(STEP) * size).to_series())
        columns[-1] = columns[-1].alias(raw.times.name)
        frame = frame.drop("end")
    return frame.with_columns(
        c.alias(c.name if c.name not in (ROW, STEP) else f"{c.name} of the data") for c in columns
    )


def _begins_of_series(steps: Steps) -> Rows:
    """For each stretch the first row of its series."""
    firsts = np.r_[True, steps.owners[1:] != steps.owners[:-1]]
    return steps.starts[np.flatnonzero(firsts)[np.cumsum(firsts) - 1]]


def _values(raw: Raw, names: tuple[str, ...]) -> Values:
    """(rows, targets). Raises Unreadable for cells that are not finite numbers."""
    columns = list[Values]()
    for name in names:
        if name not in raw.table.columns:
            raise DataError(f"the data have no column {name!r}", remedy="give the past of all targets.")
        cells = raw.table[name]
        numbers = as_numbers(cells).cast(pl.Float32)
        bad = {int(row): repr(cells[int(row)]) for row in (~numbers.is_finite().fill_null(False)).arg_true()}
        if bad:
            told = f"{counted(len(bad), 'cell')} of {name!r} not a finite number, the first is {bad[min(bad)]}"
            raise Unreadable(told, "correct these cells, or leave the rows out.", (), bad)
        columns.append(numbers.to_numpy())
    if not columns:
        raise DataError("forecasting needs a target", remedy="name the column to forecast (--target).")
    return np.stack(columns, 1)


def _refuse_short(raw: Raw, steps: Steps, windows: Windows) -> None:
    lengths = steps.ends - steps.starts
    longest = int(lengths.argmax())
    name = "" if raw.owners is None else f" ({raw.owners.name} {raw.owners[int(steps.starts[longest])]})"
    raise DataError(
        f"the longest unbroken series{name} has {counted(int(lengths[longest]), 'step')}, but a window takes "
        f"{windows.lags} past and {windows.horizon} next steps",
        remedy="choose a shorter horizon or fewer lags (--task forecasting:12,lags=24), or give more rows.",
    )
