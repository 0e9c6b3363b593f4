"""Raw rows from a reader: cells not yet encoded, and the place of each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.data.mapped import Mapped
from netwright.records.frames import Frames, Raw

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Dataset:
    """One row for each example. `notes` says what was skipped in reading: how many, and the first."""

    table: pl.DataFrame  # inputs and targets; cells as documented in kinds/
    targets: tuple[str, ...]  # columns to predict; empty if there is no target (prediction, language models)
    origin: str  # the data's name for people: a path, "array"
    places: pl.Series | None = None  # place of each row: line or row numbers (int), or file paths (text)
    parts: pl.Series | None = None  # "train", "valid" or "test" for each row, if the data say so
    kinds: Mapping[str, str] = field(default_factory=dict[str, str])  # known to the reader or stated by the user
    notes: tuple[str, ...] = ()
    unit: Literal["line", "row"] = "line"  # what numbers in `places` count: lines from 1, rows from 0
    mapped: Mapping[str, Mapped] = field(default_factory=dict[str, Mapped])  # columns whose cells are on disk
    skipped: tuple[str, ...] = ()  # other files among those of the rows
    spans: NDArray[np.int64] | None = None  # (rows, 2): the raw rows from and to which each was cut; see `Frames`
    are_apart: bool = False  # whether the task itself split its examples, and spans of two parts may meet
    groups: NDArray[np.int64] | None = None  # the group of each row, if rows are not independent
    order: NDArray[np.int64] | None = None  # of rows in time, if they were cut from raw rows
    raw: Raw | None = None  # the rows that examples were cut from
    raw_places: pl.Series | None = None  # place of each of them, as `places`
    found: str = ""  # what the task chose in cutting examples; see `Frames`
    names: pl.DataFrame | None = None  # columns beside the answers; see `Frames`
    times: pl.Series | None = None  # long format: for each series the list of its steps' times, as numbers

    def __len__(self) -> int:
        return self.table.height

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input columns, in the order of the data."""
        return tuple(name for name in self.table.columns if name not in self.targets)

    @property
    def overlaps(self) -> bool:
        """Whether examples see the same raw rows, as windows of a series do: then it says nothing if two are alike."""
        if self.spans is None:
            return False
        spans = self.spans[np.argsort(self.spans[:, 0], kind="stable")]
        if (spans[1:, 0] < np.maximum.accumulate(spans[:-1, 1])).any():
            return True
        return any(_repeats_memory(array) for one in self.mapped.values() for array in one.arrays)

    def locate(self, row: int) -> str:
        """`people.csv, line 12`, or the row's own file, or `array, row 3` (from 0)."""
        return self._place(self.places, row)

    def locate_raw(self, row: int) -> str:
        """As `locate`, for a row of `raw`."""
        return self._place(self.raw_places, row)

    def _place(self, places: pl.Series | None, row: int) -> str:
        if places is None:
            return f"{self.origin}, row {row}"
        place = places[row]
        return f"{self.origin}, {self.unit} {place}" if isinstance(place, int) else str(place)

    def cells(self, rows: NDArray[np.int64], names: Sequence[str]) -> pl.DataFrame:
        """The cells of some rows and columns, including those on disk."""
        found = self.table.select(names)[rows] if names else pl.DataFrame()
        there = [m.cells(found[name].to_numpy()).rename(name) for name, m in self.mapped.items() if name in names]
        return found.with_columns(there)

    def learned_from(self, cells: pl.Series) -> pl.Series:
        """Cells to learn a column from, of some rows: all, or a sample if they are on disk."""
        return (
            self.mapped[cells.name].sample(cells.to_numpy()).rename(cells.name) if cells.name in self.mapped else cells
        )

    def every(self, step: int) -> pl.DataFrame:
        """Each `step`-th row, including cells on disk."""
        return self.cells(np.arange(0, len(self), step), self.table.columns)

    def framed(self, frames: Frames, raw: Raw) -> Self:
        """The examples that the rows were cut into; each has the place of its first row."""
        first = frames.spans[:, 0]
        order = first if frames.order is None and frames.parts is None else frames.order
        places = pl.Series(first) if self.places is None else self.places[first]
        unit = "row" if self.places is None else self.unit
        mapped = {name: Mapped((array,)) for name, array in frames.arrays.items()}
        parts = None if self.parts is None else self.parts[first]
        return replace(
            self, table=frames.table, targets=frames.targets or self.targets, places=places, unit=unit,
            kinds={**self.kinds, **frames.kinds}, mapped=mapped, spans=frames.spans, groups=frames.blocks(),
            parts=parts if frames.parts is None else frames.parts, are_apart=frames.parts is not None, order=order,
            names=frames.names, notes=(*self.notes, *frames.notes), times=None, raw=raw,
            raw_places=self.places, found=frames.found,
        )  # fmt: skip

    def keep(self, mask: pl.Series, note: str) -> Self:
        """Only the rows for which `mask` is true, with a note that says which are gone and why."""
        counted = self.places is None
        places = pl.Series("place", range(len(self)), pl.Int64) if self.places is None else self.places
        return replace(
            self,
            table=self.table.filter(mask),
            places=places.filter(mask),
            parts=None if self.parts is None else self.parts.filter(mask),
            times=None if self.times is None else self.times.filter(mask),
            spans=_kept(self.spans, mask),
            groups=_kept(self.groups, mask),
            order=_kept(self.order, mask),
            notes=(*self.notes, note),
            unit="row" if counted else self.unit,
        )


def _repeats_memory(array: NDArray[Any]) -> bool:
    """Whether it is a view that shows some cells several times, such as numpy's `sliding_window_view`."""
    reach = sum((size - 1) * abs(stride) for size, stride in zip(array.shape, array.strides, strict=True))
    return array.size > 0 and reach + array.itemsize < array.nbytes


def _kept(values: NDArray[np.int64] | None, mask: pl.Series) -> NDArray[np.int64] | None:
    return None if values is None else values[mask.to_numpy()]
