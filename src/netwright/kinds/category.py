"""Categories: names, codes, truth values."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self, final

import polars as pl
import torch
from torch import Tensor, nn

from netwright.kinds.cells import (
    NEARLY_ALL,
    each_distinct,
    is_single,
    names,
    one_spelling,
    positions,
    refuse_cells,
    refuse_detail,
    refuse_missing,
    sample,
    words,
)
from netwright.kinds.features import one_hot
from netwright.kinds.markup import shaded, share, total
from netwright.models.stems import categories
from netwright.records.errors import counted
from netwright.records.features import ALL, Features, Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Odd, Signal
from netwright.records.threat import FIXED, Reach, Way

UNSEEN, ABSENT, FIRST = 0, 1, 2  # indexes: not seen in training, missing, the most frequent value
RARE_OR_UNSEEN = "rare or unseen"  # what index 0 is called
RARE = 3  # rows; a value seen less often tells nothing by itself, but teaches what an unseen value means
FEW = 0.1  # distinct values per cell, up to which texts are categories
FEW_AT_LEAST = 20  # distinct values that are few in a small table too, if each occurs twice on average

_CLOSED = (pl.Boolean, pl.Categorical, pl.Enum, pl.Null)
_NAME = (
    r"^[\w.\-'+&#/]{1,32}$"  # one word or code; email and web addresses have other characters, and words to learn from
)
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]{7}"  # their phrases need no spaces


@final
@dataclass(frozen=True)
class Category(Field):
    """Encoded as int32 indexes (N,): 0 unseen or rare in training, 1 missing, from 2 on by descending frequency."""

    values: tuple[str, ...]  # by descending frequency
    rare: int  # distinct values seen in fewer than RARE rows: encoded as unseen
    missing: float  # share of training cells

    kind: ClassVar[str] = "category"
    family: ClassVar[Family] = "labels"
    joins: ClassVar[bool] = True
    seen_as: ClassVar[str] = "category"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Booleans, categorical columns, and texts with few distinct values or of single words."""
        if any(cells.dtype == dtype for dtype in _CLOSED):
            return True
        if cells.dtype != pl.String:
            return False
        count, distinct = cells.count(), cells.n_unique()  # of all cells: a sample has fewer of each value
        if distinct <= max(FEW * count, min(FEW_AT_LEAST, count / 2)):
            return True
        single = words(sample(cells)).drop_nulls().unique()
        is_name = single.str.contains(_NAME) & ~single.str.contains(_UNSPACED)
        return int(is_name.sum()) >= NEARLY_ALL * len(single)

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """The values that are frequent enough. Raises DataError for columns of lists and the like."""
        refuse_detail(cls.kind, name, detail)
        raw = cells.alias("raw").value_counts(name="rows")
        counts = (
            pl.DataFrame({"value": one_spelling(_as_text(name, raw["raw"])), "rows": raw["rows"]})
            .group_by("value")
            .agg(pl.col("rows").sum())
            .sort(["rows", "value"], descending=[True, False])
        )
        present = counts.filter(pl.col("value").is_not_null())
        frequent = present.filter(pl.col("rows") >= RARE)
        return cls(
            name=name,
            low=0.0,
            high=float(len(frequent) + FIRST - 1),
            reach=0.0,
            values=tuple(frequent["value"]),
            rare=len(present) - len(frequent),
            missing=1 - int(present["rows"].sum()) / max(len(cells), 1),
        )

    def encode(self, cells: pl.Series) -> Tensor:
        """(N,) int32."""

        def look_up(column: pl.Series) -> pl.Series:
            text = _as_text(self.name, column)
            indexes = (positions(text, self.values) + FIRST).fill_null(UNSEEN).cast(pl.Int32)
            return indexes.set(text.is_null(), ABSENT)

        indexes = each_distinct(cells, look_up).to_numpy(writable=True)
        return refuse_missing(self, cells, torch.from_numpy(indexes), FIRST)

    def odd(self, cells: pl.Series) -> tuple[Odd, ...]:
        """Values that training did not know."""
        text = each_distinct(cells, lambda column: _as_text(self.name, column))
        unseen = each_distinct(text, lambda column: positions(column, self.values)).is_null() & text.is_not_null()
        return (Odd(f"have values in fewer than {RARE} training rows: read as unseen", unseen),)

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """One-hot for few values, embedded for many: a vector."""
        return categories([len(f.values) + FIRST for f in fields], recipe)

    def decode(self, encoded: Tensor) -> pl.Series:
        """The values; null if missing, RARE_OR_UNSEEN for those that training did not learn."""
        known = pl.Series([RARE_OR_UNSEEN, None, *self.values], dtype=pl.String)
        return known.gather(encoded.cpu().numpy()).alias(self.name)

    def said(self, encoded: Tensor) -> str:
        """The value, or why there is none."""
        return self.decode(encoded.reshape(1))[0] or "missing"

    @classmethod
    def way(cls, fields: tuple[Self, ...], reach: Reach) -> Way:
        """Any other known value of the column. Missing cells stay: nobody can fill in what was never asked."""
        counts = [0 if f.name in reach.immutable else len(f.values) for f in fields]
        return Way(swaps=partial(_others, counts)) if max(counts) > 1 else FIXED

    def describe(self) -> str:
        """`16 categories, 6 % missing`."""
        parts = [counted(len(self.values), "category", "categories")]
        if self.rare:
            parts.append(f"{self.rare:,} more in fewer than {RARE} rows each, read as unseen")
        if self.missing:
            parts.append(f"{share(self.missing)} missing")
        return ", ".join(parts)

    @classmethod
    def features(cls, fields: tuple[Self, ...], cells: Tensor, most: int = ALL) -> Features:
        """One-hot; every column has its own part."""
        return lambda cells: one_hot(cells, [int(field.high) + 1 for field in fields])

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """The categories as they are."""
        return tuple(
            Summary(f.name, f.name, column, (RARE_OR_UNSEEN, "missing", *f.values))
            for f, column in zip(fields, cells.numpy().T, strict=True)
        )

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The name as written."""
        return shaded("missing" if cell is None else str(cell), total(attribution))


def _others(counts: list[int], cells: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """All values of each column, and which of them may replace a cell: see `records.threat.Swaps`."""
    index = torch.arange(FIRST, FIRST + max(counts), dtype=cells.dtype, device=cells.device)
    is_known = index < FIRST + torch.tensor(counts, device=cells.device)[:, None]  # (columns, K)
    own = cells[..., None]
    return index.expand(*cells.shape, -1), is_known & (own != ABSENT) & (own != index)


def _as_text(name: str, cells: pl.Series) -> pl.Series:
    """Stripped names, null if missing."""
    if not is_single(cells):
        raise refuse_cells(Category.kind, name, cells, "text, numbers or booleans")
    return words(cells if cells.dtype == pl.String else names(cells))
