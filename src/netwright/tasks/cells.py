"""Questions of tasks about raw target cells; kinds read the cells."""

import polars as pl

from netwright.kinds.cells import plain_numbers
from netwright.records.errors import DataError


def hold_numbers(cells: pl.Series) -> bool:
    """Whether all nonmissing cells are numbers, or text that reads as numbers."""
    if cells.dtype.is_numeric():
        return True
    return cells.dtype == pl.String and 0 < cells.drop_nulls().len() == plain_numbers(cells).drop_nulls().len()


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
