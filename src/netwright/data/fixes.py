"""Fixes of rows that findings propose: as a file that a person can edit, and applied to data and their parts."""

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, time
from math import isclose, isfinite, isnan
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import polars as pl

from netwright.data.dataset import PARTS, Dataset
from netwright.data.readers.files import find_encoding, open_text, reading, suffix_of
from netwright.data.readers.table import DELIMITED, require_column, typed_column
from netwright.data.split import Split
from netwright.data.spreadsheet import guarded, unguarded
from netwright.files import whole
from netwright.kinds.cells import NO, YES
from netwright.records.errors import DataError, counted, listed, nearest
from netwright.records.finding import Action, Fix
from netwright.records.result import Warned

COLUMNS = ("apply", "action", "place", "column", "old", "new", "confidence", "code", "part", "row")
NEEDED = ("apply", "action", "place")
ACTIONS: tuple[Action, ...] = get_args(Action)
CELLS = ("relabel", "impute")  # actions that write a cell
MISSING = ("", "none", "null", "nan")  # how people write a missing value
ROUNDED = 1e-6  # relative; a number printed in full, in single precision
NUMBERED = re.compile(r"(.*), (line|row) (\d+)", re.DOTALL)
REMEDY = "correct its line, or set apply to no in it."


def write_fixes(fixes: Iterable[Fix], path: Path | str, left_out: Iterable[Fix] = ()) -> int:
    """Writes fixes as a CSV with a line for each, the surest first; returns how many.

    Fixes among `left_out` have apply = no, and those that an audit advises against. The file appears under its name
    only when it is complete. Raises RunError if it cannot be written.
    """
    path, rejected, count = Path(path), set(left_out), 0
    with whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        for fix in sorted(fixes, key=lambda fix: -fix.confidence):
            apply, sure = "no" if fix in rejected or not fix.apply else "yes", f"{fix.confidence:.4g}"
            cells = (apply, fix.action, fix.place, fix.column, fix.old, fix.new, sure, fix.code, fix.part, fix.row)
            lines.writerow([guarded(str(cell)) for cell in cells])
            count += 1
    return count


def read_fixes(path: Path | str) -> tuple[Fix, ...]:
    """The fixes in a file that are to be applied. Raises DataError, with the line, if one cannot be read."""
    path = Path(path)
    with reading(path):
        encoding, _ = find_encoding(path)
        with open_text(path, encoding) as stream:
            head = stream.readline()
            semicolons = head.count(";") > head.count(",")  # spreadsheets of some countries write these
            stream.seek(0)
            lines = csv.reader(stream, delimiter=";" if semicolons else ",", strict=True)
            try:
                names = _names(path, next(lines, []))
                fixes, start = list[Fix](), lines.line_num + 1
                for cells in lines:
                    fix = _fix(f"{path}, line {start}", names, cells) if any(cells) else None
                    fixes += [fix] if fix is not None else []
                    start = lines.line_num + 1
            except csv.Error as error:
                problem = f"{path}, line {lines.line_num}: {error}"
                raise DataError(problem, remedy="close the quote, or write the file again.") from None
    return tuple(fixes)


def as_fixes(given: str | Path | Iterable[Fix]) -> tuple[Fix, ...]:
    """The fixes to apply: in a file, or of those that are given."""
    return read_fixes(given) if isinstance(given, str | Path) else tuple(fix for fix in given if fix.apply)


def _names(path: Path, head: list[str]) -> list[str]:
    names = [name.strip().lower() for name in head]
    for name in names:
        if name not in COLUMNS:
            raise DataError(f"{path}: fixes have no column {name!r}", remedy=nearest(name, COLUMNS))
    if missing := [name for name in NEEDED if name not in names]:
        problem = f"{path} has no column {missing[0]!r}"
        raise DataError(problem, remedy=f"give the columns {listed(COLUMNS)} as `netwright fix` writes them.")
    return names


def _fix(where: str, names: list[str], cells: list[str]) -> Fix | None:
    """The fix in one line; None if it is not to be applied."""
    if len(cells) != len(names):
        problem = f"{where} has {counted(len(cells), 'cell')} instead of {len(names)}"
        raise DataError(problem, remedy="write one cell for each column.")
    said = dict(zip(names, (unguarded(cell.strip()) for cell in cells), strict=True))
    apply = said["apply"].lower()
    if apply in (*NO, "n", "f"):
        return None
    if apply not in (*YES, "y", "t"):
        raise DataError(f"{where}: apply says {said['apply']!r}", remedy="write yes or no.")
    if said["action"] not in ACTIONS:
        raise DataError(f"{where}: there is no action {said['action']!r}", remedy=nearest(said["action"], ACTIONS))
    if said["action"] == "move" and said.get("new") not in PARTS:
        problem = f"{where}: there is no part {said.get('new', '')!r} to move to"
        raise DataError(problem, remedy="write train, valid or test into `new`.")
    return Fix(
        int(_number(where, said, "row", 0, 0, float("inf"))), said["place"], said["action"],
        said.get("column", ""), said.get("old", ""), said.get("new", ""), said.get("code", ""),
        _number(where, said, "confidence", 1.0, 0, 1), said.get("part", ""),
    )  # fmt: skip


