"""Columns whose cells are in a user's arrays on disk: read and encoded a batch at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from netwright.kinds.image import DECODED
from netwright.records.schema import Field

LEAST_BYTES = 64 << 20  # a mapped array of this size or more stays on disk
LEARNED = DECODED  # rows that a column is learned from: as many as for images in memory
PASS_BYTES = 8 << 20  # read at once to find the extremes; a pass makes several copies


@final
@dataclass(frozen=True, eq=False)
class Mapped:
    """Arrays that form one column, one after the other. Its cells in the table are row numbers over all of them.

    Rows are read on request, so only batches are in memory.
    """

    arrays: tuple[NDArray[Any], ...]

    def __len__(self) -> int:
        return sum(map(len, self.arrays))

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows, in order: (len(rows), *shape)."""
        if len(self.arrays) == 1:
            return np.asarray(self.arrays[0][rows])
        starts = np.cumsum([0, *map(len, self.arrays)])
        taken = np.empty((len(rows), *self.arrays[0].shape[1:]), self.arrays[0].dtype)
        for start, end, array in zip(starts, starts[1:], self.arrays, strict=False):
            here = (rows >= start) & (rows < end)
            taken[here] = array[rows[here] - start]
        return taken

    def cells(self, rows: NDArray[np.int64]) -> pl.Series:
        """The same as raw cells."""
        return as_cells(self.take(rows))

    def sample(self, rows: NDArray[np.int64]) -> pl.Series:
        """Cells to learn from, evenly spread; for numbers other than bytes also those with the extremes."""
        spread = rows[:: -(-len(rows) // LEARNED)]
        if self.arrays[0].dtype == np.uint8:
            return self.cells(spread)
        return self.cells(np.union1d(spread, self._extremes(rows)))

    def _extremes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the least and the greatest value, and the first row with a gap; they make bounds and gaps exact."""
        rows = self._apart(rows)
        step = max(1, PASS_BYTES // self.arrays[0][:1].nbytes)
        least, greatest, gaps = list[NDArray[Any]](), list[NDArray[Any]](), list[NDArray[Any]]()
        for start in range(0, len(rows), step):
            block = self.take(rows[start : start + step]).reshape(len(rows[start : start + step]), -1)
            finite = np.isfinite(block)
            least.append(np.where(finite, block, np.inf).min(1))
            greatest.append(np.where(finite, block, -np.inf).max(1))
            gaps.append(np.asarray(~finite.all(1)))
        places = [np.concatenate(least).argmin(), np.concatenate(greatest).argmax(), np.concatenate(gaps).argmax()]
        return rows[places]

    def _apart(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows that hold all the numbers of ascending ones: fewer, if they are windows that overlap step by step."""
        array = self.arrays[0]
        if len(self.arrays) > 1 or array.ndim < 2 or array.strides[0] != array.strides[1] or not len(rows):
            return rows
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        since = np.arange(len(rows)) - np.repeat(np.r_[0, breaks], np.diff(np.r_[0, breaks, len(rows)]))
        is_last = np.diff(rows, append=rows[-1] + 2) != 1
        return rows[(since % array.shape[1] == 0) | is_last]


@final
@dataclass(frozen=True, eq=False)
class Encoder:
    """A mapped column for batches: from rows of the data to encoded rows. Kinds encode each row by itself."""

    field: Field
    mapped: Mapped
    numbers: NDArray[np.int64]  # for each row of the data, its row in the arrays

    def __call__(self, rows: Tensor) -> Tensor:
        """(len(rows), *shape), encoded."""
        return self.field.encode(self.mapped.cells(self.numbers[rows.numpy()]))


@final
@dataclass(frozen=True, eq=False)
class TargetEncoder:
    """One tensor of targets for batches, if some targets are on disk."""

    encode: Callable[[pl.DataFrame], tuple[Tensor, ...]]
    cells: Callable[[NDArray[np.int64]], pl.DataFrame]
    number: int

    def __call__(self, rows: Tensor) -> Tensor:
        """(len(rows), ...)."""
        return self.encode(self.cells(rows.numpy()))[self.number]


Column = Tensor | Encoder | TargetEncoder


def as_cells(array: NDArray[Any]) -> pl.Series:
    """Rows of more than one axis as cells: bytes stay bytes, other numbers become float32."""
    array = array.astype(np.uint8) if array.dtype == bool else array
    return pl.Series(np.ascontiguousarray(array, None if array.dtype == np.uint8 else np.float32))


def stays_mapped(data: Any) -> bool:  # Any: a user's object
    """Whether it is an array on disk (`np.memmap`, `np.load(..., mmap_mode="r")`) that should not be copied."""
    return isinstance(data, np.memmap) and data.ndim > 2 and data.nbytes > LEAST_BYTES and data.dtype.kind in "biuf"


def joined(columns: Sequence[Mapped]) -> Mapped:
    """One column from those of several parts."""
    return Mapped(tuple(array for column in columns for array in column.arrays))


def gathered(column: Column, rows: Tensor) -> Tensor:
    """Some rows of an encoded column, in memory or on disk."""
    if not isinstance(column, Tensor):
        return column(rows)
    return column.index_select(0, rows.to(column.device, non_blocking=True))


def numbers(count: int) -> pl.Series:
    """The cells of a mapped column in the table."""
    return pl.Series(range(count), dtype=pl.Int64)
