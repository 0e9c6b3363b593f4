"""Raw rows as a reader found them: cells not yet encoded, and where each row stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import polars as pl

from netwright.data.mapped import Mapped

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

    def learned_from(self, cells: pl.Series) -> pl.Series:
        """What to learn a column from, of some rows of it: all cells, or a sample of those that stand on disk."""
        return (
            self.mapped[cells.name].sample(cells.to_numpy()).rename(cells.name) if cells.name in self.mapped else cells
        )

    def every(self, step: int) -> pl.DataFrame:
        """Each `step`-th row, with the cells of columns that stand on disk."""
        rows = self.table.gather_every(step)
        return rows.with_columns([m.cells(rows[name].to_numpy()).rename(name) for name, m in self.mapped.items()])

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
            notes=(*self.notes, note),
            unit="row" if counted else self.unit,
        )
