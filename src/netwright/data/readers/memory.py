"""Data in memory: arrays, tensors, frames of polars and pandas, dicts and lists."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch

from netwright.data.dataset import PARTS, Dataset
from netwright.data.mapped import Mapped, as_cells, joined, numbers, stays_mapped
from netwright.data.readers.files import require_narrow
from netwright.data.readers.loader import collected
from netwright.data.readers.table import absolute_images, holds_images, plain, without_great_numbers
from netwright.kinds.image import Image
from netwright.kinds.series import Series
from netwright.records.errors import DataError
from netwright.records.paths import spelled
from netwright.records.source import Source

TARGET = "target"
NAME = "x"
AS_INPUT = ("text", "image")  # names for input columns only; a target does not keep them


def read_memory(source: Source, origin: str = "array") -> Dataset:
    """One row for each entry of the first axis. `(X, y)` makes y the target; `{"train": ..., "test": ...}` makes parts.

    Arrays and tensors: one axis is a column of cells, two are columns of numbers x0, x1, ...; for more the kinds
    decide: "image" (rows, height, width) of bytes or of square floats, with or without an axis of 1, 3 or 4
    channels; "series" (rows, steps, channels) of other floats; else "tensor". Lists of text are a column "text", or
    "image" if they name image files; lists of dicts are rows. Large mapped arrays stay on disk.
    """
    data = collected(source.data)  # Any: a user's object enters here
    if isinstance(data, Mapping) and "train" in data and set(data) <= set(PARTS):
        return _of_parts(source, origin)
    if isinstance(data, tuple):
        if len(data) != 2:
            problem = f"expected (inputs, target), got a tuple of {len(data)}"
            raise DataError(problem, remedy="pass inputs and target as a pair.")
        (given, mapped), (wanted, apart) = _without_mapped(data[0]), _without_mapped(data[1])
        table, targets = _pair(given, wanted)
        mapped |= {TARGET if name in AS_INPUT else name: column for name, column in apart.items()}
    else:
        given, mapped = _without_mapped(data)
        table, targets = _table(given), ()
    if not table.height:
        raise DataError(f"the {origin} has no rows", remedy="give at least one row.")
    dataset = Dataset(plain(_without_objects(table)), targets if source.is_labelled else (), origin, mapped=mapped)
    dataset = without_great_numbers(dataset)
    return absolute_images(dataset, spelled(os.getcwd()), source.kinds)


def _of_parts(source: Source, origin: str) -> Dataset:
    given = {part: replace(source, data=source.data[part]) for part in PARTS if part in source.data}
    parts = {part: read_memory(one, f"{origin} {part!r}") for part, one in given.items()}
    first = parts["train"]
    for part, dataset in parts.items():
        if dataset.table.columns != first.table.columns:
            problem = f"{part!r} has the columns {dataset.table.columns}, 'train' has {first.table.columns}"
            raise DataError(problem, remedy="give all parts the same columns.")
    tables, mapped = _joined(parts)
    table = pl.concat(tables, how="vertical_relaxed")
    places = [dataset.locate(row) for dataset in parts.values() for row in range(len(dataset))]
    part = [part for part, dataset in parts.items() for _ in range(len(dataset))]
    return replace(
        first, table=table, origin=origin, places=pl.Series(places, dtype=pl.String), parts=pl.Series(part),
        mapped=mapped,
    )  # fmt: skip


def _without_mapped(data: Any) -> tuple[Any, dict[str, Mapped]]:
    """Arrays that stay on disk, by column name, and the data with row numbers in their place."""
    if stays_mapped(data):
        return {_name(as_cells(data[:1])): numbers(len(data))}, {_name(as_cells(data[:1])): Mapped((data,))}
    if not isinstance(data, Mapping):
        return data, {}
    mapped = {str(name): Mapped((value,)) for name, value in data.items() if stays_mapped(value)}
    return {name: numbers(len(x)) if stays_mapped(x) else x for name, x in data.items()}, mapped


def _joined(parts: Mapping[str, Dataset]) -> tuple[list[pl.DataFrame], dict[str, Mapped]]:
    """The tables of parts, and what stays on disk: a column on disk in one part is on disk in all."""
    tables, mapped = [dataset.table for dataset in parts.values()], dict[str, Mapped]()
    for name in {name for dataset in parts.values() for name in dataset.mapped}:
        columns = [d.mapped.get(name) or Mapped((d.table[name].to_numpy(),)) for d in parts.values()]
        shapes = [(column.arrays[0].shape[1:], column.arrays[0].dtype == np.uint8) for column in columns]
        if len(set(shapes)) > 1:
            told = ", ".join(" x ".join(map(str, shape)) for shape, _ in shapes)
            raise DataError(f"{name!r} has several shapes or types: {told}", remedy="use one for all parts.")
        mapped[name] = joined(columns)
        starts = np.cumsum([0, *map(len, columns)]).tolist()
        tables = [
            table.with_columns((numbers(len(table)) + start).alias(name))
            for table, start in zip(tables, starts, strict=False)
        ]
    return tables, mapped


def _pair(inputs: Any, target: Any) -> tuple[pl.DataFrame, tuple[str, ...]]:
    table, targets = _table(inputs), _table(_as_one_column(target))
    if targets.columns[0] == NAME:
        targets = targets.rename({NAME: TARGET})
    elif targets.width > 1 and targets.columns == [f"{NAME}{k}" for k in range(targets.width)]:
        targets = targets.rename({name: f"{TARGET}{name[len(NAME) :]}" for name in targets.columns})
    elif targets.width == 1 and targets.columns[0] in AS_INPUT:
        targets = targets.rename({targets.columns[0]: TARGET})
    if table.height != targets.height:
        problem = f"there are {table.height:,} rows of inputs and {targets.height:,} of targets"
        raise DataError(problem, remedy="give one target for each row.")
    if same := set(table.columns) & set(targets.columns):
        raise DataError(f"{min(same)!r} is an input and a target", remedy="rename one of them.")
    return table.hstack(targets), tuple(targets.columns)


def _as_one_column(target: Any) -> Any:
    """Targets of shape (n, 1) as (n,), and one-hot rows of an array as the number of their class."""
    array = target.detach().cpu().numpy() if isinstance(target, torch.Tensor) else target
    if isinstance(array, list) and len({np.shape(row) for row in array}) == 1 and np.ndim(array[0]) == 1:
        array = np.asarray(array)
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        return target
    if array.shape[1] == 1:
        return array[:, 0]
    is_one_hot = array.dtype.kind in "biuf" and np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all()
    return array.argmax(1) if is_one_hot else target


def _table(data: Any) -> pl.DataFrame:
    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    if isinstance(data, pl.Series):
        return data.rename(data.name or NAME).to_frame()
    pandas = sys.modules.get("pandas")  # there are pandas data only if pandas has been imported
    if pandas is not None and isinstance(data, pandas.DataFrame):
        if twice := [str(name) for name in data.columns[data.columns.duplicated()]]:
            raise DataError(f"the frame has two columns named {twice[0]!r}", remedy="rename one of them.")
        return pl.DataFrame([_of_pandas(str(name), data.iloc[:, k]) for k, name in enumerate(data.columns)])
    if pandas is not None and isinstance(data, pandas.Series):
        return _of_pandas(str(data.name or NAME), data).to_frame()
    if isinstance(data, torch.Tensor):
        return _of_array(data.detach().cpu().numpy())
    if isinstance(data, np.ndarray):
        return _of_array(data)
    if isinstance(data, Mapping):
        return _of_columns(data)
    if isinstance(data, Sequence) and not isinstance(data, str | bytes) and data:
        return _of_list(data)
    problem = f"cannot read data of type {type(data).__name__}"
    raise DataError(problem, remedy="give a path, an array, a frame, a dict of columns, or (inputs, target).")


def _of_pandas(name: str, column: Any) -> pl.Series:
    """Through NumPy, to avoid pyarrow; NaN among words and pandas' NA are missing."""
    is_plain = str(column.dtype) not in ("category", "boolean") and column.dtype.kind in "biuf"
    if is_plain and not (column.hasnans and column.dtype.kind in "iu"):
        return pl.Series(name, column.to_numpy(dtype=float, na_value=np.nan) if column.hasnans else column.to_numpy())
    if str(column.dtype).startswith("period"):
        column = column.dt.to_timestamp()
    missing = column.isna().to_numpy()
    cells = [None if gone else cell for cell, gone in zip(column.tolist(), missing, strict=True)]
    return _cells(name, cells)


