"""Rows sorted by owner and time, and cut into the examples of a task."""

from dataclasses import replace

import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.table import require_column
from netwright.data.times import as_times, way_of_dates
from netwright.records.errors import DataError, Unreadable, counted, listed
from netwright.records.frames import Raw
from netwright.records.source import Source
from netwright.records.task import Task
from netwright.resolve import with_detail
from netwright.tasks import TASKS

SHOWN = 2  # places that an error names


def cuts_rows(source: Source) -> bool:
    """Whether the task that the user named cuts examples from rows."""
    return source.task is not None and bool(with_detail("task", source.task, TASKS, Task)[0].cuts_rows)


def framed(dataset: Dataset, source: Source) -> Dataset:
    """The examples that the task cuts rows into; the same data if it cuts none.

    Raises DataError for rows without an owner or a time, and for rows that the task cannot cut.
    """
    if source.task is None or dataset.spans is not None:
        return dataset
    task, detail = with_detail("task", source.task, TASKS, Task)
    raw = Raw(dataset.table, dataset.targets, source=source)
    if task.cuts_rows:
        dataset, raw = _sorted(dataset, source, getattr(source, task.owner))
    try:
        frames = task.frame(raw, detail) if isinstance(task, type) else task.frame_again(raw)
    except Unreadable as error:
        places = listed([dataset.locate(row) for row in sorted(error.bad)[:SHOWN]])
        raise DataError(f"{error.problem} ({places})", remedy=error.remedy) from None
    return dataset if frames is None else dataset.framed(frames, raw)


def _sorted(dataset: Dataset, source: Source, owner: str) -> tuple[Dataset, Raw]:
    """The data by owner, then by time, and the same as the task sees them."""
    if source.group or source.by_time:
        problem = "this task cuts examples from rows, and splits them itself"
        raise DataError(problem, remedy="leave out group and by_time, or name the parts in a column (--split).")
    said = {"owner": owner, "time": source.time, "item": source.item, "rating": source.rating}
    for what, name in (*said.items(), *(("known", name) for name in source.known if source.is_labelled)):
        if name:
            require_column(dataset, name, "column" if what == "owner" else f"{what} column")
    if both := [name for name in dataset.targets if name in (owner, source.time)]:
        what = "orders the rows in time" if both[0] == source.time else "says whose each row is"
        raise DataError(f"{both[0]!r} {what}, so it is no target", remedy="choose another one (--target).")
    dataset, times = _timed(dataset, source.time)
    if owner:
        _refuse_missing(dataset, owner, dataset.table[owner])
    keys = [pl.Series(dataset.table[owner].rank("dense"))] if owner else []
    keys += [] if times is None else [times]
    by = pl.DataFrame([key.alias(str(number)) for number, key in enumerate(keys)])
    order = by.select(pl.arg_sort_by(*by.columns, maintain_order=True)).to_series() if keys else pl.Series()
    if not order.is_sorted():
        places = pl.int_range(len(dataset), eager=True) if dataset.places is None else dataset.places
        dataset = replace(
            dataset,
            table=dataset.table[order],
            places=places[order].alias("row"),
            unit="row" if dataset.places is None else dataset.unit,
            parts=None if dataset.parts is None else dataset.parts[order],
        )
        times = None if times is None else times[order]
    table = dataset.table.drop(name for name in (owner, source.time) if name)
    owners = dataset.table[owner] if owner else None
    times = None if times is None else times.alias(source.time)
    return dataset, Raw(table, dataset.targets, owners, times, source, dataset.parts)


def _timed(dataset: Dataset, name: str) -> tuple[Dataset, pl.Series | None]:
    """The times of the rows if a column is named; the dataset knows how they were read."""
    if not name:
        return dataset, None
    times = as_times(dataset, name)
    _refuse_missing(dataset, name, times)
    way, note = way_of_dates(dataset, name)
    kinds = {**dataset.kinds, **({name: way} if way else {})}
    return replace(dataset, kinds=kinds, notes=(*dataset.notes, *([note] if note else []))), times


def _refuse_missing(dataset: Dataset, name: str, cells: pl.Series) -> None:
    lost = cells.is_null()
    if lost.any():
        problem = (
            f"{counted(int(lost.sum()), 'row')} without a {name!r}, the first is {dataset.locate(lost.arg_max() or 0)}"
        )
        raise DataError(problem, remedy="fill it in, or leave these rows out.")
