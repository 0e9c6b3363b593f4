"""Windows of a series: the past that is seen, and the steps after it that are predicted."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self, final

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import TypeAdapter

from netwright.kinds.category import FEW
from netwright.records.errors import DataError, RecipeError, counted
from netwright.records.frames import Frames, Raw
from netwright.tasks.clock import EACH_ROW, LONG, Rows, Step
from netwright.tasks.columns import ALONE, Beside, Role, input_name, targets_of
from netwright.tasks.grid import Cells, Grid, Owners, Placed, Values, spread

HORIZON = 24  # steps ahead if the user names none: a day of hours, two years of months
MOST_LAGS = 512  # looked back unless the user says more: on hourly data three weeks
SEASONS = 14  # looked back: two weeks of hours in days, or of days in weeks
LEAST_SHARE = 5  # the past takes at most a fifth of the longest unbroken series
ROOM = 10  # horizons of windows that three parts take, so that the past may be a whole season in short data
KNOWN = 0.5  # least share of known steps in a window's past, and in what it predicts: with fewer it is mostly a guess
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
STEP = "step"


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

    def fitted(self, placed: Placed) -> Self:
        """With the season of the steps, and as many lags as the longest series allows, unless they are given."""
        season = self.season or placed.step.season
        longest = int(placed.stretches(self.lags or LONG)[1].max())
        wanted = min(max(2 * self.horizon, SEASONS * season), MOST_LAGS, max(1, longest // LEAST_SHARE))
        if wanted < season <= MOST_LAGS and longest >= season + ROOM * self.horizon:
            wanted = season
        lags = self.lags or wanted
        if season > lags and self.season:
            raise RecipeError(f"season={season} is longer than the {lags} lags", remedy=f"set lags={season} or more.")
        return replace(self, lags=lags, season=season if season <= lags else 1)


@final
@dataclass(frozen=True)
class Cutting:
    """All that was chosen in cutting: new rows are cut alike."""

    windows: Windows
    step: Step = EACH_ROW
    beside: Beside = ALONE
    series: int = 1  # in the data

    @classmethod
    def read(cls, detail: str) -> Self:
        """From what `written` gives, or what a user wrote. Raises RecipeError as `Windows.read`."""
        return TypeAdapter(cls).validate_json(detail) if detail.startswith("{") else cls(Windows.read(detail))

    def written(self) -> str:
        """As JSON."""
        return TypeAdapter(Cutting).dump_json(self).decode()


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


def cut(raw: Raw, windows: Windows) -> Frames:
    """All windows of past and next steps that fit into the data. Raises DataError if none does.

    A target's cells have a row for each step from one season before the predicted ones: its value, and the mean error
    until then of repeating what was one season before, in its series. A series shorter than the past has windows too:
    their past begins with unknown steps.
    """
    if raw.times is not None and raw.times.n_unique() == 1:
        problem = f"{raw.times.name!r} is {raw.times[0]} in every row"
        raise DataError(problem, remedy="choose a column that orders the rows in time.")
    placed = Placed.of(raw)
    windows = windows.fitted(placed)
    beside, notes = Beside.chosen(raw, placed)
    cutting = Cutting(windows, placed.step, beside, int(placed.series[-1]) + 1)
    grid = _grid(placed, windows)
    notes = (*_told_times(raw, placed.step), *placed.notes, *notes)
    del placed  # of ten thousand series it takes as much as the values
    return _framed(raw, raw.targets, grid, cutting, notes)


def _told_times(raw: Raw, step: Step) -> tuple[str, ...]:
    """`day: 2020-01-01 to 2024-12-31, in steps of 1 day`; without the step if each row counts as one."""
    if raw.times is None:
        return ()
    first, last = (str(time).removesuffix(" 00:00:00") for time in (raw.times.min(), raw.times.max()))
    return (f"{raw.times.name}: {first} to {last}{'' if step == EACH_ROW else f', in steps of {step}'}",)


def cut_again(raw: Raw, names: tuple[str, ...], cutting: Cutting) -> Frames:
    """The same of other rows."""
    placed = Placed.of(raw, cutting.step)
    return _framed(raw, names, _grid(placed, cutting.windows), cutting, placed.notes)


def _grid(placed: Placed, windows: Windows) -> Grid:
    return Grid.of(placed, windows.lags, partial(_padding, windows))


def _framed(raw: Raw, names: tuple[str, ...], grid: Grid, cutting: Cutting, notes: tuple[str, ...]) -> Frames:
    windows, beside = cutting.windows, cutting.beside
    lags, ahead, season = windows.lags, windows.horizon, windows.season
    values, missing = _values(raw, names, grid, season)
    first, stretches, few = _windows(grid, values, windows)
    if not len(first):
        _refuse_none(raw, grid, windows)
    spans = _spans(grid, first + lags, ahead)
    begins = (grid.positions - grid.first)[stretches] + first  # the first step of each window
    order = begins + lags if raw.times is None or cutting.step.unit != "row" else _ranks(raw.times)[spans[:, 0]]
    every = (*names, *beside.static)
    number = pl.Series(first)
    views = {input_name("past", names, every): (_wide(values[:, :, 0], lags), number)}
    wanted: tuple[tuple[Role, tuple[str, ...], int], ...] = (
        ("others", beside.others, lags),
        ("known", beside.known, lags + ahead),
    )
    for role, columns, length in wanted:
        if columns:
            channels = spread(grid.cells, grid.size, beside.read(raw, columns), len(beside.channels(columns)))
            views[input_name(role, names, every)] = _wide(channels, length), number
    if beside.cycles:
        waves, numbers = _calendar(grid, cutting, number, begins)
        views[input_name("calendar", names, every)] = _wide(waves, lags + ahead), numbers
    clock = input_name("calendar", names, every)
    kinds = {name: "calendar" if name == clock else f"series:{array.shape[1]}" for name, (array, _) in views.items()}
    owners = grid.series[stretches]
    statics = {name: _repeated(cells, owners) for name, cells in beside.statics(raw, grid.owners).items()}
    futures = {
        name: (sliding_window_view(values[lags - season :, at], season + ahead, axis=0).swapaxes(1, 2), number)
        for at, name in enumerate(names)
    }
    table = {name: cells for name, (_, cells) in views.items()} | statics | {name: number for name in futures}
    arrays = {name: array for name, (array, _) in (views | futures).items()}
    told = (*notes, *missing, *few)
    return Frames(pl.DataFrame(table), spans, arrays, kinds, order=order, found=cutting.written(), notes=told)


def _values(raw: Raw, names: tuple[str, ...], grid: Grid, season: int) -> tuple[Values, tuple[str, ...]]:
    """(cells, targets, 2): each target, and its series' usual error; and notes."""
    values = np.full((grid.size, len(names), 2), np.nan, np.float32)
    targets, notes = targets_of(raw, names)
    values[:, :, 0] = spread(grid.cells, grid.size, targets, len(names))
    _write_errors(grid, values, season)
    return values, notes