def _cells(name: str, cells: Any) -> pl.Series:
    """A column of any objects. If polars cannot hold some, whole numbers become text. Raises DataError for the rest."""
    try:
        column = pl.Series(name, cells, strict=False)
        if not isinstance(cells, list) or column.null_count() == sum(map(_is_missing, cells)):
            return column
        return pl.Series(name, [None if _is_missing(x) else _written(name, x) for x in cells], pl.String)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        problem = f"column {name!r} cannot be held: {reason or type(error).__name__}"
        raise DataError(
            problem, remedy="turn its cells into numbers, text or dates, or leave the column out."
        ) from None


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and cell != cell)


def _written(name: str, cell: object) -> str:
    if isinstance(cell, str | int | float):
        return str(cell)
    problem = f"column {name!r} holds objects of type {type(cell).__name__} among others"
    raise DataError(problem, remedy="turn its cells into numbers, text or dates, or leave the column out.")


def _without_objects(table: pl.DataFrame) -> pl.DataFrame:
    """The table with paths and intervals as text. Raises DataError for other objects of Python."""
    pandas = sys.modules.get("pandas")
    texts = (os.PathLike,) if pandas is None else (os.PathLike, pandas.Interval)
    for column in table.select(pl.col(pl.Object)).iter_columns():
        cells = [str(cell) if isinstance(cell, texts) else cell for cell in column.to_list()]
        if strange := [cell for cell in cells if not isinstance(cell, str | None)]:
            problem = f"column {column.name!r} holds objects of type {type(strange[0]).__name__}"
            raise DataError(problem, remedy="turn them into numbers, text or dates, or leave the column out.")
        table = table.with_columns(pl.Series(column.name, cells, pl.String))
    return table


