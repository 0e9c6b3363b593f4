"""Comma-separated text, block by block: encoding, delimiter, column names, ragged rows and the line of each row."""

import csv
import io
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np
import polars as pl

from netwright.data.readers.files import LONGEST_LINE, find_encoding, lines_of, open_text, require_narrow, suffix_of
from netwright.data.spreadsheet import unguarded
from netwright.records.errors import DataError, counted
from netwright.records.paths import spelled

BLOCK = 1 << 22  # characters parsed at once: bounds memory; larger blocks are no faster
LONGEST = 4  # blocks without the end of a row: a quote was never closed
SAMPLE = 20  # lines that show the delimiter
WIDE = 10_000  # characters of a line that show it; csv accepts cells of up to 131,072
SLOW_ROWS = 50_000  # rows at once in the slow parser
DELIMITERS = ",;\t|"
NEWLINE, QUOTE = ord("\n"), ord('"')


@dataclass(frozen=True)
class Layout:
    """The format of a file."""

    path: Path
    encoding: str
    delimiter: str
    names: tuple[str, ...]
    header_lines: int  # lines up to the end of the header
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Some rows of a file, all cells as text; and the rows that were left out."""

    table: pl.DataFrame
    lines: pl.Series  # the line on which each row starts, from 1
    ragged: int  # rows without one cell for each column
    first_ragged: str  # "line 12 (14 cells)"
    headers: tuple[int, ...] = ()  # lines that repeated the column names, and were left out


def find_layout(path: Path, known: Sequence[str] = ()) -> Layout:
    """Encoding, delimiter and column names. A header with one of the `known` names is always accepted."""
    encoding, note = find_encoding(path)
    with open_text(path, encoding) as stream:
        sample = list(islice((line for line in lines_of(stream, path) if line.strip()), SAMPLE))
    if not sample:
        raise DataError(
            f"{spelled(path)} is empty", remedy="give a table with a line of column names and a line for each row."
        )
    delimiter = "\t" if suffix_of(path) in (".tsv", ".tab", ".inter", ".item") else _delimiter(sample)
    with open_text(path, encoding) as stream:
        rows = csv.reader(lines_of(stream, path), delimiter=delimiter)
        try:
            names = next((names for row in rows if any(names := tuple(unguarded(name.strip()) for name in row))), ())
        except csv.Error as error:
            problem = f"{spelled(path)}: cannot read the line of column names ({error})"
            raise DataError(problem, remedy="close the quotes of the first line.") from None
        lines = rows.line_num
    if not names:
        problem = f"{spelled(path)} has no line of column names"
        raise DataError(problem, remedy="add a first line with the column names.")
    require_narrow(path, len(names))
    names, unnamed = _named(path, names)
    _check_header(path, names, known)
    return Layout(path, encoding, delimiter, names, lines, tuple(n for n in (note, unnamed) if n))


def blocks(layout: Layout) -> Iterator[Block]:
    """The rows, in the order of the file."""
    with open_text(layout.path, layout.encoding) as stream:
        for _ in range(layout.header_lines):
            stream.readline()
        yield from (_without_headers(block) for block in _blocks(stream, layout, layout.header_lines + 1))


def _without_headers(block: Block) -> Block:
    """Without lines that repeat the column names, as in files that were joined."""
    names = block.table.columns
    same = block.table[names[0]].str.strip_chars() == names[0]
    if len(names) == 1 or not same.any():
        return block
    same = block.table.select(pl.all_horizontal(*(pl.col(n).str.strip_chars() == n for n in names))).to_series()
    same = same.fill_null(False)
    return replace(
        block, table=block.table.filter(~same), lines=block.lines.filter(~same), headers=tuple(block.lines.filter(same))
    )


def _blocks(stream: TextIO, layout: Layout, line: int) -> Iterator[Block]:
    carry, delimiter = b"", ord(layout.delimiter)
    while True:
        read = stream.read(BLOCK).encode().replace(b"\0", b"")
        data = carry + read
        if not data:
            return
        if not read and not data.endswith(b"\n"):
            data += b"\n"
        records = _scan(data, delimiter, is_last=not read)
        block = _parse(data, records, layout, line) if records is not None else None
        if block is None or len(data) > LONGEST * BLOCK:
            yield from _carefully(data, stream, layout, line)
            return
        yield block
        if not read:
            return
        end = records.end if records is not None else 0
        line += data.count(b"\n", 0, end)
        carry = data[end:]


@dataclass(frozen=True)
class _Records:
    starts: np.ndarray  # byte offsets
    ends: np.ndarray  # byte offset of the newline that ends each
    cells: np.ndarray
    lines: np.ndarray  # lines before each record's start

    @property
    def end(self) -> int:
        return int(self.ends[-1]) + 1 if len(self.ends) else 0


def _scan(data: bytes, delimiter: int, *, is_last: bool) -> _Records | None:
    """Where records start and end; None if quotes do not enclose whole cells, because then parity is unreliable."""
    a = np.frombuffer(data, np.uint8)
    newline, parts = a == NEWLINE, a == delimiter
    ending = newline
    if b'"' in data:
        quote = a == QUOTE
        outside = (np.cumsum(quote, dtype=np.uint8) & 1) == 0
        ending, parts = newline & outside, parts & outside
        ends = np.flatnonzero(ending)
        end = int(ends[-1]) + 1 if len(ends) else 0
        if (is_last and end < len(a)) or not _encloses(a[:end], np.flatnonzero(quote[:end]), delimiter):
            return None
    else:
        ends = np.flatnonzero(ending)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else np.empty(0, np.int64)
    before = np.searchsorted(np.flatnonzero(parts), np.concatenate([starts[:1], ends]))
    return _Records(starts, ends, np.diff(before) + 1, np.searchsorted(np.flatnonzero(newline), starts))


def _encloses(a: np.ndarray, quotes: np.ndarray, delimiter: int) -> bool:
    """Whether odd quotes open a cell and even ones close it."""
    padded = np.concatenate([[NEWLINE], a, [NEWLINE]])
    border = np.array([NEWLINE, delimiter, QUOTE])
    opened, closed = quotes[0::2], quotes[1::2]
    return bool(np.isin(padded[opened], border).all() and np.isin(padded[closed + 2], border).all())


def _parse(data: bytes, records: _Records, layout: Layout, line: int) -> Block | None:
    """The records, parsed by polars, without blank and ragged ones; None if polars finds different rows."""
    filled = records.ends > records.starts
    whole = filled & (records.cells == len(layout.names))
    ragged = np.flatnonzero(filled & ~whole)
    if not whole.all():
        lengths = records.ends + 1 - records.starts
        data = np.frombuffer(data, np.uint8, records.end)[np.repeat(whole, lengths)].tobytes()
    table = _frame(data[: records.end], layout)
    if table.height != whole.sum():
        return None
    first = (
        f"line {line + records.lines[ragged[0]]} ({counted(int(records.cells[ragged[0]]), 'cell')})"
        if len(ragged)
        else ""
    )
    return Block(table, pl.Series("line", line + records.lines[whole], pl.Int64), len(ragged), first)


def _frame(data: bytes, layout: Layout) -> pl.DataFrame:
    schema = dict.fromkeys(layout.names, pl.String)
    if not data:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(data, has_header=False, schema=schema, separator=layout.delimiter)


def _carefully(data: bytes, stream: TextIO, layout: Layout, line: int) -> Iterator[Block]:
    """Row by row with Python's own parser, which reads a stray quote within a cell as a letter."""
    whole, cut = data.decode().rpartition("\n")[::2]
    begun = cut + next(lines_of(stream, layout.path, line + data.count(b"\n")), "")
    rest = lines_of(stream, layout.path, line + data.count(b"\n") + 1)
    text = chain(io.StringIO(f"{whole}\n" if whole else "", newline="\n"), (begun,), rest)
    rows = csv.reader(text, delimiter=layout.delimiter, strict=True)
    while True:
        good: list[list[str]] = []
        lines: list[int] = []
        ragged, first = 0, ""
        with _long_cells():
            while len(good) < SLOW_ROWS:
                start = line + rows.line_num
                try:
                    row = next(rows, None)
                except csv.Error as error:
                    problem = f"{layout.path}, line {start}: a quote does not enclose a whole cell ({error})"
                    raise DataError(problem, remedy='close the quote, or double quotes within a cell ("").') from None
                if row is None:
                    break
                if len(row) == len(layout.names):
                    good.append(row)
                    lines.append(start)
                elif row:
                    ragged, first = ragged + 1, first or f"line {start} ({counted(len(row), 'cell')})"
        table = pl.DataFrame(good, schema=dict.fromkeys(layout.names, pl.String), orient="row")
        yield Block(table, pl.Series("line", lines, pl.Int64), ragged, first)
        if len(good) < SLOW_ROWS:
            return


