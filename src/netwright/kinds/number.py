"""Numbers: measured or counted, typed as numbers or as text."""

from dataclasses import dataclass, field
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from netwright.kinds.cells import Values, lost, refuse_cells, refuse_detail, refuse_missing, robust, words
from netwright.kinds.markup import figure, shaded, share, total
from netwright.kinds.written import Writing, holds_numbers, read_text, way_of_writing, written_otherwise
from netwright.models.stems import NumberColumn, numbers
from netwright.records.errors import counted
from netwright.records.features import Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Odd, Signal
from netwright.records.threat import Reach, Way

BINS = 48  # pieces of the piecewise-linear encoding, as Gorishniy et al. 2022 use (arXiv:2203.05556)
INVISIBLE = 0.1  # of the robust scale: a change too small to matter
DECIMALS = 3  # that a column is written with, at most
OFF, MOST_OFF = 1e-3, 0.02  # steps from a multiple that are rounding; beyond the second, float32 cannot tell
BLURRED = 1e-3  # of the robust scale: coarser steps of float32 lose what a network could learn


@final
@dataclass(frozen=True)
class Number(Field):
    """Encoded as float32 in the column's own units, (N,); NaN if missing, unreadable or infinite.

    Whole numbers of few values (0/1, grades) are numbers too; texts of digits with leading zeros are categories.
    Cells outside [low, high] are not clipped: the stem flattens them smoothly.
    """

    center: float  # median
    scale: float  # factor to a spread of about one; 0 if the column is constant
    knots: tuple[float, ...]  # ascending quantiles; fewer than two if the column is constant
    missing: float  # share of training cells that are NaN
    unreadable: int  # training cells that are neither numbers nor missing
    example: str  # the first of them
    infinite: int
    decimal_comma: bool  # texts are written 1.234,5
    unit: str | None = field(default=None, compare=False)  # see `Writing`; None in runs that did not keep it
    step: float = field(default=0.0, compare=False)  # all training cells are multiples: 1, .1, ...; 0 if of none
    origin: float = 0.0  # encoded cells count from here: float32 cannot hold small steps between great numbers

    kind: ClassVar[str] = "number"
    family: ClassVar[Family] = "numbers"
    joins: ClassVar[bool] = True
    seen_as: ClassVar[str] = "number"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Numeric columns, durations, times of day, and texts that are nearly all numbers."""
        if cells.dtype.is_numeric() or cells.dtype == pl.Duration or cells.dtype == pl.Time:
            return True
        if cells.dtype != pl.String:
            return False
        return holds_numbers(cells)

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """Center, scale and quantiles. Raises DataError for columns that cannot hold numbers."""
        refuse_detail(cls.kind, name, detail)
        writing = way_of_writing(cells)
        column = read_numbers(name, cells, writing)
        origin = _origin(column)
        values = (column - origin if origin else column).cast(pl.Float32).to_numpy()
        finite = values[np.isfinite(values)].astype(np.float64)
        bad = _unreadable(cells, column)
        center, scale = robust(finite) if len(finite) else (0.0, 0.0)
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
        return cls(
            name=name,
            low=low,
            high=high,
            reach=INVISIBLE / scale if scale else 0.0,
            center=center,
            scale=scale,
            knots=_knots(finite),
            missing=1 - len(finite) / max(len(cells), 1),
            unreadable=len(bad),
            example=bad[0] if len(bad) else "",
            infinite=int(np.isinf(values).sum()),
            decimal_comma=writing.decimal_comma,
            unit=writing.unit,
            step=_step(finite),
            origin=origin,
        )

    def encode(self, cells: pl.Series) -> Tensor:
        """(N,) float32, raw; NaN for anything but a finite number."""
        column = self.values(cells)
        column = column - self.origin if self.origin else column
        values = column.cast(pl.Float32).to_numpy(writable=True)
        np.copyto(values, np.nan, where=np.isinf(values))
        return refuse_missing(self, cells, torch.from_numpy(values))

    def odd(self, cells: pl.Series) -> tuple[Odd, ...]:
        """Texts that are not numbers, infinite numbers, and numbers with another sign or unit."""
        if cells.dtype.is_integer() and not self.unit:
            return ()
        read = self.values(cells)
        infinite = Odd("are infinite: read as missing", read.is_infinite().fill_null(False))
        if self.unit is None:
            return (*lost(cells, read, "numbers"), infinite)
        otherwise = written_otherwise(cells, self._writing) & read.is_not_null()
        return (*lost(cells, read, "numbers"), infinite, Odd("are written otherwise than in training", otherwise))

    @property
    def as_written(self) -> bool:
        """Text like 1.234 would be read as a decimal, not as thousands."""
        return self.decimal_comma

    @property
    def _writing(self) -> Writing:
        return Writing(self.decimal_comma, self.unit or "")

    def values(self, cells: pl.Series) -> pl.Series:
        """Float64 as in the cells; null if a cell is missing or not a number."""
        return read_numbers(self.name, cells, self._writing)

    def decode(self, encoded: Tensor) -> pl.Series:
        """The numbers."""
        numbers = encoded.cpu().numpy()
        return pl.Series(self.name, numbers.astype(np.float64) + self.origin if self.origin else numbers)

    def said(self, encoded: Tensor) -> str:
        """As people write it, with six digits."""
        number = self.decode(encoded.reshape(1))[0]
        return "missing" if number != number else figure(number)

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """Scaled, smoothly clipped and embedded by `recipe.embedding`: a vector."""
        return numbers([NumberColumn(f.center, f.scale, f.knots, f.missing > 0) for f in fields], recipe)

    @classmethod
    def way(cls, fields: tuple[Self, ...], reach: Reach) -> Way:
        """Within the training range; whole numbers stay whole, and prices have two decimals."""
        rows = [(reach.unit(f.name, f.low, f.high, f.reach), f.low, f.high, f.step) for f in fields]
        unit, low, high, step = (torch.tensor(column) for column in zip(*rows, strict=True))
        return Way(unit, low, high, step)

    def describe(self) -> str:
        """`numbers 17 to 90, 3 % missing`."""
        if self.missing == 1:
            return "no numbers"
        low, high = self.low + self.origin, self.high + self.origin
        parts = [f"numbers {figure(low)} to {figure(high)}" if low < high else f"always {figure(low)}"]
        if self.missing:
            parts.append(f"{share(self.missing)} missing")
        if self.unreadable:
            cells = counted(self.unreadable, "cell is", "cells are")
            parts.append(f"{cells} not a number (first: {self.example!r}), read as missing")
        if self.infinite:
            parts.append(f"{counted(self.infinite, 'cell is', 'cells are')} infinite, read as missing")
        return ", ".join((*parts, *self._writing.remarks()))

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """The numbers as they are."""
        return tuple(
            Summary(f.name, f.name, column.astype(np.float64) + f.origin if f.origin else column)
            for f, column in zip(fields, cells.numpy().T, strict=True)
        )

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The number as written."""
        return shaded("missing" if cell is None else str(cell), total(attribution))


