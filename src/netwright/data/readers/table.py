"""Tables in files: CSV and its relatives, Parquet, JSON lines, Excel; also columns of image paths."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.delimited import blocks, find_layout
from netwright.data.readers.excel import EXCEL, read_sheet
from netwright.data.readers.files import reading, require_memory, require_narrow, suffix_of
from netwright.data.readers.json_lines import read_json_lines
from netwright.data.spreadsheet import unguarded_texts
from netwright.kinds.written import GROUPED, groups_by_points
from netwright.records.errors import DataError, counted, listed, nearest
from netwright.records.paths import spelled
from netwright.records.source import Source

DELIMITED = (".csv", ".tsv", ".tab", ".inter", ".item")  # the last two are RecBole's
PARQUET = (".parquet", ".pq")
JSON_LINES = (".jsonl", ".ndjson")
TABLES = (*DELIMITED, *PARQUET, *JSON_LINES, *EXCEL)
IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
RAGGED = 0.5  # if more than this share of rows does not fit the header, the header or delimiter is wrong
GREAT = ("Int128", "UInt128")  # types of whole numbers that numpy lacks
SHOWN = 100  # cells that quickly show that a column has no images
ROWS = 50_000  # rows at once when a table is read in pieces


def read_table(source: Source) -> Dataset:
    """The whole table. If every cell of a column is a number, it holds numbers; otherwise it keeps its text."""
    path = Path(source.data)
    with reading(path):
        require_memory(path)
        pieces = list(_pieces(path, source, ROWS))
    return _joined(path, pieces, source)


def read_table_chunks(source: Source, rows: int = ROWS) -> Iterator[Dataset]:
    """The table in pieces of about `rows` rows, in bounded memory."""
    path = Path(source.data)
    with reading(path):
        for piece in _pieces(path, source, rows):
            for start in range(0, max(len(piece), 1), rows):
                yield _finished(path, _slice(piece, start, rows), source)


def _slice(piece: Dataset, start: int, rows: int) -> Dataset:
    places = None if piece.places is None else piece.places.slice(start, rows)
    return replace(piece, table=piece.table.slice(start, rows), places=places, notes=piece.notes if not start else ())


def _pieces(path: Path, source: Source, rows: int) -> Iterator[Dataset]:
    suffix = suffix_of(path)
    if suffix in DELIMITED:
        return _delimited(path, (*source.target, *source.kinds, source.series, source.split))
    if suffix in PARQUET:
        return _parquet(path, rows)
    if suffix in JSON_LINES:
        return read_json_lines(path, rows)
    if suffix in EXCEL:
        return iter((read_sheet(path),))
    raise DataError(
        f"{spelled(path)} is not a table: {suffix or 'no suffix'}", remedy=f"give a file of {listed(TABLES)}."
    )


def _joined(path: Path, pieces: list[Dataset], source: Source) -> Dataset:
    if not sum(map(len, pieces)):
        notes = "; ".join(dict.fromkeys(note for piece in pieces for note in piece.notes))
        raise DataError(
            f"{spelled(path)} has no rows{f' ({notes})' if notes else ''}", remedy="add a line for each row."
        )
    table = pl.concat([p.table for p in pieces if len(p)], how="diagonal_relaxed")
    places = None if pieces[0].places is None else pl.concat([p.places for p in pieces if p.places is not None])
    notes = tuple(dict.fromkeys(note for piece in pieces for note in piece.notes))
    return _finished(path, Dataset(table, (), spelled(path), places, notes=notes, unit=pieces[0].unit), source)


def _finished(path: Path, dataset: Dataset, source: Source) -> Dataset:
    table = dataset.table
    if suffix_of(path) in DELIMITED:
        table = table.with_columns(unguarded_texts(pl.col(pl.String)))
    if suffix_of(path) in (*DELIMITED, *EXCEL):
        table = typed(table, source.as_written)
    return with_image_paths(without_great_numbers(replace(dataset, table=table)), path.parent, source.kinds)


def typed(table: pl.DataFrame, as_written: Sequence[str] = ()) -> pl.DataFrame:
    """Stripped text with empty cells missing; numbers if every cell of a column is one, except columns `as_written`."""
    texts = pl.col(pl.String)
    table = table.with_columns(texts.str.strip_chars().replace("", None))
    return table.with_columns(_typed(table.select(texts.exclude(as_written))))


def typed_column(column: pl.Series) -> pl.Series:
    """Int64 or Float64 if every nonmissing cell is a number; codes such as 01067, and 20.546 for 20546, stay text."""
    return next(iter(_typed(column.to_frame())), column) if column.dtype == pl.String else column


def _typed(table: pl.DataFrame) -> list[pl.Series]:
    """The columns of text that hold numbers only; many columns at a time, since each call of polars has its price."""
    found = list[pl.Series]()
    table = table.select(c for c in table.iter_columns() if c.null_count() < len(c))
    for dtype in (pl.Int64, pl.Float64):
        read = table.select(pl.all().cast(dtype, strict=False))
        numbers = [c for c in read.iter_columns() if c.null_count() == table[c.name].null_count()]
        fitting = table.select(c.name for c in numbers)
        codes, grouped = (_any(fitting, pattern) for pattern in (r"^[+-]?0\d", GROUPED))
        for column, is_code, may_group in zip(numbers, codes, grouped, strict=True):
            if not is_code and not (may_group and groups_by_points(table[column.name])):
                found.append(column)
        table = table.drop(fitting.columns)
    return found


def _any(table: pl.DataFrame, pattern: str) -> tuple[bool, ...]:
    """For each column of text, whether a cell matches."""
    return table.select(pl.all().str.contains(pattern).any()).row(0) if table.width else ()


def _delimited(path: Path, known: Sequence[str]) -> Iterator[Dataset]:
    layout = find_layout(path, known)
    cells = counted(len(layout.names), "cell")
    ragged, rows, first, headers = 0, 0, "", list[int]()
    held = Dataset(
        pl.DataFrame(schema=dict.fromkeys(layout.names, pl.String)), (), spelled(path), pl.Series([], dtype=pl.Int64)
    )
    for block in blocks(layout):
        ragged, rows, first = (
            ragged + block.ragged,
            rows + block.table.height + block.ragged,
            first or block.first_ragged,
        )
        headers += block.headers
        if ragged > RAGGED * rows:
            count = f"{ragged:,} of {counted(rows, 'row')}"
            problem = f"{spelled(path)}: {count} do not have the header's {cells}; the first is {first}"
            raise DataError(problem, remedy="correct the header, the delimiter or the quotes.")
        if len(held):
            yield held
        held = Dataset(block.table, (), spelled(path), block.lines)
    left = f"{spelled(path.name)}: {counted(ragged, 'row')} without {cells} left out, the first is {first}"
    again = f"{counted(len(headers), 'line')} that repeat the column names left out, the first is line "
    notes = [left] * bool(ragged) + [f"{spelled(path.name)}: {again}{line}" for line in headers[:1]]
    yield replace(held, notes=(*layout.notes, *notes))


def _parquet(path: Path, rows: int) -> Iterator[Dataset]:
    try:
        require_narrow(path, len(pl.scan_parquet(path, glob=False).collect_schema()))
        total = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
        for start in range(0, max(total, 1), rows):
            table = pl.scan_parquet(path, glob=False).slice(start, rows).collect()
            places = pl.Series("row", range(start, start + table.height), pl.Int64)
            yield Dataset(plain(table), (), spelled(path), places, unit="row")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"cannot read {spelled(path)} as Parquet: {error}", remedy="write the file again.") from None


def without_great_numbers(dataset: Dataset) -> Dataset:
    """Whole numbers of 128 bits in 64, or as text if they do not fit, with a note; floats inside lists."""
    columns, told = list[pl.Series](), list[str]()
    for column in dataset.table.iter_columns():
        if str(column.dtype) in GREAT:
            fits = column.cast(pl.Int64, strict=False)
            is_lost = fits.null_count() > column.null_count()
            columns.append(column.cast(pl.String) if is_lost else fits)
            told += [column.name] if is_lost else []
        elif column.dtype.is_nested() and (narrow := _narrow(column.dtype)) != column.dtype:
            columns.append(column.cast(narrow))
    note = f"whole numbers of more than 64 bits in {listed(told)}: read as text"
    table = dataset.table.with_columns(columns)
    return replace(dataset, table=table, notes=(*dataset.notes, *((note,) if told else ())))


def _narrow(dtype: Any) -> Any:  # Any: the inner type of polars' nested types is not typed
    """The type with floats for whole numbers of 128 bits."""
    if isinstance(dtype, pl.List):
        return pl.List(_narrow(dtype.inner))
    if isinstance(dtype, pl.Array):
        return pl.Array(_narrow(dtype.inner), dtype.size)
    if isinstance(dtype, pl.Struct):
        return pl.Struct([pl.Field(one.name, _narrow(one.dtype)) for one in dtype.fields])
    return pl.Float64() if str(dtype) in GREAT else dtype


def plain(table: pl.DataFrame) -> pl.DataFrame:
    """Only the types that kinds know: categories as text, decimals as floats."""
    return table.with_columns(
        pl.col(pl.Categorical, pl.Enum).cast(pl.String), pl.col(pl.Decimal).cast(pl.Float64)
    )  # fmt: skip


def with_image_paths(dataset: Dataset, folder: Path, kinds: Mapping[str, str]) -> Dataset:
    """Columns of image paths made absolute. Raises DataError for a path that leaves the table's folder."""
    root = spelled(os.path.abspath(folder))
    whole = absolute_images(dataset, root, kinds)
    for name in whole.kinds:
        for row, path in enumerate(whole.table[name]):
            if path is not None and os.path.commonpath([root, path]) != root:
                cell = dataset.table[name][row]
                problem = f"{dataset.locate(row)}: {name!r} names {cell!r}, which is outside the table's folder"
                raise DataError(problem, remedy=f"move the files into {folder}.")
    return whole