def _spans(grid: Grid, start: Cells, ahead: int) -> Rows:
    """The rows of the data that windows predict."""
    before = np.searchsorted(grid.cells, np.arange(grid.size + 1, dtype=grid.cells.dtype)).astype(grid.cells.dtype)
    spans = np.empty((len(start), 2), np.int64)
    spans[:, 0], spans[:, 1] = before[start], before[start + ahead]
    return spans


def _shortest_past(windows: Windows, lengths: Rows) -> Rows:
    """Steps of the first window's past in stretches of some lengths: one season if the stretch is short."""
    is_long = lengths >= windows.lags + windows.horizon
    return np.where(is_long, windows.lags, np.clip(lengths - windows.horizon, 0, windows.season))


def _padding(windows: Windows, lengths: Rows) -> Rows:
    return np.where(lengths > windows.horizon, windows.lags - _shortest_past(windows, lengths), 0)


def _windows(grid: Grid, values: Values, windows: Windows) -> tuple[Cells, Cells, tuple[str, ...]]:
    """First cell and stretch of each window of which enough is known, and notes about the others."""
    lags, ahead, kind = windows.lags, windows.horizon, grid.cells.dtype
    past = _shortest_past(windows, grid.lengths)
    counts = np.where(grid.lengths > ahead, grid.lengths - ahead - past + 1, 0)
    stretches = np.repeat(np.arange(len(counts), dtype=kind), counts)
    first = np.repeat((grid.first + past - lags - np.cumsum(counts) + counts).astype(kind), counts)
    first += np.arange(len(first), dtype=kind)
    until = np.zeros(grid.size + 1, kind)
    np.cumsum(np.isfinite(values[:, :, 0]).any(axis=1), out=until[1:])
    steps = first + lags - grid.first.astype(kind)[stretches]  # of the past, without those before the series
    enough = until[first + lags] - until[first] >= KNOWN * np.minimum(steps, lags)
    enough &= until[first + (lags + ahead)] - until[first + lags] >= KNOWN * ahead
    notes = list[str]()
    if unknown := int((~enough).sum()):
        notes.append(f"{counted(unknown, 'window')} left out: most of the past or of the next steps is unknown")
        first, stretches = first[enough], stretches[enough]
    if short := len(np.unique(grid.series)) - len(np.unique(grid.series[stretches])):
        notes.append(f"{counted(short, 'series', 'series')} without a window: at most {ahead} steps, or mostly unknown")
    return first, stretches, tuple(notes)