def _number(where: str, said: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = said.get(name, "")
    number = _read(text, pl.Float64) if text else default
    if number is None or not low <= number <= high:
        raise DataError(f"{where}: {name} says {text!r}", remedy=f"write a number from {low:g} to {high:g}.")
    return number


def apply_fixes(dataset: Dataset, parts: Split, fixes: Sequence[Fix]) -> tuple[Dataset, Split]:
    """Applies fixes to raw data and parts; the split stays that of the raw data.

    A row is found by its place, not by its number. What the fix says about its cell or part must still be true;
    otherwise a DataError names the place. If a row has several fixes, a drop wins; if fixes contradict each other, the
    first wins. The notes say what was done and what was not.
    """
    if not fixes:
        return dataset, parts
    chosen, notes = _agreed(located(dataset, fixes))
    by_column: dict[str, list[Fix]] = {}
    for fix in chosen:
        _check(dataset, parts, fix)
        if fix.action in CELLS:
            by_column.setdefault(fix.column, []).append(fix)
    table = dataset.table.with_columns([_written(dataset, name, some) for name, some in by_column.items()])
    moves = {fix.row: fix.new for fix in chosen if fix.action == "move"}
    kept = np.ones(len(dataset), bool)
    kept[[fix.row for fix in chosen if fix.action == "drop"]] = False
    counts = Counter(fix.action for fix in chosen)
    done = "fixes applied: " + ", ".join(f"{counts[action]:,} {action}" for action in ACTIONS if counts[action])
    words = None if dataset.parts is None else _moved(dataset.parts, moves)
    fixed = replace(dataset, table=table, parts=words, notes=(*dataset.notes, *notes))
    cut = _recut(parts, kept, moves)
    return (replace(fixed, notes=(*fixed.notes, done)) if kept.all() else fixed.keep(pl.Series(kept), done)), cut


def spare_scored(dataset: Dataset, parts: Split, fixes: Sequence[Fix]) -> tuple[Dataset, tuple[Fix, ...]]:
    """The fixes without those that change what rows are scored against, and the data with a note about them.

    Such a fix stays if it names the part that its row is in: then a person has seen it.
    """
    kept, left_out, changed = list[Fix](), Counter[str](), Counter[str]()
    for fix, part in zip(fixes, scored_parts(dataset, parts, located(dataset, fixes)), strict=True):
        if not part:
            kept.append(fix)
        elif fix.part == part:
            kept.append(fix)
            changed[part] += 1
        else:
            left_out[part] += 1
    notes = [
        f"{counted(count, 'fix', 'fixes')} of rows in the {part} part left out: scores must not be on changed rows. To "
        f"apply one after a look at its row, write {part} into its column `part`"
        for part, count in left_out.items()
    ]
    notes += [
        f"{counted(count, 'row')} of the {part} part changed by fixes: its score cannot be compared with that of other "
        "trainings; `netwright prove` compares on unchanged rows"
        for part, count in changed.items()
    ]
    return replace(dataset, notes=(*dataset.notes, *map(Warned, notes))), tuple(kept)


def scored_parts(dataset: Dataset, parts: Split, fixes: Sequence[Fix]) -> list[str]:
    """For each located fix the part (valid or test) whose score it changes by another target or one row fewer; else "".

    A class that gets another name in all its rows is only written differently.
    """
    renamed = Counter((fix.column, fix.old, fix.new) for fix in fixes if fix.action == "relabel")
    rows = {
        (column, old): int((dataset.table[column].cast(pl.String, strict=False) == old).sum())
        for column, old, _ in renamed
        if column in dataset.targets and not dataset.table[column].dtype.is_nested()
    }

    def part(fix: Fix) -> str:
        writes = fix.action in CELLS and fix.column in dataset.targets
        is_renaming = renamed[fix.column, fix.old, fix.new] == rows.get((fix.column, fix.old))
        now = part_of(parts, fix.row) if (writes and not is_renaming) or fix.action == "drop" else ""
        return now if now != "train" else ""

    return [part(fix) for fix in fixes]


def located(dataset: Dataset, fixes: Sequence[Fix]) -> tuple[Fix, ...]:
    """The fixes with the numbers of the rows at their places; a relabel without a column is of the target.

    Raises DataError if there is no row at a place.
    """
    find = _files(dataset, fixes) if dataset.places is not None and dataset.places.dtype == pl.String else None
    find = find or _numbers(dataset, fixes)
    target = dataset.targets[0] if len(dataset.targets) == 1 else ""
    return tuple(
        replace(
            fix,
            row=_one(dataset, fix, find(fix)),
            column=target if fix.action == "relabel" and not fix.column else fix.column,
        )
        for fix in fixes
    )


Find = Callable[[Fix], Sequence[int]]
"""A fix to the rows at its place."""


def _numbers(dataset: Dataset, fixes: Sequence[Fix]) -> Find:
    """By line or row number."""
    unit = "row" if dataset.places is None else dataset.unit

    def number(fix: Fix) -> int:
        said = NUMBERED.fullmatch(fix.place)
        if said is None or said[2] != unit or Path(said[1]).name != Path(dataset.origin).name:
            problem = f"{fix.place!r} is not a place in {dataset.origin}, whose rows have places like "
            raise DataError(problem + repr(dataset.locate(0)), remedy="use the fixes that were written for these data.")
        return int(said[3])

    wanted = {number(fix) for fix in fixes}
    if dataset.places is None:
        return lambda fix: [number(fix)] if number(fix) < len(dataset) else []
    rows = _grouped(dataset.places, wanted)
    return lambda fix: rows.get(number(fix), [])


def _files(dataset: Dataset, fixes: Sequence[Fix]) -> Find:
    """By the path of a file, or another text: literally, else as another path to the same file."""
    places = cast(pl.Series, dataset.places)
    rows = _grouped(places, {fix.place for fix in fixes})
    if all(fix.place in rows for fix in fixes):
        return lambda fix: rows[fix.place]
    whole = pl.Series([os.path.abspath(place) for place in places], dtype=pl.String)
    absolute = _grouped(whole, {os.path.abspath(fix.place) for fix in fixes})
    return lambda fix: rows.get(fix.place) or absolute.get(os.path.abspath(fix.place), [])


def _grouped(places: pl.Series, wanted: Iterable[Any]) -> dict[Any, list[int]]:  # Any: numbers or texts
    rows = places.is_in(pl.Series(list(wanted), dtype=places.dtype).implode()).arg_true()
    found: dict[Any, list[int]] = {}
    for row in rows:
        found.setdefault(places[row], []).append(row)
    return found


def _one(dataset: Dataset, fix: Fix, rows: Sequence[int]) -> int:
    """The row of a fix. If several rows share a place, like windows of a long line of text, its number decides."""
    if len(rows) == 1 or fix.row in rows:
        return rows[0] if len(rows) == 1 else fix.row
    found = f"{len(rows)} rows, none of them row {fix.row}" if rows else "no row"
    problem = f"a fix is for {fix.place}, but {dataset.origin} has {found} there"
    raise DataError(problem, remedy="audit the data again, or set apply to no in that line.")


def _agreed(fixes: Iterable[Fix]) -> tuple[list[Fix], tuple[str, ...]]:
    """The fixes to apply, and notes about the others."""
    fixes = tuple(fixes)
    dropped = {fix.row for fix in fixes if fix.action == "drop"}
    first: dict[tuple[int, str], Fix] = {}
    beside, against = list[Fix](), list[Fix]()
    for fix in fixes:
        if fix.row in dropped and fix.action != "drop":
            beside.append(fix)
            continue
        chosen = first.setdefault((fix.row, "" if fix.action in ("drop", "move") else f"cell {fix.column}"), fix)
        if chosen.action != "drop" and chosen.new != fix.new:
            against.append(fix)
    notes = [
        f"{counted(len(some), 'proposed change')} {why} left out, the first is to {some[0].action} "
        f"{some[0].place}" + (f" to {some[0].new!r}" if some[0].new else "")
        for some, why in ((beside, "of rows that are dropped"), (against, "against one before"))
        if some
    ]
    return list(first.values()), tuple(notes)


def part_of(parts: Split, row: int) -> str:
    """The part that holds the row; empty if none does."""
    return next((part for part in PARTS if _holds_row(getattr(parts, part), row)), "")


def _check(dataset: Dataset, parts: Split, fix: Fix) -> None:
    """Raises DataError unless the old value is still there."""
    if fix.action == "move":
        if fix.new not in PARTS:
            raise DataError(f"a fix for {fix.place} moves it to {fix.new!r}", remedy="move to train, valid or test.")
        now = part_of(parts, fix.row)
        if fix.old and fix.old != now:
            problem = f"{fix.place} is in part {now!r}, not in {fix.old!r} as its fix says"
            raise DataError(problem, remedy="use the audit's split (--seed, --group, ...), or audit again.")
        return
    if fix.action == "drop" and (not fix.old or fix.column not in dataset.table.columns):
        return
    try:
        require_column(dataset, fix.column, "column")
    except DataError as error:
        problem = f"a fix for {fix.place} would {fix.action} a cell of {fix.column!r}: {error.problem}"
        raise DataError(problem, remedy=error.remedy) from None
    cells = dataset.table[fix.column]
    is_text = cells.dtype == pl.String or not (cells.dtype.is_nested() or cells.dtype == pl.Binary)
    if not is_text or cells.name in dataset.mapped:
        if fix.action == "drop":
            return
        problem = f"a fix for {fix.place} would write into {cells.name!r}, which holds no words, numbers or dates"
        raise DataError(problem, remedy="drop the row instead.")
    if not _holds(cells[fix.row], fix.old, cells.dtype):
        problem = f"{fix.place}: {cells.name!r} is {cells[fix.row]!r}, not {fix.old!r} as its fix says"
        raise DataError(problem, remedy="audit the data again, or correct that line of the fixes.")


def _holds_row(rows: np.ndarray, row: int) -> bool:
    place = int(np.searchsorted(rows, row))
    return place < len(rows) and int(rows[place]) == row


def _holds(cell: Any, old: str, dtype: pl.DataType) -> bool:  # Any: a cell
    if cell is None or (isinstance(cell, float) and isnan(cell)):
        return old.strip().lower() in MISSING
    if isinstance(cell, float):
        said = _read(old, dtype)
        return said is not None and isclose(said, cell, rel_tol=ROUNDED)
    return str(cell).strip() == old.strip() or _read(old, dtype) == cell


def _written(dataset: Dataset, name: str, fixes: Sequence[Fix]) -> pl.Series:
    """A column with new cells: of its type, of floats if whole numbers get a fraction, of numbers if all are now."""
    column, values = dataset.table[name], list[Any]()
    for fix in fixes:
        is_missing = fix.new.strip().lower() in MISSING
        value = None if is_missing else _read(fix.new, column.dtype)
        if value is None and (fix.action == "relabel" or not is_missing):
            problem = f"a fix for {fix.place} writes {fix.new!r} into {name!r}, which holds {column.dtype}"
            raise DataError(problem, remedy=REMEDY)
        values.append(value)
    if column.dtype.is_integer() and any(isinstance(value, float) for value in values):
        column = column.cast(pl.Float64)
    column = column.clone().scatter([fix.row for fix in fixes], pl.Series(values, dtype=column.dtype, strict=False))
    return typed_column(column) if suffix_of(Path(dataset.origin)) in DELIMITED else column


def _read(text: str, dtype: pl.DataType | type[pl.DataType]) -> Any:  # Any: a cell of that type
    """A cell from its text; None if it is not one. Whole-number columns also take fractions, as floats."""
    text = text.strip()
    if dtype == pl.String:
        return text
    if dtype == pl.Boolean:
        return True if text.lower() in YES else False if text.lower() in NO else None
    with suppress(ValueError):
        if dtype == pl.Date:
            return date.fromisoformat(text)
        if dtype == pl.Datetime:
            return datetime.fromisoformat(text)
        if dtype == pl.Time:
            return time.fromisoformat(text)
        if dtype.is_numeric():
            number = float(text)
            is_whole = dtype.is_integer() and number.is_integer()
            return (int(text) if "." not in text and "e" not in text.lower() else int(number)) if is_whole else (
                number if isfinite(number) else None
            )  # fmt: skip
    return None


def _moved(words: pl.Series, moves: Mapping[int, str]) -> pl.Series:
    return words.clone().scatter(list(moves), pl.Series(list(moves.values()), dtype=pl.String)) if moves else words


def _recut(parts: Split, kept: np.ndarray, moves: Mapping[int, str]) -> Split:
    """The parts after rows were moved and dropped; row numbers count the remaining rows."""
    part_of = np.full(len(kept), -1, np.int8)
    for number, name in enumerate(PARTS):
        part_of[getattr(parts, name)] = number
    for row, name in moves.items():
        part_of[row] = PARTS.index(name)
    now = part_of[kept]
    train, valid, test = (np.flatnonzero(now == number).astype(np.int64) for number in range(len(PARTS)))
    for name, rows in zip(PARTS, (train, valid, test), strict=True):
        if len(getattr(parts, name)) and not len(rows):
            raise DataError(f"the fixes leave no row in the {name} part", remedy="apply fewer of them.")
    return replace(parts, train=train, valid=valid, test=test)