def absolute_images(dataset: Dataset, root: str, kinds: Mapping[str, str]) -> Dataset:
    """Columns of image paths, recognized by their cells or stated by the user, made absolute and marked as images."""
    paths, known = list[pl.Series](), dict[str, str]()
    for column in dataset.table.iter_columns():
        said = kinds.get(column.name, "")
        if column.dtype == pl.String and (said.partition(":")[0] == "image" if said else holds_images(column)):
            known[column.name] = said or "image"
            cells = [None if cell is None else os.path.normpath(os.path.join(root, cell)) for cell in column]
            paths.append(pl.Series(column.name, cells, pl.String))
    return replace(dataset, table=dataset.table.with_columns(paths), kinds=known)


def holds_images(column: pl.Series) -> bool:
    """Whether every nonmissing cell ends like an image file."""
    cells = column.drop_nulls()
    pattern = rf"(?i)^[^\n]+({'|'.join(map(re.escape, IMAGES))})$"
    return len(cells) > 0 and cells.head(SHOWN).str.contains(pattern).all() and cells.str.contains(pattern).all()


def require_column(dataset: Dataset, name: str, what: str) -> None:
    """Raises DataError if the table has no such column; `what` is its purpose ("target")."""
    if name not in dataset.table.columns:
        choices = f"choose the {what} from {listed(dataset.table.columns)}."
        near = nearest(name, dataset.table.columns)
        remedy = choices if near.startswith("choose") else f"{near} C{choices[1:]}"
        raise DataError(f"{Path(dataset.origin).name} has no column {name!r}", remedy=remedy)
