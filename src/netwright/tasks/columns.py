"""Columns beside the targets of a forecast: seen in the past, known ahead, of a whole series, or of the calendar."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import polars as pl

from netwright.kinds.cells import is_single, names, words
from netwright.kinds.number import Number, as_numbers
from netwright.models.history import Role
from netwright.records.errors import DataError, Unreadable, counted, listed
from netwright.records.frames import Raw
from netwright.records.schema import Field
from netwright.tasks.clock import DAY, Mask, Rows, Step
from netwright.tasks.grid import Owners, Placed, Values

AHEAD: tuple[Role, ...] = ("others", "known", "calendar")  # inputs of steps beside the past
MOST_LABELS = 30  # values of a column that become channels: more are texts, or names that say little of a step
YEAR = 365.2425 * DAY
CYCLES = {"time of day": DAY, "day of week": 7 * DAY, "day of year": YEAR}  # seconds
LEAST_STEPS = 2  # of a cycle: a finer cycle has one phase
LEAST_CYCLES = 2  # in the data: below that a phase says nothing that comes back
FIRST_DAY = 3  # of 1970: a Thursday


@final
@dataclass(frozen=True)
class Beside:
    """Columns beside the targets, and the cycles of the calendar."""

    others: tuple[str, ...] = ()  # only their past is seen
    known: tuple[str, ...] = ()  # known ahead
    static: tuple[str, ...] = ()  # one value for each series
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()  # columns of labels, and their values: a channel for each
    cycles: tuple[str, ...] = ()  # keys of CYCLES: two channels for each

    @classmethod
    def chosen(cls, raw: Raw, placed: Placed) -> tuple[Self, tuple[str, ...]]:
        """As the cells suggest, and notes. Raises DataError for a column that is said to be known and cannot be."""
        said = raw.source.known
        if bad := [name for name in said if name not in raw.table.columns or name in raw.targets]:
            problem = f"{bad[0]!r} is not a column beside the target, so it cannot be known ahead"
            raise DataError(problem, remedy="leave it out of --known.")
        found, left, labels = {role: list[str]() for role in ("others", "known", "static")}, list[str](), list[str]()
        for name in raw.table.columns:
            if name in raw.targets:
                continue
            role, why = _role(raw.table[name], raw.source.kinds.get(name, ""), placed.series, name in said)
            if why == "labels":
                labels.append(name)
            if role:
                found[role].append(name)
            else:
                left.append(f"{name} ({why})")
        others, known, static = (tuple(found[role]) for role in ("others", "known", "static"))
        values = tuple((name, tuple(names(raw.table[name]).drop_nulls().unique().sort())) for name in labels)
        beside = cls(others, known, static, values, _cycles(placed))
        notes = [beside.told()] if beside != cls() else []
        return beside, (*notes, *([f"left out: {listed(left)}"] if left else []))

    def told(self) -> str:
        """`seen beside the target: price (known ahead), city (of a series), the past of rain; day of week`."""
        parts = (("the past of ", self.others), ("known ahead: ", self.known), ("of each series: ", self.static))
        words = [what + listed(columns) for what, columns in (*parts, ("", self.cycles)) if columns]
        return f"seen beside the past of the target: {'; '.join(words)}"

    def channels(self, columns: Sequence[str]) -> tuple[str, ...]:
        """The names of the channels of some columns."""
        values = dict(self.labels)
        return tuple(
            channel
            for name in columns
            for channel in ([f"{name} is {value}" for value in values[name]] if name in values else [name])
        )

    def read(self, raw: Raw, columns: Sequence[str]) -> Iterator[Values]:
        """For each channel of some columns its number in each row, NaN if missing. Raises DataError for a lost column.

        A label that training did not have is 0 in all channels of its column.
        """
        values = dict(self.labels)
        for name in columns:
            cells = column(raw, name, "give it as in training.")
            if name not in values:
                yield _finite(as_numbers(cells))
                continue
            texts = names(cells)
            for value in values[name]:
                yield _finite((texts == value).cast(pl.Float32))

    def statics(self, raw: Raw, series: Owners) -> dict[str, pl.Series]:
        """The first known value of each series."""
        found = dict[str, pl.Series]()
        starts = np.flatnonzero(np.diff(series, prepend=-1))
        for name in self.static:
            cells = column(raw, name, "give it as in training.")
            is_known = cells.is_not_null().to_numpy()
            if cells.dtype.is_float():
                is_known = is_known & cells.is_not_nan().fill_null(False).to_numpy()
            first = np.minimum.reduceat(np.where(is_known, np.arange(len(cells)), len(cells)), starts)
            found[name] = cells[np.where(first < len(cells), first, starts)]  # of a series without a value: null
        return found

    def calendar(self, step: Step, positions: Rows) -> Values:
        """(steps, 2 cycles): sine and cosine in turn."""
        moments = step.moments(positions)
        seconds, days = moments.astype(np.int64), moments.astype("datetime64[D]")
        phases = {
            "time of day": seconds % DAY / DAY,
            "day of week": (days.astype(np.int64) + FIRST_DAY) % 7 / 7,
            "day of year": (days - days.astype("datetime64[Y]")).astype(np.int64) * DAY / YEAR,
        }
        angles = [2 * np.pi * phases[cycle] for cycle in self.cycles]
        waves = [wave(angle).astype(np.float32) for angle in angles for wave in (np.sin, np.cos)]
        return np.stack(waves, 1)


ALONE = Beside()  # only the targets' own past is seen


def input_name(role: Role, targets: Sequence[str], columns: Sequence[str]) -> str:
    """The name of the input with this role, in a table with these columns."""
    return f"{role} of {targets[0]}" if role in (*targets, *columns) else role


def role_of(field: Field, targets: Sequence[str]) -> Role:
    """Of an input, by its name."""
    if field.family != "steps":
        return "static"
    for role in AHEAD:
        if field.name == role or (targets and field.name == f"{role} of {targets[0]}"):
            return role
    return "past"


def targets_of(raw: Raw, columns: Sequence[str]) -> tuple[list[Values], tuple[str, ...]]:
    """Numbers of each target, NaN if missing, and a note about those.

    Raises Unreadable for text that is no number, and DataError for a column that is missing or has no number.
    """
    if not columns:
        raise DataError("forecasting needs a target", remedy="name the column to forecast (--target).")
    found, notes = list[Values](), list[str]()
    for name in columns:
        cells = column(raw, name, "give the past of all targets.")
        numbers = as_numbers(cells)
        if cells.dtype == pl.String:
            lost = numbers.is_null() & words(cells).is_not_null()
            if lost.any():
                bad = {int(row): repr(cells[int(row)]) for row in lost.arg_true()}
                told = f"{counted(len(bad), 'cell')} of {name!r} not a number, the first is {bad[min(bad)]}"
                few = "correct these cells, or leave them empty."
                remedy = few if numbers.count() else "choose a target that holds numbers (--target)."
                raise Unreadable(told, remedy, (), bad)
        found.append(_finite(numbers))
        if missing := int(np.isnan(found[-1]).sum()):
            notes.append(f"{name}: {missing:,} of {counted(len(cells), 'value')} missing")
    return found, tuple(notes)


def column(raw: Raw, name: str, remedy: str) -> pl.Series:
    """Raises DataError if the data lack it."""
    if name not in raw.table.columns:
        raise DataError(f"the data have no column {name!r}", remedy=remedy)
    return raw.table[name]


def _finite(numbers: pl.Series) -> Values:
    values = numbers.cast(pl.Float32).to_numpy(writable=True)
    np.copyto(values, np.nan, where=np.isinf(values))
    return values


def _role(cells: pl.Series, said: str, series: Owners, is_known: bool) -> tuple[str, str]:
    """The role of a column, "" if it has none; and "labels" or why it has none."""
    said = said.partition(":")[0]
    is_number = said == "number" or (not said and (cells.dtype == pl.Boolean or Number.matches(cells)))
    why = ""
    if not is_single(cells) or cells.dtype == pl.Object:
        why = "no single values"
    elif not _varies(cells, series):
        return ("static", "") if series[-1] > 0 else ("", "never changes")
    elif not is_number:
        few = not cells.dtype.is_temporal() and names(cells).n_unique() <= MOST_LABELS + 1  # one may be "missing"
        why = "labels" if few and said in ("", "category") else "neither numbers nor few labels"
    elif not is_known and _counts_rows(cells, series):
        why = "counts the rows"
    if why not in ("", "labels"):
        if is_known:
            problem = f"column {cells.name!r} cannot be known ahead: it holds {why}"
            raise DataError(problem, remedy="leave it out of --known.")
        return "", why
    return "known" if is_known else "others", why


def _varies(cells: pl.Series, series: Owners) -> bool:
    """Whether a series has more than one value."""
    cells = cells.fill_nan(None) if cells.dtype.is_float() else cells
    known = cells.is_not_null()
    some, owners = cells.filter(known), series[known.to_numpy()]
    other = (some != some.shift(1)).fill_null(False).to_numpy()
    return bool((other & _same_as_before(owners)).any())


def _counts_rows(cells: pl.Series, series: Owners) -> bool:
    """Whether whole numbers rise by one from row to row of each series."""
    if not cells.dtype.is_integer() or cells.null_count():
        return False
    return bool((cells.diff().to_numpy()[1:] == 1)[_same_as_before(series)[1:]].all())


def _same_as_before(owners: Owners) -> Mask:
    return np.diff(owners, prepend=-1) == 0


def _cycles(placed: Placed) -> tuple[str, ...]:
    """Those that the steps resolve and the data repeat."""
    step = placed.step
    if not step.is_calendar:
        return ()
    span = float(placed.positions.max() - placed.positions.min()) * step.seconds
    return tuple(
        name
        for name, cycle in CYCLES.items()
        if step.seconds * LEAST_STEPS <= cycle * (1 + 1e-3) and span >= LEAST_CYCLES * cycle
    )
