"""What data are cut into before they are split, if an example is no single row."""

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

    `table` has a row for each example, with the inputs and the targets, which keep their names. Cells of a column that
    is among `arrays` are row numbers of its array: a view, such as numpy's `sliding_window_view`, so that overlapping
    windows are not copied. No two parts share a row of the data: examples whose spans cross a cut are left out.
    """

    table: pl.DataFrame
    spans: NDArray[np.int64]  # (N, 2): the first row of the data in each example, and the one after its last
    arrays: Mapping[str, NDArray[Any]]
    kinds: Mapping[str, str]  # of input columns, where no guess is needed
    groups: NDArray[np.int64] | None = None  # (N,): intervals resample whole groups; None: blocks as long as a span
    order: NDArray[np.int64] | None = None  # (N,): by time; None: as the spans begin

    def blocks(self) -> NDArray[np.int64]:
        """The group of each example."""
        if self.groups is not None:
            return self.groups
        first, end = self.spans.T
        return first // max(1, int((end - first).max(initial=1)))
