"""What tasks ask of raw target cells; kinds read them."""

import polars as pl

from netwright.kinds.cells import plain_numbers
from netwright.records.errors import DataError


def hold_numbers(cells: pl.Series) -> bool:
    """Whether all cells that are not missing are numbers, or text that reads as numbers."""
    if cells.dtype.is_numeric():
        return True
    return cells.dtype == pl.String and 0 < cells.drop_nulls().len() == plain_numbers(cells).drop_nulls().len()


def only_column(cells: pl.DataFrame, task: str) -> pl.Series:
    """The one target column. Raises DataError for none or several."""
    if cells.width != 1:
        raise DataError(
            f"{task} predicts one column, and {cells.width} were given", remedy="choose one column as the target."
        )
    return cells.to_series()


def refuse_detail(task: str, detail: str) -> None:
    """For tasks that have nothing to choose. Raises DataError if the user wrote something after the task's name."""
    if detail:
        raise DataError(f"the task {task} takes no detail, but {detail!r} came", remedy=f"write --task {task}.")
