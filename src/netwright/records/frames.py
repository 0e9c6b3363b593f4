"""Examples cut from the data before the split, if an example is more than one row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import polars as pl
from numpy.typing import NDArray


@final
@dataclass(frozen=True, eq=False)
class Frames:
    """Examples cut from rows: windows of a series, for instance.

    `table` has a row for each example, with inputs and targets under their own names. If `arrays` has the column, its
    cells are row numbers of that array. The array is a view, such as numpy's `sliding_window_view`, so overlapping
    windows are not copied. No two parts share a row of the data: examples whose spans cross a cut are left out.
    """

    table: pl.DataFrame
    spans: NDArray[np.int64]  # (N, 2): the first row of the data in each example, and the one after its last
    arrays: Mapping[str, NDArray[Any]]
    kinds: Mapping[str, str]  # of input columns, if known without a guess
    groups: NDArray[np.int64] | None = None  # (N,): intervals resample whole groups; None: blocks as long as a span
    order: NDArray[np.int64] | None = None  # (N,): by time; None: by the start of the spans

    def blocks(self) -> NDArray[np.int64]:
        """The group of each example."""
        if self.groups is not None:
            return self.groups
        first, end = self.spans.T
        return first // max(1, int((end - first).max(initial=1)))
