"""Raw rows as a reader found them: cells not yet encoded, and where each row stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.data.mapped import Mapped
from netwright.records.frames import Frames

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Dataset:
    """One row for each example. What was skipped while reading is in `notes`, counted and with the first named."""

    table: pl.DataFrame  # inputs and targets; cells as documented in kinds/
    targets: tuple[str, ...]  # columns to predict; empty where there is no target (prediction, language models)
    origin: str  # what a person calls the data: a path, "array"
    places: pl.Series | None = None  # where each row stands: line or row numbers (int), or file paths (text)
    parts: pl.Series | None = None  # "train", "valid" or "test" for each row, where the data say so
    kinds: Mapping[str, str] = field(default_factory=dict[str, str])  # kinds that the reader knows or the user said
    notes: tuple[str, ...] = ()
    unit: Literal["line", "row"] = "line"  # what numbers in `places` count: lines from 1, rows from 0
    mapped: Mapping[str, Mapped] = field(default_factory=dict[str, Mapped])  # columns whose cells stand on disk
    skipped: tuple[str, ...] = ()  # files that stand among the rows' files and are no rows
    spans: NDArray[np.int64] | None = None  # (rows, 2): the raw rows from and to which each was cut; see `Frames`
    groups: NDArray[np.int64] | None = None  # whom each row belongs to, where rows are not independent
    order: NDArray[np.int64] | None = None  # of rows in time, where they were cut from raw rows
    times: pl.Series | None = None  # long format: a list for each series, when each step was, as numbers

    def __len__(self) -> int:
        return self.table.height

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input columns, in the order of the data."""
        return tuple(name for name in self.table.columns if name not in self.targets)

    def locate(self, row: int) -> str:
        """`people.csv, line 12`, or the row's own file, or `array, row 3` (from 0)."""
        if self.places is None:
            return f"{self.origin}, row {row}"
        place = self.places[row]
        return f"{self.origin}, {self.unit} {place}" if isinstance(place, int) else str(place)

    def cells(self, rows: NDArray[np.int64], names: Sequence[str]) -> pl.DataFrame:
        """The cells of some rows and columns, those that stand on disk too."""
        found = self.table.select(names)[rows] if names else pl.DataFrame()
        there = [m.cells(found[name].to_numpy()).rename(name) for name, m in self.mapped.items() if name in names]
        return found.with_columns(there)

    def learned_from(self, cells: pl.Series) -> pl.Series:
        """What to learn a column from, of some rows of it: all cells, or a sample of those that stand on disk."""
        return (
            self.mapped[cells.name].sample(cells.to_numpy()).rename(cells.name) if cells.name in self.mapped else cells
        )

    def every(self, step: int) -> pl.DataFrame:
        """Each `step`-th row, with the cells of columns that stand on disk."""
        return self.cells(np.arange(0, len(self), step), self.table.columns)

    def framed(self, frames: Frames) -> Self:
        """The examples that the rows were cut into; one stands where its first row does."""
        first = frames.spans[:, 0]
        order = first if frames.order is None else frames.order
        places = pl.Series(first) if self.places is None else self.places[first]
        unit = "row" if self.places is None else self.unit
        mapped = {name: Mapped((array,)) for name, array in frames.arrays.items()}
        return replace(
            self, table=frames.table, places=places, unit=unit, kinds={**self.kinds, **frames.kinds}, mapped=mapped,
            parts=None if self.parts is None else self.parts[first], spans=frames.spans, groups=frames.blocks(),
            order=order, times=None,
        )  # fmt: skip

    def keep(self, mask: pl.Series, note: str) -> Self:
        """Only the rows where `mask` is true, with a note that says which are gone and why."""
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


def _kept(values: NDArray[np.int64] | None, mask: pl.Series) -> NDArray[np.int64] | None:
    return None if values is None else values[mask.to_numpy()]
