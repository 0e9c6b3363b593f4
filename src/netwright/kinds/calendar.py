"""The time of each step, as sines and cosines of the day, the week and the year."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from netwright.kinds.cells import array_shape, leaf, refuse_cells, refuse_detail, stacked
from netwright.kinds.markup import shaded, total
from netwright.models.stems import encoded
from netwright.records.errors import DataError, counted
from netwright.records.features import Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Signal

LOOK = 100  # cells that show whether waves are pairs
ROUNDING = 1e-3  # of the squares of a pair, which sum to 1


@final
@dataclass(frozen=True)
class Calendar(Field):
    """Encoded as they are: float32 (N, steps, waves), from -1 to 1. Tasks make them of time stamps.

    Nobody can change what time it is, so no attack moves them; and later rows have other times by nature, so no check
    compares them.
    """

    steps: int
    waves: int  # sine and cosine in turn

    kind: ClassVar[str] = "calendar"
    family: ClassVar[Family] = "steps"
    seen_as: ClassVar[str] = "calendar"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Float arrays (steps, waves) whose waves are pairs of a sine and a cosine."""
        shape = array_shape(cells)
        if len(shape) != 2 or shape[1] % 2 or not leaf(cells.dtype).is_float():
            return False
        values, _ = stacked(cells.head(LOOK))
        squares = np.square(values.reshape(-1, shape[1] // 2, 2)).sum(2)
        return bool(len(squares)) and bool((np.abs(squares - 1) < ROUNDING).all())

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """The shape. Raises DataError for cells that are not arrays (steps, waves) of floats."""
        refuse_detail(cls.kind, name, detail)
        shape = array_shape(cells)
        if len(shape) != 2 or not leaf(cells.dtype).is_float():
            raise refuse_cells(cls.kind, name, cells, "arrays (steps, waves) of floats")
        return cls(name=name, low=-1.0, high=1.0, reach=0.0, steps=shape[0], waves=shape[1])

    def channel_names(self) -> tuple[str, ...]:
        """Of each wave."""
        return tuple(f"wave {number}" for number in range(self.waves))

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, steps, waves) float32; NaN if missing. Raises DataError for another shape."""
        if array_shape(cells) != (self.steps, self.waves):
            problem = (
                f"column {self.name!r} has cells {array_shape(cells) or cells.dtype}, not {self.steps, self.waves}"
            )
            raise DataError(problem, remedy="cut new rows as in training.")
        values, present = stacked(cells)
        rows = np.full((len(cells), self.steps, self.waves), np.nan, np.float32)
        rows[present] = values
        return torch.from_numpy(rows)

    def lengths(self, encoded: Tensor) -> Tensor | None:
        """All steps."""
        return torch.full((len(encoded),), self.steps)

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """The sequence itself."""
        return encoded((fields[0].steps, fields[0].waves), recipe)

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """None: later rows are later."""
        return ()

    def describe(self) -> str:
        """`the time of 112 steps`."""
        return f"the time of {counted(self.steps, 'step')}"

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The number of steps."""
        return shaded("missing") if cell is None else shaded(self.describe(), total(attribution))