def _write_errors(grid: Grid, values: Values, season: int) -> None:
    """The mean error until each step of repeating one season before; NaN until it is known.

    Each series is summed for itself, so that no later step changes even the last digit.
    """
    total, count = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for at, length, is_new in zip(grid.first, grid.lengths, np.diff(grid.series, prepend=-1) > 0, strict=True):
        if is_new:
            total, count = np.zeros_like(total), np.zeros_like(count)
        here = values[at : at + length, :, 0].astype(np.float64)
        off = np.full(here.shape, np.nan)
        off[season:] = np.abs(here[season:] - here[:-season])
        totals = total + np.cumsum(np.nan_to_num(off), 0)
        counts = count + np.cumsum(~np.isnan(off), 0)
        values[at : at + length, :, 1] = totals / np.where(counts > 0, counts, np.nan)
        total, count = totals[-1], counts[-1]


def _calendar(grid: Grid, cutting: Cutting, number: pl.Series, begins: Rows) -> tuple[Values, pl.Series]:
    """The channels of the calendar by step, and where each window begins in them.

    All series share them, unless they are so far apart that their own steps are fewer.
    """
    step, beside, windows = cutting.step, cutting.beside, cutting.windows
    low, high = int(begins.min()), int(begins.max()) + windows.lags + windows.horizon
    if high - low <= grid.size:
        return beside.calendar(step, np.arange(low, high)), pl.Series((begins - low).astype(grid.cells.dtype))
    ends = grid.first + grid.lengths
    shift = np.repeat(grid.positions - grid.first, np.diff(np.r_[0, ends]))
    return beside.calendar(step, np.arange(grid.size) + shift), number


def _repeated(cells: pl.Series, owners: Owners) -> pl.Series:
    """The cell of each window's series; few texts as numbers, as each stands in thousands of windows."""
    if cells.dtype == pl.String and cells.n_unique() <= FEW * len(owners):
        cells = cells.cast(pl.Enum(cells.drop_nulls().unique().sort()))
    return cells[owners]


def _wide(steps: Values, length: int) -> NDArray[Any]:
    """(windows, length, channels): a view."""
    return sliding_window_view(steps, length, axis=0).swapaxes(1, 2)


def _ranks(times: pl.Series) -> Rows:
    return times.rank("dense").to_numpy().astype(np.int64)


def _refuse_none(raw: Raw, grid: Grid, windows: Windows) -> None:
    longest = int(grid.lengths.argmax())
    steps = counted(int(grid.lengths[longest]), "step")
    row = int(np.searchsorted(grid.owners, grid.series[longest]))
    name = "" if raw.owners is None else f" ({raw.owners.name} {raw.owners[row]})"
    if grid.lengths[longest] > windows.horizon:
        problem = f"no window of the {steps} of the longest unbroken series{name} has half of its values"
        raise DataError(problem, remedy="fill in the target, or choose a shorter horizon (--task forecasting:12).")
    raise DataError(
        f"the longest unbroken series{name} has {steps}, but a window takes a past and {windows.horizon} next steps",
        remedy="choose a shorter horizon (--task forecasting:12), or give more rows.",
    )