def as_numbers(cells: pl.Series) -> pl.Series:
    """Float64, read as the column itself writes numbers; null if a cell is missing or not a number."""
    return read_numbers(cells.name, cells, way_of_writing(cells))


def read_numbers(name: str, cells: pl.Series, writing: Writing) -> pl.Series:
    """Float64; null if a cell is missing or not a number."""
    if cells.dtype == pl.Categorical or isinstance(cells.dtype, pl.Enum):
        cells = cells.cast(pl.String)
    if cells.dtype == pl.String:
        return read_text(cells, writing)
    if cells.dtype == pl.Duration:
        return cells.dt.total_microseconds() / 1e6  # seconds
    if cells.dtype == pl.Time:
        return cells.cast(pl.Int64) / 1e9  # seconds of the day
    if cells.dtype.is_numeric() or cells.dtype == pl.Boolean or cells.dtype == pl.Null:
        return cells.cast(pl.Float64)
    raise refuse_cells(Number.kind, name, cells, "numbers or text")


def _unreadable(cells: pl.Series, column: pl.Series) -> pl.Series:
    if cells.dtype != pl.String:
        return cells.clear()
    return words(cells.filter(column.is_null())).drop_nulls()


def _origin(column: pl.Series) -> float:
    """A whole number to count from if float32 would blur the column; else 0."""
    values = column.drop_nulls().to_numpy()
    values = values[np.isfinite(values)]
    center, scale = robust(values) if len(values) else (0.0, 0.0)
    is_blurred = abs(center) * float(np.finfo(np.float32).eps) * scale > BLURRED
    return float(np.floor(center)) if is_blurred else 0.0


def _step(values: Values) -> float:
    """The largest of 1, .1, .01, .001 of which all values are multiples, as far as float32 can tell; 0 if of none."""
    for decimals in range(DECIMALS + 1) if len(values) else ():
        scaled = values * 10.0**decimals
        off = OFF + float(np.finfo(np.float32).eps * np.abs(scaled).max())
        if off > MOST_OFF:
            break
        if np.abs(scaled - np.round(scaled)).max() <= off:
            return 10.0**-decimals
    return 0.0


def _knots(values: Values) -> tuple[float, ...]:
    """Distinct quantiles, including the least and the greatest value.

    A value that fills more than one bin counts as one bin. Otherwise the zeros of a column that is nearly always 0
    would take every knot, and leave none for the informative numbers.
    """
    if not len(values):
        return ()
    distinct, counts = np.unique(values, return_counts=True)
    reached = np.cumsum(np.minimum(counts, max(1.0, len(values) / BINS)))
    places = np.searchsorted(reached, np.linspace(0, reached[-1], BINS + 1)).clip(max=len(distinct) - 1)
    return tuple(np.unique(distinct[places]).tolist())
