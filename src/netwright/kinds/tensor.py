"""Columns that are already encoded by an engineer's own pipeline."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from netwright.kinds.cells import array_shape, leaf, refuse_cells, refuse_detail, stacked
from netwright.kinds.markup import figure, shaded, total
from netwright.models.stems import encoded
from netwright.records.errors import DataError
from netwright.records.recipe import Recipe
from netwright.records.schema import Field, Signal
from netwright.records.threat import FIXED, Reach, Way


@final
@dataclass(frozen=True)
class TensorField(Field):
    """Arrays that pass through unchanged: (N, *shape) of their own type; missing rows are NaN, or 0 for integers."""

    shape: tuple[int, ...]
    dtype: str  # numpy's name: "float32", "int64"

    kind: ClassVar[str] = "tensor"
    seen_as: ClassVar[str] = "tensor"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Arrays of numbers that no other kind matches."""
        return bool(array_shape(cells)) and leaf(cells.dtype).is_numeric()

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """Shape, type and bounds. Raises DataError for cells that are not arrays of numbers."""
        refuse_detail(cls.kind, name, detail)
        if not cls.matches(cells):
            raise refuse_cells(cls.kind, name, cells, "arrays of numbers, all of one shape")
        values, _ = stacked(cells)
        finite = values[np.isfinite(values)]
        return cls(
            name=name,
            low=float(finite.min()) if finite.size else 0.0,
            high=float(finite.max()) if finite.size else 0.0,
            reach=0.0,  # only the engineer knows which changes are small
            shape=array_shape(cells),
            dtype=str(values.dtype),
        )

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, *shape), unchanged. Raises DataError for another shape."""
        shape = array_shape(cells)
        if shape != self.shape:
            raise DataError(
                f"column {self.name!r}: expected arrays of shape {self.shape}, got {shape or cells.dtype}",
                remedy="encode new rows like the training rows.",
            )
        values, present = stacked(cells)
        if present.all():
            return torch.from_numpy(np.array(values, dtype=self.dtype))  # a copy: polars' memory is read-only
        rows = np.full((len(cells), *shape), np.nan if "float" in self.dtype else 0, dtype=self.dtype)
        rows[present] = values
        return torch.from_numpy(rows)

    def lengths(self, encoded: Tensor) -> Tensor | None:
        """All steps of shapes (T, W)."""
        return torch.full((len(encoded),), self.shape[0]) if len(self.shape) == 2 else None

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """A sequence for shapes (T, W), a map for (C, H, W), a flat vector for any other."""
        return encoded(fields[0].shape, recipe)

    @classmethod
    def way(cls, fields: tuple[Self, ...], reach: Reach) -> Way:
        """Every value of floats, within the training range."""
        (field,) = fields
        unit = reach.unit(field.name, field.low, field.high, field.reach)
        return Way(torch.tensor(unit), field.low, field.high) if "float" in field.dtype else FIXED

    def describe(self) -> str:
        """`tensors 3 x 32 x 32 of float32, -2.1 to 2.6`."""
        size = " x ".join(map(str, self.shape))
        return f"tensors {size} of {self.dtype}, {figure(self.low)} to {figure(self.high)}"

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """Shape and bounds of the cell."""
        if cell is None:
            return shaded("missing")
        values = np.asarray(cell)
        size = " x ".join(map(str, values.shape))
        return shaded(f"{size}, {figure(float(values.min()))} to {figure(float(values.max()))}", total(attribution))
