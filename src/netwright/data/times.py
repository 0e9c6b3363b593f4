"""Columns that order rows: numbers, dates, or text that holds them."""

from pathlib import Path

import polars as pl

from netwright.data.dataset import Dataset
from netwright.kinds.cells import words
from netwright.kinds.date import Date
from netwright.records.errors import DataError


def as_times(dataset: Dataset, name: str) -> pl.Series:
    """The column as numbers or datetimes that sort by time, null if missing. Raises DataError for other text."""
    column = dataset.table[name]
    if column.dtype.is_integer() and Date.matches(column):  # 20240131
        return Date.learn(name, column).moments(column)
    if column.dtype.is_numeric() or column.dtype.is_temporal():
        return column
    cells = words(column.cast(pl.String, strict=False))
    times = Date.learn(name, cells).moments(cells) if Date.matches(cells) else cells.cast(pl.Float64, strict=False)
    bad = times.is_null() & cells.is_not_null()
    if bad.any():
        row = bad.arg_max() or 0
        problem = f"{Path(dataset.origin).name}: column {name!r} has neither numbers nor dates in one format"
        raise DataError(f"{problem}, as in {column[row]!r} ({dataset.locate(row)})", remedy="choose a column of times.")
    return times
