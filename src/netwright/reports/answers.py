"""Predictions next to their rows, on the screen or in a file."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.excel import EXTRA
from netwright.data.readers.table import require_column
from netwright.data.spreadsheet import guarded_table
from netwright.files import whole
from netwright.records.errors import DataError, counted
from netwright.resolve import require
from netwright.training.evaluate import ROW

SHEET_ROWS = 1_048_576  # of Excel, with the line of column names
SHEET_COLUMNS = 16_384
CELL_LETTERS = 32_767  # of one cell; xlsxwriter cuts longer ones without a word
TEXT_ONLY = {"strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
OTHERWISE = "write to .csv or .parquet with --to."
MOMENT = "%Y-%m-%d %H:%M:%S%.f"  # without a fraction of a second that is zero
SUFFIXES = (".csv", ".parquet", ".jsonl", ".xlsx")


def placed(answers: Iterable[pl.DataFrame], dataset: Dataset, keep: Sequence[str] = ()) -> pl.DataFrame:
    """Every row of the data in order, with its place and the columns to keep; null if a row could not be read.

    Raises DataError for a column to keep that the data lack, or that answers have too.
    """
    places = pl.Series(range(len(dataset))) if dataset.places is None else dataset.places
    name = "file" if places.dtype == pl.String else "row" if dataset.places is None else dataset.unit
    frame = pl.DataFrame({ROW: pl.Series(range(len(dataset)), dtype=pl.Int64), f"\0{name}": places})
    kept, beside = _rows_of(dataset)
    keep = [column for column in keep if column not in beside]
    for column in keep:
        require_column(replace(dataset, table=kept), column, "column to keep")
    frame = frame.hstack(kept.select(pl.col(c).alias(f"\0{c}") for c in keep))
    found = list(answers)
    if twice := [c for c in keep if c == name or any(c in table.columns for table in found)]:
        raise DataError(f"answers have a column {twice[0]!r} too", remedy="rename the column to keep.")
    if found:
        joined = pl.concat(found)
        if dataset.names is not None:
            both = [column for column in dataset.names.columns if column in joined.columns]
            joined = dataset.names.join(joined, on=both, how="inner", maintain_order="right")
        frame = frame.join(joined, on=ROW, how="left", maintain_order="left")
    return frame.drop(ROW).rename({f"\0{column}": column for column in (name, *keep)})


def _rows_of(dataset: Dataset) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The cells of each answer's row, or of the last row that an example was cut from; and which stand there anyhow."""
    if (raw := dataset.raw) is None or dataset.spans is None:
        return dataset.table, ()
    keys = [key for key in (raw.owners, raw.times) if key is not None]
    there = () if dataset.names is None else dataset.names.columns
    return raw.table.with_columns(keys)[dataset.spans[:, 0]], tuple(key.name for key in keys if key.name in there)


def as_csv(table: pl.DataFrame, *, header: bool) -> str:
    """Comma-separated text without formulas. Raises DataError for cells that are lists or pictures."""
    nested = [name for name, dtype in table.schema.items() if dtype.is_nested() or dtype == pl.Binary]
    if nested:
        raise DataError(f"column {nested[0]!r} does not fit a CSV", remedy="write to .parquet or .jsonl with --to.")
    plain = [name for name, dtype in table.schema.items() if isinstance(dtype, pl.Datetime) and not dtype.time_zone]
    moments = _with_offsets(table).with_columns(pl.col(plain).dt.to_string(MOMENT))
    return guarded_table(moments).write_csv(include_header=header)


def _with_offsets(table: pl.DataFrame) -> pl.DataFrame:
    """Times of a time zone as text: neither a CSV nor Excel has zones."""
    zoned = [name for name, dtype in table.schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone]
    return table.with_columns(pl.col(zoned).dt.to_string(f"{MOMENT}%:z"))


def written(tables: Iterator[pl.DataFrame], to: Path) -> int:
    """Writes tables one after another to a .csv, .parquet, .jsonl or .xlsx file; returns the number of rows.

    The file appears when it is complete. Raises RunError if it cannot be written.
    """
    if to.suffix not in SUFFIXES:
        raise DataError(f"cannot write {to}: unknown file type", remedy=f"choose from {', '.join(SUFFIXES)}.")
    if not to.parent.is_dir():
        raise DataError(f"there is no folder {to.parent}", remedy="create it, or choose another one.")
    with whole(to) as unfinished:
        return _PARTS[to.suffix](tables, unfinished)


def _csv(tables: Iterator[pl.DataFrame], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for table in tables:
            file.write(as_csv(table, header=count == 0))
            count += table.height
    return count


def _json_lines(tables: Iterator[pl.DataFrame], path: Path) -> int:
    count = 0
    with path.open("wb") as file:
        for table in tables:
            table.write_ndjson(file)
            count += table.height
    return count


def _parquet(tables: Iterator[pl.DataFrame], path: Path) -> int:
    """Writes pieces to separate files, then streams them into one: a Parquet file cannot be appended to."""
    count, pieces = 0, list[Path]()
    for number, table in enumerate(tables):
        pieces.append(path.parent / f"{number:06}.parquet")
        table.write_parquet(pieces[-1])
        count += table.height
    pl.scan_parquet(pieces, glob=False).sink_parquet(path)
    return count


def _excel(tables: Iterator[pl.DataFrame], path: Path) -> int:
    """Text stays text: neither a formula nor a link."""
    xlsxwriter = require("xlsxwriter", extra=EXTRA, instead=", or write a .csv file.")
    table = pl.concat(tables)
    if table.height >= SHEET_ROWS or table.width > SHEET_COLUMNS:
        problem = f"{counted(table.height, 'row')} of {counted(table.width, 'column')} do not fit a sheet of Excel"
        raise DataError(problem, remedy=OTHERWISE)
    longest = table.select(pl.col(pl.String).str.len_chars().max().fill_null(0))
    for name, letters in longest.row(0, named=True).items() if longest.width else ():
        if letters > CELL_LETTERS:
            raise DataError(f"a cell of {name!r} has {letters:,} letters, too many for Excel", remedy=OTHERWISE)
    try:
        with xlsxwriter.Workbook(path, TEXT_ONLY | {"tmpdir": str(path.parent)}) as book:
            _with_offsets(table).write_excel(book)
    except xlsxwriter.exceptions.FileCreateError as error:
        raise error.args[0] from None  # the system's own
    return table.height


_PARTS = {".csv": _csv, ".parquet": _parquet, ".jsonl": _json_lines, ".xlsx": _excel}
