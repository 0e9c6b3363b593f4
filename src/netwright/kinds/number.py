"""Numbers: measured or counted, typed as numbers or as text."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from netwright.kinds.cells import (
    NEARLY_ALL,
    Values,
    each_distinct,
    refuse_cells,
    refuse_detail,
    refuse_missing,
    robust,
    sample,
    words,
)
from netwright.kinds.markup import figure, shaded, share, total
from netwright.models.stems import NumberColumn, numbers
from netwright.records.errors import counted
from netwright.records.features import Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Signal

BINS = 48  # pieces of the piecewise-linear encoding, as Gorishniy et al. 2022 use (arXiv:2203.05556)
CODE_LIKE = 0.01  # from this share of texts with a leading zero (zip codes), digits are names, not numbers
INVISIBLE = 0.1  # of the robust scale: a change too small to matter

_COMMA = r"^[+-]?(?:\d+|\d{1,3}(?:[. ']\d{3})+),\d+$"  # 3,14 and 1.234,5
_POINT = r"^[+-]?(?:0?\.\d+|\d+\.(?:\d{1,2}|\d{4,})|\d{4,}\.\d+)$"  # 3.14; not 1.234, which may be a thousand
_THOUSANDS = r"^[+-]?\d{1,3}(?:[, '\u{a0}\u{202f}]\d{3})+(?:\.\d+)?$"  # 1,234.5


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
        present = words(sample(cells)).drop_nulls()
        if present.is_empty() or _share(present.str.contains(r"^[+-]?0\d")) >= CODE_LIKE:
            return False
        return _share(_read_text(present, _has_decimal_comma(present)).is_not_null()) >= NEARLY_ALL

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """Center, scale and quantiles. Raises DataError for columns that cannot hold numbers."""
        refuse_detail(cls.kind, name, detail)
        decimal_comma = has_decimal_comma(cells)
        column = read_numbers(name, cells, decimal_comma=decimal_comma)
        values = column.cast(pl.Float32).to_numpy()
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
            decimal_comma=decimal_comma,
        )

    def encode(self, cells: pl.Series) -> Tensor:
        """(N,) float32, raw; NaN for anything but a finite number."""
        values = self.values(cells).cast(pl.Float32).to_numpy(writable=True)
        np.copyto(values, np.nan, where=np.isinf(values))
        return refuse_missing(self, cells, torch.from_numpy(values))

    def values(self, cells: pl.Series) -> pl.Series:
        """Float64 as in the cells; null if a cell is missing or not a number."""
        return read_numbers(self.name, cells, decimal_comma=self.decimal_comma)

    def decode(self, encoded: Tensor) -> pl.Series:
        """The numbers."""
        return pl.Series(self.name, encoded.cpu().numpy())

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """Scaled, smoothly clipped and embedded by `recipe.embedding`: a vector."""
        return numbers([NumberColumn(f.center, f.scale, f.knots, f.missing > 0) for f in fields], recipe)

    def describe(self) -> str:
        """`numbers 17 to 90, 3 % missing`."""
        if self.missing == 1:
            return "no numbers"
        parts = [f"numbers {figure(self.low)} to {figure(self.high)}"]
        if self.low == self.high:
            parts = [f"always {figure(self.low)}"]
        if self.missing:
            parts.append(f"{share(self.missing)} missing")
        if self.unreadable:
            cells = counted(self.unreadable, "cell is", "cells are")
            parts.append(f"{cells} not a number (first: {self.example!r}), read as missing")
        if self.infinite:
            parts.append(f"{counted(self.infinite, 'cell is', 'cells are')} infinite, read as missing")
        if self.decimal_comma:
            parts.append("decimal comma")
        return ", ".join(parts)

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """The numbers as they are."""
        return tuple(Summary(f.name, f.name, column) for f, column in zip(fields, cells.numpy().T, strict=True))

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The number as written."""
        return shaded("missing" if cell is None else str(cell), total(attribution))


def has_decimal_comma(cells: pl.Series) -> bool:
    """Whether a column of text has numbers like 1.234,5."""
    return cells.dtype == pl.String and _has_decimal_comma(words(sample(cells)).drop_nulls())


def read_numbers(name: str, cells: pl.Series, *, decimal_comma: bool) -> pl.Series:
    """Float64; null if a cell is missing or not a number."""
    if cells.dtype == pl.Categorical or isinstance(cells.dtype, pl.Enum):
        cells = cells.cast(pl.String)
    if cells.dtype == pl.String:
        return _read_text(cells, decimal_comma)
    if cells.dtype == pl.Duration:
        return cells.dt.total_microseconds() / 1e6  # seconds
    if cells.dtype == pl.Time:
        return cells.cast(pl.Int64) / 1e9  # seconds of the day
    if cells.dtype.is_numeric() or cells.dtype == pl.Boolean or cells.dtype == pl.Null:
        return cells.cast(pl.Float64)
    raise refuse_cells(Number.kind, name, cells, "numbers or text")


def _read_text(cells: pl.Series, decimal_comma: bool) -> pl.Series:
    if decimal_comma:
        return each_distinct(cells, lambda c: _read_written(c, decimal_comma))
    values = cells.cast(pl.Float64, strict=False)
    hard = (values.is_null() & cells.is_not_null()).arg_true()  # usually few: the fast cast reads the rest
    if hard.is_empty():
        return values
    return values.scatter(hard, each_distinct(cells.gather(hard), lambda c: _read_written(c, decimal_comma)))


def _read_written(cells: pl.Series, decimal_comma: bool) -> pl.Series:
    """Numbers as people write them: `$ 1,234.50`, `12 %`."""
    bare = _bare(words(cells))
    frame = bare.alias("cell").to_frame()
    cell = pl.col("cell")
    if decimal_comma:
        plain = cell.str.replace_all(r"[. ']", "").str.replace(",", ".", literal=True)
    else:
        plain = pl.when(cell.str.contains(_THOUSANDS)).then(cell.str.replace_all(r"[^\d.+-]", "")).otherwise(cell)
    return frame.select(plain.cast(pl.Float64, strict=False))["cell"].alias(cells.name)


def _bare(texts: pl.Series) -> pl.Series:
    """Without currency and percent signs."""
    return texts.str.replace(r"^([+-]?)[$€£¥]\s*", "$1").str.replace(r"\s*[%$€£¥]$", "")


def _has_decimal_comma(texts: pl.Series) -> bool:
    """Whether more cells have a decimal comma than a decimal point or commas between thousands."""
    bare = _bare(texts)
    return int(bare.str.contains(_COMMA).sum()) > int(bare.str.contains(f"{_THOUSANDS}|{_POINT}").sum())


def _unreadable(cells: pl.Series, column: pl.Series) -> pl.Series:
    if cells.dtype != pl.String:
        return cells.clear()
    return words(cells.filter(column.is_null())).drop_nulls()


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


def _share(claims: pl.Series) -> float:
    return int(claims.sum()) / len(claims)
