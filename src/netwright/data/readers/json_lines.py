"""Tables of JSON lines: an object for each line, whatever else the lines hold."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.files import find_encoding, lines_of, open_text
from netwright.records.errors import counted
from netwright.records.paths import spelled

DEEPEST = 64  # levels of lists and objects in a cell: no kind of column reads more, and parsers recurse
MOST_DIGITS = 38  # of a whole number: 128 bits hold them; longer ones stay text
_TEXT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')


def read_json_lines(path: Path, rows: int) -> Iterator[Dataset]:
    """The table in pieces; the last one has the notes."""
    encoding, note = find_encoding(path)
    count, first, notes = 0, 0, (note,) if note else ()
    held = Dataset(pl.DataFrame(), (), spelled(path), pl.Series([], dtype=pl.Int64))
    with open_text(path, encoding) as stream:
        numbered = ((number, line) for number, line in enumerate(lines_of(stream, path), 1) if line.strip())
        while piece := list(islice(numbered, rows)):
            table, lines, broken = _objects(piece)
            count, first = count + len(broken), first or next(iter(broken), 0)
            if len(held):
                yield held
            held = Dataset(table, (), spelled(path), pl.Series("line", lines, pl.Int64))
    which = f"without a JSON object of at most {DEEPEST} levels"
    left = f"{spelled(path.name)}: {counted(count, 'line')} {which} left out, the first is line {first}"
    yield replace(held, notes=(*notes, *((left,) if count else ())))


def _objects(piece: list[tuple[int, str]]) -> tuple[pl.DataFrame, list[int], list[int]]:
    """A table of the lines' objects, the lines read, and those without an object. All at once if none is broken."""
    lines = [number for number, _ in piece]
    piece = [(number, line) for number, line in piece if not _is_deep(line)]
    try:
        table = pl.read_ndjson("".join(line for _, line in piece).encode(), infer_schema_length=None)
        if table.height == len(lines):
            return table, lines, []
    except pl.exceptions.PolarsError:
        pass
    rows = [(number, row) for number, line in piece if (row := _object(line))]
    table = _table([row for _, row in rows])
    read = [number for number, _ in rows]
    return table, read, sorted(set(lines) - set(read))


def _object(line: str) -> dict[str, object]:
    try:
        row = json.loads(line, parse_int=lambda text: int(text) if len(text) <= MOST_DIGITS else text)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _is_deep(line: str) -> bool:
    """Whether lists and objects are nested deeper than DEEPEST."""
    if line.count("[") + line.count("{") <= DEEPEST:
        return False
    letters = np.frombuffer(_TEXT.sub("", line).encode("utf-8", "replace"), np.uint8)
    steps = np.isin(letters, [ord("["), ord("{")]).astype(np.int64) - np.isin(letters, [ord("]"), ord("}")])
    return bool(np.cumsum(steps).max(initial=0) > DEEPEST)


def _table(rows: list[dict[str, object]]) -> pl.DataFrame:
    """A column for each name; if its cells have no common type, each is written as JSON."""
    try:
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        names = dict.fromkeys(name for row in rows for name in row)
        return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def _column(name: str, cells: list[object]) -> pl.Series:
    try:
        return pl.Series(name, cells, strict=False)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        texts = [x if x is None or isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in cells]
        return pl.Series(name, texts, pl.String)
