"""Columns that order rows: numbers, dates, seconds since 1970, or text that holds them."""

from dataclasses import replace
from datetime import time
from pathlib import Path

import polars as pl

from netwright.data.dataset import Dataset
from netwright.kinds.cells import sample, words
from netwright.kinds.date import SWAPPED, Date
from netwright.records.errors import DataError, counted, listed

YEAR_1990, YEAR_2100 = 631_152_000, 4_102_444_800  # seconds since 1970: other numbers count something else
IN_A_SECOND = 1, 1_000, 1_000_000, 1_000_000_000  # units of time in which computers count
FIRST_MONTH, LAST_MONTH = 1800_01, 2100_12  # 202401 is January 2024
TWINS = {**SWAPPED, **{swapped: written for written, swapped in SWAPPED.items()}}

_OFFSET = r"(?i)(:\d{2}(?:[.,]\d+)?)\s*(?:z|utc|[+-]\d{2}:?(?:\d{2})?)$"


def as_times(dataset: Dataset, name: str) -> pl.Series:
    """The column as numbers or datetimes that sort by time, null if missing. Raises DataError for other text.

    Times with an offset from UTC become those of UTC, unless all are midnights of some zone: then they are its days.
    Dates that can be read day first or month first are read as the column's kind says, if it is `date:%d-%m-%Y`.
    """
    column = dataset.table[name]
    if column.dtype == pl.Datetime:
        return column.dt.replace_time_zone(None) if _are_midnights(column) else column
    if column.dtype.is_temporal():
        return column
    if column.dtype.is_numeric():
        field = Date.learn(name, column) if column.dtype.is_integer() and Date.matches(column) else None  # 20240131
        return _of_numbers(column) if field is None else field.moments(column)
    cells = words(column.cast(pl.String, strict=False))
    field = _field(dataset, name, cells)
    times = cells.cast(pl.Float64, strict=False) if field is None else _moments(field, cells)
    bad = times.is_null() & cells.is_not_null()
    if bad.any():
        first = f"{column[row := bad.arg_max() or 0]!r} ({dataset.locate(row)})"
        file = Path(dataset.origin).name
        if field is not None:
            problem = f"{file}: {counted(int(bad.sum()), 'cell')} of {name!r} not a time like the others, as in {first}"
            raise DataError(problem, remedy="correct these cells, or leave their rows out.")
        raise DataError(
            f"{file}: column {name!r} has neither numbers nor dates in one format, as in {first}",
            remedy="write times like 2024-01-31 or 2024-01-31 15:00, or as numbers that rise.",
        )
    return _of_numbers(times) if field is None else times


def way_of_dates(dataset: Dataset, name: str) -> tuple[str, str]:
    """If dates can be read day first or month first: a kind with which later rows are read alike, and a note.

    The note is empty if these cells leave no doubt.
    """
    column = dataset.table[name]
    field = _field(dataset, name, words(column)) if column.dtype == pl.String else None
    if field is None or field.format not in TWINS:
        return "", ""
    other = TWINS[field.format]
    note = f"{name}: read as {_said(field.format)}, which is a guess; --kind {name}=date:{other} reads {_said(other)}"
    return f"date:{field.format}", "" if field.is_certain else note


def with_joined_time(dataset: Dataset, name: str) -> Dataset:
    """A table with one column of times, named `date,hour`, in place of these columns; the same if one has this name.

    They are a date and a time of day or numbers of hour, minute and second; or numbers from the year on.
    """
    parts = [part.strip() for part in name.split(",")]
    columns = dataset.table.columns
    if len(parts) < 2 or name in columns or not all(part in columns for part in parts):
        return dataset
    cells = [dataset.table[part] for part in parts]
    days = 3 if cells[0].dtype.is_integer() and not Date.matches(cells[0]) else 1
    joined, clock = _joined(cells[:days], "-"), cells[days:]
    if clock:
        joined += " " + _joined(clock, ":") + (":00" if len(clock) == 1 and clock[0].dtype.is_integer() else "")
    table = dataset.table.with_columns(joined.alias(name)).drop(parts)
    return replace(dataset, table=table, notes=(*dataset.notes, f"{name}: a time joined from {listed(parts)}"))


def _joined(parts: list[pl.Series], sign: str) -> pl.Series:
    texts = [
        part.cast(pl.String).str.zfill(2) if part.dtype.is_integer() else part.cast(pl.String, strict=False)
        for part in (one.dt.date() if one.dtype == pl.Datetime else one for one in parts)
    ]
    return (
        pl.DataFrame([text.alias(str(k)) for k, text in enumerate(texts)])
        .select(pl.concat_str(pl.all(), separator=sign))
        .to_series()
    )


def _field(dataset: Dataset, name: str, cells: pl.Series) -> Date | None:
    """How a column of text writes dates; None if it does not."""
    kind, _, detail = dataset.kinds.get(name, "").partition(":")
    return Date.learn(name, sample(cells), detail if kind == Date.kind else "") if Date.matches(cells) else None


def _said(written: str) -> str:
    return "the day first" if written.startswith("%d") else "the month first"


def _moments(field: Date, cells: pl.Series) -> pl.Series:
    """Datetimes, of UTC if there are offsets from it; days if all are midnights of some zone."""
    if not cells.str.contains(_OFFSET).any():
        return field.moments(cells)
    local = field.moments(cells.str.replace(_OFFSET, "$1"))
    return local if _are_midnights(local) else field.moments(cells).dt.replace_time_zone("UTC")


def _are_midnights(times: pl.Series) -> bool:
    return bool((times.dt.time() == time()).all())


def _of_numbers(numbers: pl.Series) -> pl.Series:
    """Datetimes if all numbers are seconds, milliseconds, ... since 1970, or months like 202401; else the numbers."""
    low, high = numbers.min(), numbers.max()
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return numbers
    for unit in IN_A_SECOND:
        if YEAR_1990 * unit <= low and high < YEAR_2100 * unit:
            return (numbers.cast(pl.Float64) * (1e6 / unit)).round().cast(pl.Int64).cast(pl.Datetime("us"))
    if numbers.dtype.is_integer() and low >= FIRST_MONTH and high <= LAST_MONTH:
        months = (numbers.cast(pl.String) + "01").str.to_date("%Y%m%d", strict=False)
        return numbers if months.null_count() > numbers.null_count() else months
    return numbers
