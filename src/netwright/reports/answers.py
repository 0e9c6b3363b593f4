"""Predictions next to their rows, on the screen or in a file."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from netwright.data.dataset import Dataset
from netwright.files import whole
from netwright.records.errors import DataError
from netwright.training.evaluate import ROW

SUFFIXES = (".csv", ".parquet", ".jsonl")


def placed(answers: Iterable[pl.DataFrame], dataset: Dataset) -> pl.DataFrame:
    """Every row of the data in order, with its place; null if a row could not be read."""
    places = pl.Series(range(len(dataset))) if dataset.places is None else dataset.places
    name = "file" if places.dtype == pl.String else "row" if dataset.places is None else dataset.unit
    frame = pl.DataFrame({ROW: pl.Series(range(len(dataset)), dtype=pl.Int64), f"\0{name}": places})
    found = list(answers)
    if found:
        frame = frame.join(pl.concat(found), on=ROW, how="left", maintain_order="left")
    return frame.drop(ROW).rename({f"\0{name}": name})


def as_csv(table: pl.DataFrame, *, header: bool) -> str:
    """Comma-separated text. Raises DataError for cells that are lists or pictures."""
    nested = [name for name, dtype in table.schema.items() if dtype.is_nested() or dtype == pl.Binary]
    if nested:
        raise DataError(f"column {nested[0]!r} does not fit a CSV", remedy="write to .parquet or .jsonl with --to.")
    return table.write_csv(include_header=header)


def written(tables: Iterator[pl.DataFrame], to: Path) -> int:
    """Writes tables one after another to a .csv, .parquet or .jsonl file; returns the number of rows.

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


_PARTS = {".csv": _csv, ".parquet": _parquet, ".jsonl": _json_lines}
