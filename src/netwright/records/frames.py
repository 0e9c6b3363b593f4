"""Examples cut from the data before the split, if an example is more than one row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.records.source import UNSAID, Source


@final
@dataclass(frozen=True, eq=False)
class Raw:
    """Rows of the data before they are cut, sorted by owner and time; both are null nowhere."""

    table: pl.DataFrame  # the columns without those of owner and time
    targets: tuple[str, ...]  # empty for new rows to answer
    owners: pl.Series | None = None  # whose each row is: a series, a user; None: all rows are one's
    times: pl.Series | None = None  # numbers, dates or datetimes; None: rows are in order
    source: Source = UNSAID  # what the user said about the columns
    parts: pl.Series | None = None  # "train", "valid" or "test" for each row, if a column says so


@final
@dataclass(frozen=True, eq=False)
class Frames:
    """Examples cut from rows: windows of a series, for instance.

    `table` has a row for each example, with inputs and targets under their own names. If `arrays` has the column, its
    cells are row numbers of that array. The array is a view, such as numpy's `sliding_window_view`, so overlapping
    windows are not copied. The spans of two parts share no row: examples whose spans cross a cut are left out. A task
    that looks back may leave the past out of its spans if no example sees a row of a later part: then a span holds
    what is predicted.
    """

    table: pl.DataFrame
    spans: NDArray[np.int64]  # (N, 2): the first row of the data in each example, and the one after its last; see above
    arrays: Mapping[str, NDArray[Any]]
    kinds: Mapping[str, str]  # of input columns, if known without a guess
    groups: NDArray[np.int64] | None = None  # (N,): intervals resample whole groups; None: blocks as long as a span
    order: NDArray[np.int64] | None = None  # (N,): by time; None: by the start of the spans, if there are no `parts`
    parts: pl.Series | None = (
        None  # "train", "valid" or "test" for each example, if the task splits; then spans may meet
    )
    targets: tuple[str, ...] = ()  # columns to predict; empty: those of the data
    found: str = ""  # what the task chose in cutting, as the detail that `learn` gets; "": what the user wrote
    names: pl.DataFrame | None = None  # what each answer is for: columns beside the answers, found by those in both
    notes: tuple[str, ...] = ()

    def blocks(self) -> NDArray[np.int64]:
        """The group of each example."""
        if self.groups is not None:
            return self.groups
        first, end = self.spans.T
        return first // max(1, int((end - first).max(initial=1)))