@contextmanager
def _long_cells() -> Generator[None]:
    """Python's parser takes cells as long as a line within; its limit is one of the process."""
    before = csv.field_size_limit(LONGEST_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _delimiter(sample: list[str]) -> str:
    """The delimiter with which most lines have as many cells as the header."""

    lines = [line[:WIDE] for line in sample]

    def cells(delimiter: str) -> float:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        alike = sum(width == widths[0] for width in widths) / len(widths)
        return alike * widths[0] if widths[0] > 1 else 0.0

    return max(DELIMITERS, key=cells)


def _named(path: Path, names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    blank = [k for k, name in enumerate(names) if not name]
    if not blank:
        return names, ""
    filled = tuple(name or f"column_{k + 1}" for k, name in enumerate(names))
    return filled, f"{spelled(path.name)}: column {blank[0] + 1} has no name; it is called {filled[blank[0]]!r}"


def _check_header(path: Path, names: tuple[str, ...], known: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            where = " and ".join(str(k + 1) for k, other in enumerate(names) if other == name)
            raise DataError(
                f"{spelled(path)} has two columns named {name!r} (columns {where})", remedy="rename one of them."
            )
    if not set(names) & set(known) and _looks_like_data(names):
        problem = f"{spelled(path)} has no line of column names: it starts with {', '.join(names[:5])!r}"
        raise DataError(problem, remedy="add a first line with the column names.")


def _looks_like_data(names: tuple[str, ...]) -> bool:
    """Whether some names are numbers, except numbers that count up like years or positions."""
    numbers = [number for name in names if (number := _number(name)) is not None]
    counts = len(numbers) > 1 and all(n.is_integer() for n in numbers) and numbers == sorted(set(numbers))
    return bool(numbers) and not counts


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None
