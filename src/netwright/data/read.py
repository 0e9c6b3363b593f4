"""The one entry for all data: a path, or objects in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from netwright.data.cut import cuts_rows, framed
from netwright.data.dataset import Dataset
from netwright.data.readers import READERS
from netwright.data.readers.files import require_narrow, suffix_of
from netwright.data.readers.folder import PART_NAMES, TEXTS, UNLABELLED, read_files, unlabelled
from netwright.data.readers.idx import holds_idx
from netwright.data.readers.memory import read_memory
from netwright.data.readers.table import IMAGES, ROWS, TABLES, read_table_chunks, require_column, typed_column
from netwright.data.times import with_joined_time
from netwright.records.errors import DataError, counted, listed
from netwright.records.options import existing, worded
from netwright.records.paths import spelled
from netwright.records.source import Source
from netwright.records.task import ROW
from netwright.resolve import resolve

Reader = Callable[[Source], Dataset]

NO_TARGET = ("", "?", "nan", "na", "n/a", "null")  # words for a missing target; "none" may be a class
ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst")  # .gz is read
FILES = 2_000  # files at once when a folder is read in pieces: 300 MB of pixels at 224 x 224


def read_source(source: Source, *, reader: str | Reader = "") -> Dataset:
    """Raw rows of a folder, a table, a text, or objects in memory.

    Without a `target`, the data's own label is used, if there is one (subfolders, `(X, y)`). `reader` overrides the
    choice by file type. Rows without a target are left out and counted.
    Raises DataError for data without rows, and for missing columns.
    """
    if source.labels:
        existing(source.labels)
    data = source.data
    if isinstance(data, Dataset):
        return framed(_finish(data, source), source)  # nested, so that rows are not kept beside the sorted ones
    if isinstance(data, str | Path):
        form = reader or _form(existing(data), source)
        return framed(_finish(resolve("reader", form, READERS)(source), source), source)
    return framed(_finish(read_files(source) if _are_files(data) else read_memory(source), source), source)


read = worded(read_source)


def read_unlabelled(source: Source, targets: Sequence[str]) -> Dataset:
    """The rows that `read` leaves out because they lack a target, without their targets.

    For a folder, the files in its subfolder `unlabeled`. Raises DataError if there are none.
    """
    data, source = source.data, replace(source, target=(), split="", is_labelled=False)
    if isinstance(data, str | Path) and _form(existing(data), source) == "folder":
        folders = unlabelled(Path(data)) if Path(data).is_dir() else []
        if not folders:
            remedy = f"put them into {Path(data) / UNLABELLED[0]}, next to the folders of labels."
            raise DataError(f"{data} has no folder of files without a label", remedy=remedy)
        return read_source(replace(source, data=folders[0]))
    whole = read_source(source)
    lost = _missing(whole, targets)
    if not lost.any():
        problem = f"{whole.origin} has no row without a {' or '.join(map(repr, targets))}"
        raise DataError(problem, remedy="leave the target empty in rows that have no label yet.")
    rows = whole.keep(lost, f"{counted(int(lost.sum()), 'row')} without a label")
    return replace(rows, table=rows.table.drop(targets))


def _are_files(data: Any) -> bool:  # Any: as in `read`
    """Whether a list names files: paths, or texts that end like image files."""
    if not isinstance(data, list) or not data:
        return False
    return all(isinstance(x, Path) or (isinstance(x, str) and x.lower().endswith(IMAGES)) for x in data)


def read_chunks(source: Source, rows: int = ROWS) -> Iterator[Dataset]:
    """New rows without targets, in pieces: tables of any size and folders of images in bounded memory."""
    data, source = source.data, replace(source, target=(), is_labelled=False)
    form = _form(existing(data), source) if isinstance(data, str | Path) else ""
    if cuts_rows(source):  # a piece of rows would end within an example
        whole = read_source(source)
        yield from (whole,) if len(whole) <= rows else _sliced(whole, rows)
    elif form == "table":
        yield from (framed(_finish(chunk, source), source) for chunk in read_table_chunks(source, rows))
    else:
        yield from _sliced(read_source(source), min(rows, FILES) if form == "folder" or _are_files(data) else rows)


def read_labelled_chunks(source: Source, rows: int = ROWS) -> Iterator[Dataset]:
    """Rows with their targets, as `read_source` gives them, in pieces: tables of any size, images in bounded memory.

    Examples that a task cut, or that are not independent, stay in one piece; if the task splits them itself, only those
    of the test part. The last piece of a table has the note of
    how many rows lack a target. Raises DataError as `read_source`.
    """
    data, lost, first, held = source.data, 0, "", None
    form = _form(existing(data), source) if isinstance(data, str | Path) else ""
    if cuts_rows(source):
        yield _tested(read_source(source))
        return
    if form != "table":
        yield from _labelled_slices(
            read_source(source), min(rows, FILES) if form == "folder" or _are_files(data) else rows
        )
        return
    for chunk in read_table_chunks(source, rows):
        missing = _missing(chunk, source.target)
        if missing.any():
            lost, first = lost + int(missing.sum()), first or chunk.locate(missing.arg_max() or 0)
            chunk = replace(chunk.keep(~missing, ""), notes=chunk.notes)
        if not len(chunk):
            continue
        if held is not None:
            yield held
        held = framed(_finish(chunk, source), source)
        if held.spans is not None:  # pieces would be cut elsewhere
            yield read_source(source)
            return
    if held is None:
        yield read_source(source)  # no row, or none with a target: it says so
        return
    note = f"{counted(lost, 'row')} without a {listed(source.target)} left out, the first is {first}"
    yield replace(held, notes=(*held.notes, note)) if lost else held


def _tested(dataset: Dataset) -> Dataset:
    """The examples to score, if the task itself says which."""
    if not dataset.are_apart or dataset.parts is None:
        return dataset
    return replace(dataset.keep(dataset.parts == "test", ""), notes=dataset.notes)


def _labelled_slices(dataset: Dataset, rows: int) -> Iterator[Dataset]:
    return iter((dataset,)) if dataset.spans is not None or dataset.groups is not None else _sliced(dataset, rows)


def _missing(dataset: Dataset, targets: Sequence[str]) -> pl.Series:
    """Which rows lack a target."""
    for name in targets:
        require_column(dataset, name, "target")
    lost = pl.DataFrame([_known(dataset.table[name])[1].rename(name) for name in targets])
    return (
        lost.select(pl.any_horizontal(pl.all())).to_series() if targets else pl.repeat(False, len(dataset), eager=True)
    )


def _form(path: Path, source: Source) -> str:
    """The key in READERS for a path."""
    suffix = suffix_of(path)
    if path.is_dir():
        return "idx" if holds_idx(path) else "folder"
    if source.series and not cuts_rows(source):
        return "series"
    if suffix in TABLES:
        return "table"
    if suffix in IMAGES:
        return "folder"
    if suffix in TEXTS:
        return "text"
    if suffix in ARCHIVES:
        problem = f"{spelled(path)} is an archive: it must be unpacked first"
        raise DataError(problem, remedy="unpack it, and give the folder or the file that was in it.")
    problem = f"cannot read {spelled(path)}: unknown file type"
    raise DataError(problem, remedy=f"give a folder, a table ({listed(TABLES)}), an image or a text (.txt).")


def _finish(dataset: Dataset, source: Source) -> Dataset:
    """Drops, parts and targets as the user asked, checked against the columns of the data."""
    require_narrow(dataset.origin, dataset.table.width)
    if not source.series or cuts_rows(source):
        for name in source.drop:
            require_column(dataset, name, "column to drop")
        dataset = replace(dataset, table=dataset.table.drop(source.drop))
    if cuts_rows(source):
        dataset = with_joined_time(dataset, source.time)
    if source.split:
        dataset = _parted(dataset, source.split)
    for name in source.target:
        require_column(dataset, name, "target")
    if source.target or not source.is_labelled:
        dataset = replace(dataset, targets=source.target)
    for name in source.kinds:
        require_column(dataset, name, "column")
    dataset = replace(dataset, kinds={**dataset.kinds, **source.kinds})
    for name in () if cuts_rows(source) else dataset.targets:  # a step without a target is still a step
        dataset = _with_target(dataset, name, is_typed=name not in source.as_written)
    return dataset


def _parted(dataset: Dataset, name: str) -> Dataset:
    require_column(dataset, name, "split column")
    words = dataset.table[name].cast(pl.String)
    parts = words.str.strip_chars().str.to_lowercase().replace_strict(PART_NAMES, default=None, return_dtype=pl.String)
    if parts.null_count():
        row = parts.is_null().arg_max() or 0
        problem = f"{dataset.locate(row)}: column {name!r} says {words[row]!r}"
        raise DataError(problem, remedy="write train, valid or test in every row of it.")
    return replace(dataset, table=dataset.table.drop(name), parts=parts.rename("part"))


def _with_target(dataset: Dataset, name: str, *, is_typed: bool) -> Dataset:
    """The rows that have a target: not missing, and finite if it is a number."""
    column, lost = _known(dataset.table[name], is_typed=is_typed)
    dataset = replace(dataset, table=dataset.table.with_columns(column))
    dataset = _without(dataset, lost, f"without a {name!r}")
    column = dataset.table[name]
    return _without(dataset, column.is_infinite(), f"with an infinite {name!r}") if column.dtype.is_float() else dataset


def _known(column: pl.Series, *, is_typed: bool = True) -> tuple[pl.Series, pl.Series]:
    """A target column, with words for "missing" made missing, then typed; and a mask of its missing rows."""
    if column.dtype == pl.String:
        missing = column.is_null() | column.str.strip_chars().str.to_lowercase().is_in(NO_TARGET)
        column = column.set(missing.fill_null(True), None)
        column = typed_column(column) if is_typed else column
    return column, column.is_null() | (column.is_nan() if column.dtype.is_float() else False)


def _without(dataset: Dataset, lost: pl.Series, why: str) -> Dataset:
    if not lost.any():
        return dataset
    if lost.all():
        problem = f"{Path(dataset.origin).name}: every row is {why}"
        raise DataError(problem, remedy="choose another target or fill it in.")
    first = dataset.locate(lost.arg_max() or 0)
    return dataset.keep(~lost, f"{counted(int(lost.sum()), 'row')} {why} left out, the first is {first}")


def _sliced(dataset: Dataset, rows: int) -> Iterator[Dataset]:
    for start in range(0, len(dataset), rows):
        places = pl.Series("row", range(len(dataset)), pl.Int64) if dataset.places is None else dataset.places
        unit = "row" if dataset.places is None else dataset.unit
        table, notes = dataset.table.slice(start, rows), dataset.notes if not start else ()
        names = None if dataset.names is None else _named(dataset.names, start, rows)
        yield replace(
            dataset, table=table, places=places.slice(start, rows), parts=None, notes=notes, unit=unit, times=None,
            spans=None, groups=None, order=None, names=names,
        )  # fmt: skip


def _named(names: pl.DataFrame, start: int, rows: int) -> pl.DataFrame:
    """The names of some examples, whose numbers begin at 0 again."""
    number = pl.col(ROW) - start
    return names.filter(number.is_between(0, rows - 1)).with_columns(number)
