"""Raw rows as a reader found them: cells not yet encoded, and where each row stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import polars as pl

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Dataset:
    """One row for each example. What was skipped while reading is in `notes`, counted and with the first named."""

    table: pl.DataFrame  # inputs and targets; cells as documented in kinds/
    targets: tuple[str, ...]  # columns to predict; empty where there is no target (prediction, language models)
    origin: str  # what a person calls the data: a path, "array"
    places: pl.Series | None = None  # where each row stands: line numbers (int) or file paths (text); None counts rows
    parts: pl.Series | None = None  # "train", "valid" or "test" for each row, where the data say so
    kinds: Mapping[str, str] = field(default_factory=dict[str, str])  # kinds that the reader knows or the user said
    notes: tuple[str, ...] = ()

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
        return f"{self.origin}, line {place}" if isinstance(place, int) else str(place)

    def keep(self, mask: pl.Series, note: str) -> Self:
        """Only the rows where `mask` is true, with a note that says which are gone and why."""
        return replace(
            self,
            table=self.table.filter(mask),
            places=None if self.places is None else self.places.filter(mask),
            parts=None if self.parts is None else self.parts.filter(mask),
            notes=(*self.notes, note),
        )
