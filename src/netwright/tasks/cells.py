"""Questions of tasks about raw target cells; kinds read the cells."""

import polars as pl

from netwright.kinds.cells import NEARLY_ALL
from netwright.kinds.date import Date
from netwright.kinds.number import Number, as_numbers
from netwright.kinds.written import TIME, other_units, share_of_numbers, way_of_writing
from netwright.records.errors import DataError, Unreadable

FEW_CLASSES = 20  # more distinct whole numbers are a quantity; digits, stars and months are fewer
ROWS_PER_CLASS = 3  # what repeats less often than this is a quantity
MOST = 0.5  # from this share of cells with numbers, many different texts may be badly written numbers


def hold_numbers(cells: pl.Series) -> bool:
    """Whether cells are numbers, or text that nearly always reads as numbers."""
    return Number.matches(cells)


def refuse_unclear(cells: pl.Series) -> None:
    """Raises an error that says both ways out if many different cells are dates, or most but not nearly all numbers."""
    is_duration = cells.dtype == pl.Duration or cells.dtype == pl.Time or way_of_writing(cells).unit == TIME
    if not is_duration and (cells.dtype.is_temporal() or (_are_many(cells) and Date.matches(cells))):
        raise DataError(
            f"{cells.name!r} holds dates, and no task predicts dates",
            remedy="write a number into it, such as days since a fixed day; "
            "if each date is a class, name the task classification.",
        )
    if cells.dtype != pl.String or not _are_many(cells):
        return
    if share_of_numbers(cells) < MOST:
        _refuse_measures(cells)
        return
    unread, other = as_numbers(cells).is_null() & cells.is_not_null(), other_units(cells)
    if int(other.sum()) <= (1 - NEARLY_ALL) * len(cells):
        other = cells.is_null()
    if hold_numbers(cells) and not other.any():
        return
    bad = {int(row): f"the target is {cells[int(row)]!r}" for row in (unread | other).arg_true()}
    if not bad:  # codes
        return
    is_clear = len(cells) - len(bad) >= MOST * len(cells) and not other.any()
    way = (
        "leave the others out by naming the task regression"
        if is_clear
        else "write one number in each cell, in one unit"
    )
    known, first = f"{len(cells) - len(bad):,} of {len(cells):,}", cells[next(iter(bad))]
    raise Unreadable(
        f"{known} cells of {cells.name!r} are numbers, all written in one way; the first other cell is {first!r}",
        f"to predict numbers, {way}; to predict each text as a class, name the task classification.",
        (),
        bad,
    )


def _refuse_measures(cells: pl.Series) -> None:
    """Raises DataError for texts that start with a digit and hardly repeat: `1h 20min`, `5½`, `5ft 11in`."""
    if hold_numbers(cells):  # times of day
        return
    present = cells.drop_nulls()
    start = present.str.strip_chars().str.contains(r"^[^\p{L}\d]{0,2}\d")
    if cells.n_unique() * ROWS_PER_CLASS > len(cells) and int(start.sum()) >= NEARLY_ALL * len(present):
        raise DataError(
            f"{cells.name!r} holds {cells.n_unique():,} different texts in {len(cells):,} rows, most starting with a "
            f"digit, such as {present[0]!r}",
            remedy="to predict numbers, write one number in each cell, in one unit; "
            "to predict each text as a class, name the task classification.",
        )


def _are_many(cells: pl.Series) -> bool:
    return cells.n_unique() > FEW_CLASSES


def only_column(cells: pl.DataFrame, task: str) -> pl.Series:
    """The one target column. Raises DataError for none or several."""
    if cells.width != 1:
        raise DataError(
            f"{task} predicts one column, but {cells.width} were given", remedy="choose one column as the target."
        )
    return cells.to_series()


def refuse_detail(task: str, detail: str) -> None:
    """For tasks without options. Raises DataError if the user wrote something after the task's name."""
    if detail:
        raise DataError(f"the task {task} takes no detail, got {detail!r}", remedy=f"write --task {task}.")
