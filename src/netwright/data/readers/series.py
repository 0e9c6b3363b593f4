"""Series in long format: many rows of a table make one example."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.table import read_table, require_column
from netwright.data.times import as_times
from netwright.kinds.cells import present
from netwright.kinds.number import Number, as_numbers
from netwright.records.errors import DataError, counted, listed
from netwright.records.source import Source

SERIES = "series"  # the column that holds each example's channels
TIMES, ID = "\0times", "\0id"  # names that no column has


def read_series(source: Source) -> Dataset:
    """A row for each series: column "series" holds a list of values for each channel, ordered by time.

    Columns of numbers are channels. Other columns that never change within a series, and the target, become ordinary
    columns, as do those of the second table (`source.labels`), which has a row for each series.
    """
    rows = without(read_table(source), source.drop)
    for name, what in ((source.series, "series"), *(((source.time, "time"),) if source.time else ())):
        require_column(rows, name, what)
    rows = _ordered(rows, source)
    channels, fixed, notes = _roles(rows, source)
    rows, unread = _measured(rows, channels)
    values = pl.col(channels).cast(pl.Float32)
    if source.time:
        values = values.sort_by(source.time, maintain_order=True)
    times = [pl.col(source.time).to_physical().cast(pl.Float64).sort().alias(TIMES)] if source.time else []
    groups = rows.table.group_by(source.series, maintain_order=True).agg(values, pl.col(fixed).first(), *times)
    table = groups.select(source.series, pl.struct(channels).alias(SERIES), *fixed)
    notes = (*rows.notes, *notes, *unread)
    if source.labels:
        labels = without(read_table(replace(source, data=source.labels)), source.drop)
        table, more = _with_labels(table, labels, source)
        notes += more
    places = pl.Series("place", [f"{source.data}, {source.series} {cell}" for cell in table[source.series]], pl.String)
    return Dataset(
        table.drop(source.series), (), str(source.data), places, kinds={SERIES: "series"}, notes=notes,
        times=groups[TIMES] if source.time else None,
    )  # fmt: skip


def without(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    """The data without the columns to drop, if this table has them."""
    return replace(dataset, table=dataset.table.drop(names, strict=False))


def _ordered(rows: Dataset, source: Source) -> Dataset:
    """The rows that have a series and a time, with sortable times."""
    wanted = [source.series, *([source.time] if source.time else [])]
    lost = rows.table.select(pl.any_horizontal(pl.col(wanted).is_null())).to_series()
    if lost.any():
        text = f"{counted(int(lost.sum()), 'row')} without {' or '.join(wanted)} left out"
        rows = rows.keep(~lost, f"{text}, the first is {rows.locate(lost.arg_max() or 0)}")
    if not source.time:
        return rows
    table = rows.table.with_columns(as_times(rows, source.time))
    twice = table.select(wanted).is_duplicated()
    note = f"{counted(int(twice.sum()), 'row')} with the same {source.time} as another row of the series, kept in "
    note += f"the order of the file, the first is {rows.locate(twice.arg_max() or 0)}" if twice.any() else ""
    return replace(rows, table=table, notes=(*rows.notes, *((note,) if twice.any() else ())))


def _measured(rows: Dataset, channels: list[str]) -> tuple[Dataset, tuple[str, ...]]:
    """The rows with channels as numbers, and a note for each with cells that are not."""
    notes, columns = list[str](), list[pl.Series]()
    for cells in rows.table.select(channels).iter_columns():
        columns.append(as_numbers(cells).alias(cells.name))
        unread = columns[-1].is_null() & present(cells)
        if unread.any():
            row = unread.arg_max() or 0
            told = f"{counted(int(unread.sum()), 'cell')} of {cells.name!r} not a number, read as missing"
            notes.append(f"{told}, the first is {rows.locate(row)}: {cells[row]!r}")
    return replace(rows, table=rows.table.with_columns(columns)), tuple(notes)


def _roles(rows: Dataset, source: Source) -> tuple[list[str], list[str], tuple[str, ...]]:
    """The columns of channels, the ordinary columns, and a note about those that are neither."""
    ordinary = {*source.target, source.split} & set(rows.table.columns)
    others = [c for c in rows.table.columns if c not in (source.series, source.time, *ordinary)]
    channels = [name for name in others if Number.matches(rows.table[name])]
    if not channels:
        problem = f"{rows.origin} has no column of numbers besides {source.series!r}"
        raise DataError(problem, remedy="name the column that identifies the series, and the column of times.")
    counts = rows.table.group_by(source.series).agg(pl.all().exclude(channels).n_unique())
    changing = [name for name in (*ordinary, *others) if name in counts.columns and counts[name].max() != 1]
    for name in changing:
        if name in ordinary:
            series = counts.filter(pl.col(name) != 1)[source.series][0]
            problem = f"{name!r} changes within {source.series} {series} of {Path(rows.origin).name}"
            raise DataError(problem, remedy="give each series one value.")
    note = f"columns of words that change within a series are left out: {listed(changing)}"
    fixed = [name for name in rows.table.columns if name in (*ordinary, *others) and name not in (*channels, *changing)]
    return channels, fixed, (note,) if changing else ()


def _with_labels(
    table: pl.DataFrame, labels: Dataset, source: Source
) -> tuple[pl.DataFrame, tuple[str, ...]]:  # fmt: skip
    """The labels' columns joined to the series. A label without a series is counted; a series without one is kept."""
    require_column(labels, source.series, "series")
    key, file = source.series, Path(labels.origin).name
    twice = labels.table[key].is_duplicated()
    if twice.any():
        where = [labels.locate(row) for row in twice.arg_true()[:2]]
        problem = f"{file} has {key} {labels.table[key][twice.arg_max() or 0]} twice: {where[0]} and {where[1]}"
        raise DataError(problem, remedy="give each series one row.")
    right, left = (
        labels.table.with_columns(pl.col(key).cast(pl.String)),
        table.with_columns(pl.col(key).cast(pl.String)),
    )
    same = [name for name in right.columns if name != key and name in left.columns]
    if same:
        raise DataError(f"both tables have a column {same[0]!r}", remedy="rename one of them or drop it.")
    lonely, ids = right.join(left, on=key, how="anti"), pl.col(key)
    if len(lonely) and _are_plain(left[key]) and _are_plain(right[key]):
        ids = ids.str.replace(r"^0+(\d)", "$1")
    left, right = left.with_columns(ids.alias(ID)), right.with_columns(ids.alias(ID))
    lonely = right.join(left, on=ID, how="anti")
    if len(lonely) == len(right):
        problem = f"no {key} of {file} is one of the series: {right[key][0]!r} there, {left[key][0]!r} among the series"
        raise DataError(problem, remedy=f"write each {key} in one way in both tables.")
    note = f"{counted(len(lonely), 'label')} of {file} without a series left out, the first is {key} "
    joined = left.join(right.drop(key), on=ID, how="left", maintain_order="left").drop(ID)
    return joined, (f"{note}{lonely[key][0]}",) if len(lonely) else ()


def _are_plain(ids: pl.Series) -> bool:
    """Whether ids are digits that leading zeros do not tell apart: 001 is 1."""
    return bool(ids.str.contains(r"^\d+$").all()) and ids.str.strip_chars_start("0").n_unique() == ids.n_unique()
