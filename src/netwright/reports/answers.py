"""Predictions next to their rows, on the screen or in a file."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.excel import EXTRA
from netwright.data.readers.table import require_column
from netwright.files import whole
from netwright.records.errors import DataError, counted
from netwright.resolve import require
from netwright.training.evaluate import ROW

SHEET_ROWS = 1_048_576  # of Excel, with the line of column names
SUFFIXES = (".csv", ".parquet", ".jsonl", ".xlsx")


def placed(answers: Iterable[pl.DataFrame], dataset: Dataset, keep: Sequence[str] = ()) -> pl.DataFrame:
    """Every row of the data in order, with its place and the columns to keep; null if a row could not be read.

    Raises DataError for a column to keep that the data lack, or that answers have too.
    """
    places = pl.Series(range(len(dataset))) if dataset.places is None else dataset.places
    name = "file" if places.dtype == pl.String else "row" if dataset.places is None else dataset.unit
    frame = pl.DataFrame({ROW: pl.Series(range(len(dataset)), dtype=pl.Int64), f"\0{name}": places})
    for column in keep:
        require_column(dataset, column, "column to keep")
    frame = frame.hstack(dataset.table.select(pl.col(c).alias(f"\0{c}") for c in keep))
    found = list(answers)
    if twice := [c for c in keep if c == name or any(c in table.columns for table in found)]:
        raise DataError(f"answers have a column {twice[0]!r} too", remedy="rename the column to keep.")
    if found:
        frame = frame.join(pl.concat(found), on=ROW, how="left", maintain_order="left")
    return frame.drop(ROW).rename({f"\0{column}": column for column in (name, *keep)})


def as_csv(table: pl.DataFrame, *, header: bool) -> str:
    """Comma-separated text. Raises DataError for cells that are lists or pictures."""
    nested = [name for name, dtype in table.schema.items() if dtype.is_nested() or dtype == pl.Binary]
    if nested:
        raise DataError(f"column {nested[0]!r} does not fit a CSV", remedy="write to .parquet or .jsonl with --to.")
    return table.write_csv(include_header=header)


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
    pl.scan_parquet(pieces).sink_parquet(path)
    return count


def _excel(tables: Iterator[pl.DataFrame], path: Path) -> int:
    """Text that starts with `=` stays text."""
    require("xlsxwriter", extra=EXTRA, instead=", or write a .csv file.")
    table = pl.concat(tables)
    if table.height >= SHEET_ROWS:
        problem = f"{counted(table.height, 'row')} do not fit a sheet of Excel"
        raise DataError(problem, remedy="write to .csv or .parquet with --to.")
    table.write_excel(path)
    return table.height


_PARTS = {".csv": _csv, ".parquet": _parquet, ".jsonl": _json_lines, ".xlsx": _excel}
