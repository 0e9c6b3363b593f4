"""Rows sorted by series and time, and cut into the examples of a task."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.table import require_column
from netwright.data.times import as_times
from netwright.records.errors import DataError, Unreadable, counted
from netwright.records.frames import Raw
from netwright.records.source import Source
from netwright.records.task import Task
from netwright.resolve import with_detail
from netwright.tasks import TASKS


def cuts_rows(source: Source) -> bool:
    """Whether the task that the user named cuts examples from rows."""
    return source.task is not None and bool(with_detail("task", source.task, TASKS, Task)[0].cuts_rows)


def framed(dataset: Dataset, source: Source) -> Dataset:
    """The examples that the task cuts rows into; the same data if it cuts none.

    Raises DataError for rows without a series or a time, and for two rows of a series at the same time.
    """
    if source.task is None or dataset.spans is not None:
        return dataset
    task, detail = with_detail("task", source.task, TASKS, Task)
    raw = Raw(dataset.table, dataset.targets)
    if task.cuts_rows:
        dataset, raw = _sorted(dataset, source)
    try:
        frames = task.frame(raw, detail) if isinstance(task, type) else task.frame_again(raw)
    except Unreadable as error:
        raise DataError(f"{error.problem} ({dataset.locate(min(error.bad))})", remedy=error.remedy) from None
    return dataset if frames is None else dataset.framed(frames)


def _sorted(dataset: Dataset, source: Source) -> tuple[Dataset, Raw]:
    """The data by series, then by time, and the same as the task sees them."""
    if source.group or source.by_time:
        problem = "this task cuts windows from rows, and windows are always split by time"
        raise DataError(problem, remedy="leave out group and by_time, or name the parts in a column (--split).")
    for name, what in ((source.series, "series"), (source.time, "time")):
        if name:
            require_column(dataset, name, what)
            _refuse_missing(dataset, name)
    keys = dict[str, pl.Series]()
    if source.series:
        keys["series"] = dataset.table[source.series].rank("dense")
    if source.time:
        keys["time"] = as_times(dataset, source.time)
        _refuse_one(dataset, keys["time"], source.time)
    if not keys:
        return dataset, Raw(dataset.table, dataset.targets)
    order = pl.DataFrame(keys).select(pl.arg_sort_by(*keys, maintain_order=True)).to_series()
    counted_rows = pl.Series("row", range(len(dataset)), pl.Int64)
    dataset = replace(
        dataset,
        table=dataset.table[order],
        places=(counted_rows if dataset.places is None else dataset.places)[order],
        unit="row" if dataset.places is None else dataset.unit,
        parts=None if dataset.parts is None else dataset.parts[order],
    )
    sorted_keys = pl.DataFrame(keys)[order]
    if source.time:
        _refuse_twice(dataset, source, sorted_keys)
    columns = dataset.table.drop(name for name in (source.series, source.time) if name)
    series = dataset.table[source.series] if source.series else None
    times = sorted_keys["time"].alias(source.time) if source.time else None
    return dataset, Raw(columns, dataset.targets, series, times)


def _refuse_missing(dataset: Dataset, name: str) -> None:
    lost = dataset.table[name].is_null()
    if lost.any():
        problem = (
            f"{counted(int(lost.sum()), 'row')} without a {name!r}, the first is {dataset.locate(lost.arg_max() or 0)}"
        )
        raise DataError(problem, remedy="fill it in, or leave these rows out.")


def _refuse_one(dataset: Dataset, times: pl.Series, name: str) -> None:
    if times.n_unique() == 1:
        problem = f"{Path(dataset.origin).name}: {name!r} is {dataset.table[name][0]} in every row"
        raise DataError(problem, remedy="choose a column that orders the rows in time.")


def _refuse_twice(dataset: Dataset, source: Source, keys: pl.DataFrame) -> None:
    """Raises DataError if two rows that follow each other have the same series and time."""
    same = keys.select(pl.all_horizontal(pl.all() == pl.all().shift(1))).to_series().fill_null(False)
    if not same.any():
        return
    row = same.arg_max() or 0
    of = f" of {source.series} {dataset.table[source.series][row]}" if source.series else ""
    when, where = dataset.table[source.time][row], f"{dataset.locate(row - 1)} and {dataset.locate(row)}"
    remedy = "give each time one row" + ("." if source.series else ", or name the column of series (--series).")
    raise DataError(f"two rows{of} have the {source.time} {when}: {where}", remedy=remedy)
