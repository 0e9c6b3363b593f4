"""One entry for all data: a path of any form, or objects in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl

from netwright.data.dataset import Dataset, Request
from netwright.data.readers import READERS
from netwright.data.readers.files import counted, suffix_of
from netwright.data.readers.folder import PART_NAMES, TEXTS, UNLABELLED, read_files, unlabelled
from netwright.data.readers.idx import holds_idx
from netwright.data.readers.memory import read_memory
from netwright.data.readers.table import IMAGES, ROWS, TABLES, read_table_chunks, require_column, typed_column
from netwright.records.errors import DataError, listed
from netwright.resolve import resolve

Reader = Callable[[Path, Request], Dataset]
NO_TARGET = ("", "?", "nan", "na", "n/a", "null")  # words for a missing target; "none" may well be a class
FILES = 2_000  # files read at once when a folder is read in pieces: 300 MB of pixels at 224 x 224


def read(
    data: Any,  # Any: a path, or whatever the user holds in memory
    *,
    target: str | Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    split: str = "",
    series: str = "",
    time: str = "",
    labels: str | Path | None = None,
    drop: Sequence[str] = (),
    reader: str | Reader = "",
) -> Dataset:
    """Raw rows of a folder, a table, a text, or objects in memory.

    `target` empty takes the label that the data bring, where they do (subfolders, `(X, y)`). `split` names a column
    that says train, valid or test; `series` and `time` read a table in long format, with `labels` in a second one.
    `reader` overrules the choice by the form of the path. Rows without a target are left out and counted.
    Raises DataError for data that hold no rows, and for columns that are not there.
    """
    targets = (target,) if isinstance(target, str) else tuple(target)
    second = None if labels is None else _existing(labels)
    request = Request(targets, True, dict(kinds or {}), split, series, time, second, tuple(drop))
    return _read(data, request, reader)


def read_unlabelled(
    data: Any,  # Any: as in `read`
    targets: Sequence[str],
    *,
    kinds: Mapping[str, str] | None = None,
    series: str = "",
    time: str = "",
    labels: str | Path | None = None,
    drop: Sequence[str] = (),
) -> Dataset:
    """The rows that `read` leaves out because a target is missing, without their targets.

    Of a folder, the files in its subfolder `unlabeled`. Raises DataError where there are none.
    """
    second = None if labels is None else _existing(labels)
    request = Request((), False, dict(kinds or {}), "", series, time, second, tuple(drop))
    if isinstance(data, str | Path) and _form(_existing(data), request) == "folder":
        folders = unlabelled(Path(data)) if Path(data).is_dir() else []
        if not folders:
            remedy = f"put them into {Path(data) / UNLABELLED[0]}, beside the folders of labels."
            raise DataError(f"{data} has no folder of files without a label", remedy=remedy)
        return _read(folders[0], request, "")
    whole = _read(data, request, "")
    for name in targets:
        require_column(whole, name, "target")
    missing = pl.DataFrame([_known(whole.table[name])[1].rename(name) for name in targets])
    lost = missing.select(pl.any_horizontal(pl.all())).to_series()
    if not lost.any():
        problem = f"{whole.origin} has no row without a {' or '.join(map(repr, targets))}"
        raise DataError(problem, remedy="leave the target of the rows empty that have no label yet.")
    rows = whole.keep(lost, f"{counted(int(lost.sum()), 'row')} without a label")
    return replace(rows, table=rows.table.drop(targets))


def _read(data: Any, request: Request, reader: str | Reader) -> Dataset:
    if isinstance(data, Dataset):
        return _finish(data, request)
    if isinstance(data, str | Path):
        path = _existing(data)
        return _finish(resolve("reader", reader or _form(path, request), READERS)(path, request), request)
    if _are_files(data):
        return _finish(read_files([Path(path) for path in data], request), request)
    return _finish(read_memory(data, request), request)


def _are_files(data: Any) -> bool:  # Any: as in `read`
    """Whether a list names files: by paths, or by texts that end as images do."""
    if not isinstance(data, list) or not data:
        return False
    return all(isinstance(x, Path) or (isinstance(x, str) and x.lower().endswith(IMAGES)) for x in data)


def read_chunks(
    data: Any,  # Any: as in `read`
    *,
    kinds: Mapping[str, str] | None = None,
    series: str = "",
    time: str = "",
    drop: Sequence[str] = (),
    reader: str | Reader = "",
    rows: int = ROWS,
) -> Iterator[Dataset]:
    """New rows without targets, some at a time: tables of any size and folders of images in bounded memory."""
    request = Request((), False, dict(kinds or {}), "", series, time, None, tuple(drop))
    if not isinstance(data, str | Path) or reader:
        yield from _sliced(_read(data, request, reader), FILES if _are_files(data) else rows)
        return
    path = _existing(data)
    form = _form(path, request)
    if form == "table":
        yield from (_finish(chunk, request) for chunk in read_table_chunks(path, request, rows))
    else:
        whole = _finish(resolve("reader", form, READERS)(path, request), request)
        yield from _sliced(whole, min(rows, FILES) if form == "folder" else rows)


def _existing(data: str | Path) -> Path:
    path = Path(data)
    if path.exists():
        return path
    beside = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, n=1)
    remedy = f"did you mean {str(path.parent / near[0])!r}?" if near else "check the path."
    raise DataError(f"there is no file or folder {str(path)!r}", remedy=remedy)


def _form(path: Path, request: Request) -> str:
    """The key in READERS for a path."""
    suffix = suffix_of(path)
    if path.is_dir():
        return "idx" if holds_idx(path) else "folder"
    if request.series:
        return "series"
    if suffix in TABLES:
        return "table"
    if suffix in IMAGES:
        return "folder"
    if suffix in TEXTS:
        return "text"
    problem = f"{path} is of no form that can be read"
    raise DataError(problem, remedy=f"bring a folder, a table ({listed(TABLES)}), an image or a text (.txt).")


def _finish(dataset: Dataset, request: Request) -> Dataset:
    """Drops, parts and targets as the user asked, checked against the columns that came."""
    if not request.series:
        for name in request.drop:
            require_column(dataset, name, "column to drop")
        dataset = replace(dataset, table=dataset.table.drop(request.drop))
    if request.split:
        dataset = _parted(dataset, request.split)
    for name in request.target:
        require_column(dataset, name, "target")
    if request.target or not request.is_labelled:
        dataset = replace(dataset, targets=request.target)
    for name in request.kinds:
        require_column(dataset, name, "column")
    dataset = replace(dataset, kinds={**dataset.kinds, **request.kinds})
    for name in dataset.targets:
        dataset = _with_target(dataset, name)
    return dataset


def _parted(dataset: Dataset, name: str) -> Dataset:
    require_column(dataset, name, "split column")
    words = dataset.table[name].cast(pl.String)
    parts = words.str.strip_chars().str.to_lowercase().replace_strict(PART_NAMES, default=None, return_dtype=pl.String)
    if parts.null_count():
        row = parts.is_null().arg_max() or 0
        problem = f"{dataset.locate(row)}: column {name!r} says {words[row]!r}"
        raise DataError(problem, remedy="write train, valid or test into every row of it.")
    return replace(dataset, table=dataset.table.drop(name), parts=parts.rename("part"))


def _with_target(dataset: Dataset, name: str) -> Dataset:
    """The rows that have a target: not missing, and finite where it is a number."""
    column, lost = _known(dataset.table[name])
    dataset = replace(dataset, table=dataset.table.with_columns(column))
    dataset = _without(dataset, lost, f"without a {name!r}")
    column = dataset.table[name]
    return _without(dataset, column.is_infinite(), f"with an infinite {name!r}") if column.dtype.is_float() else dataset


def _known(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """A target column with words for "missing" missing and then typed, and where it is missing."""
    if column.dtype == pl.String:
        missing = column.is_null() | column.str.strip_chars().str.to_lowercase().is_in(NO_TARGET)
        column = typed_column(column.set(missing.fill_null(True), None))
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
        yield replace(
            dataset, table=table, places=places.slice(start, rows), parts=None, notes=notes, unit=unit, times=None
        )