def _of_array(array: np.ndarray) -> pl.DataFrame:
    if array.ndim == 0:
        raise DataError(f"the data are one number, {array}", remedy="give an array with a row for each example.")
    if array.dtype.names:
        return pl.DataFrame([_column(name, array[name]) for name in array.dtype.names])
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if array.dtype.kind in "cV":
        problem = f"the array holds {'complex numbers' if array.dtype.kind == 'c' else array.dtype}"
        raise DataError(problem, remedy="give its parts as numbers.")
    if array.dtype.kind in "OUS" and array.ndim == 1:
        return _of_list(array.tolist())
    if array.ndim == 1:
        return _cells(NAME, array).to_frame()
    if array.ndim == 2:
        require_narrow("the array", array.shape[1])
        columns = [array[:, k].tolist() if array.dtype == object else array[:, k] for k in range(array.shape[1])]
        return pl.DataFrame([_cells(f"{NAME}{k}", cells) for k, cells in enumerate(columns)])
    if array.dtype.kind not in "biuf":
        raise DataError(f"the array holds {array.dtype}", remedy="give an array of numbers.")
    column = as_cells(array)
    return column.rename(_name(column)).to_frame()


def _name(column: pl.Series) -> str:
    return "image" if Image.matches(column) else "series" if Series.matches(column) else "tensor"


def _of_columns(data: Mapping[Any, Any]) -> pl.DataFrame:
    """A dict of columns, or of single values: one row."""
    if not any(isinstance(value, list | tuple | np.ndarray | torch.Tensor | pl.Series) for value in data.values()):
        return pl.DataFrame([dict(data)], strict=False)
    columns = [_column(str(name), value) for name, value in data.items()]
    for column in columns:
        if len(column) != len(columns[0]):
            problem = f"column {column.name!r} has {len(column):,} cells, {columns[0].name!r} has {len(columns[0]):,}"
            raise DataError(problem, remedy="give all columns one cell for each row.")
    return pl.DataFrame(columns)


def _column(name: str, value: Any) -> pl.Series:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.ndim > 2 and value.dtype != np.uint8:
        value = value.astype(np.float32)
    if isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
        value = value.tolist()
    if isinstance(value, np.ndarray) and value.dtype.kind in "cV":
        problem = f"column {name!r} holds {'complex numbers' if value.dtype.kind == 'c' else value.dtype}"
        raise DataError(problem, remedy="give its parts as numbers.")
    return _cells(name, list(value) if isinstance(value, tuple) else value)


def _of_list(data: Sequence[Any]) -> pl.DataFrame:
    first = data[0]
    if isinstance(first, Mapping):
        names = dict.fromkeys(str(name) for row in data for name in row)
        return pl.DataFrame([_cells(name, [row.get(name) for row in data]) for name in names])
    if isinstance(first, str):
        column = _cells("text", list(data))
        return column.rename("image" if holds_images(column) else "text").to_frame()
    if isinstance(first, torch.Tensor | np.ndarray | list | tuple):
        shapes = {np.shape(entry) for entry in data}
        if len(shapes) > 1:
            return _ragged(data)
        return _of_array(np.stack([np.asarray(entry) for entry in data]))
    return _cells(NAME, list(data)).to_frame()


def _ragged(data: Sequence[Any]) -> pl.DataFrame:
    """Series of one channel and different lengths, or lists of words."""
    if any(isinstance(word, str) for entry in data for word in entry):
        return pl.Series(NAME, [list(entry) for entry in data], pl.List(pl.String), strict=False).to_frame()
    if any(np.ndim(entry) != 1 for entry in data):
        problem = "the arrays have different shapes"
        raise DataError(problem, remedy="give images of one size, or series as a dict of lists for each channel.")
    return pl.Series("series", [np.asarray(e, np.float32).tolist() for e in data], pl.List(pl.Float32)).to_frame()
