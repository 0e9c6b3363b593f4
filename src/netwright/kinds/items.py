"""Lists of names in order: what a user has had, tags, visited pages."""

from dataclasses import dataclass
from math import ceil
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.kinds import features
from netwright.kinds.cells import names, read_longest, refuse_cells, refuse_missing
from netwright.kinds.markup import shaded, share
from netwright.kinds.padded import FIRST, PADDING, UNKNOWN, padded
from netwright.kinds.summaries import of_names
from netwright.models.sequences import row_lengths
from netwright.models.stems import tokens
from netwright.records.errors import counted
from netwright.records.features import ALL, Features, Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Odd, Signal

ROOM = 1.5  # times the longest training list: people go on after training
SPARE = 8  # items more, for short lists
MOST_BYTES = 1 << 28  # of the encoded training rows: only a few lists among very many are cut
LEAST = 32  # items read, whatever that takes
SHORT = 16  # items of a list that is shown


@final
@dataclass(frozen=True)
class Items(Field):
    """Encoded as (N, longest) indexes, int16 or int32: 0 padding, from 2 on by descending frequency.

    Items that training did not have are skipped. Of a longer list the last `longest` are read.
    """

    vocabulary: tuple[str, ...]  # by descending frequency
    longest: int  # items
    cut: float  # share of training lists that are longer
    median: float  # items in a training list

    kind: ClassVar[str] = "items"
    family: ClassVar[Family] = ""
    seen_as: ClassVar[str] = "list of items"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Lists of texts."""
        return cells.dtype == pl.List(pl.String)

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """The items and the length. `detail` is the greatest length."""
        chosen = read_longest(cls.kind, name, detail)
        flat, lengths = _flat(name, cells)
        counts = (
            flat.alias("item").drop_nulls().value_counts(name="count").sort(["count", "item"], descending=[True, False])
        )
        greatest = int(lengths.max()) if len(lengths) else 0
        fitting = MOST_BYTES // max(1, len(cells) * _dtype(counts.height).itemsize)
        longest = chosen or min(ceil(ROOM * greatest) + SPARE, max(LEAST, fitting))
        return cls(
            name=name,
            low=0.0,
            high=float(counts.height + UNKNOWN),
            reach=0.0,
            vocabulary=tuple(counts["item"]),
            longest=longest,
            cut=float((lengths > longest).mean()) if len(lengths) else 0.0,
            median=float(np.median(lengths)) if len(lengths) else 0.0,
        )

    def known_tokens(self) -> tuple[str, ...]:
        """The vocabulary."""
        return self.vocabulary

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, longest); missing cells are all padding."""
        flat, lengths = _flat(self.name, cells)
        indexes = places(flat, self.vocabulary)
        known = indexes >= FIRST
        owner = np.repeat(np.arange(len(cells)), lengths)[known]
        counts = np.bincount(owner, minlength=len(cells))
        ends = np.cumsum(counts)
        left = ends[owner] - np.arange(len(owner)) <= self.longest  # counted from the end of each list
        encoded = padded(indexes[known][left], np.minimum(counts, self.longest), self.longest)
        return refuse_missing(self, cells, torch.from_numpy(encoded), FIRST)

    def lengths(self, encoded: Tensor) -> Tensor | None:
        """Up to the last item."""
        return row_lengths(encoded != PADDING)

    def odd(self, cells: pl.Series) -> tuple[Odd, ...]:
        """Lists with items that training did not have, and lists that are cut."""
        flat, lengths = _flat(self.name, cells)
        unknown = places(flat, self.vocabulary) < FIRST
        strange = np.bincount(np.repeat(np.arange(len(cells)), lengths)[unknown], minlength=len(cells)) > 0
        return (
            Odd("hold items that training did not have: these are skipped", pl.Series(strange, dtype=pl.Boolean)),
            Odd(f"are longer than {counted(self.longest, 'item')}: the first are skipped", pl.Series(lengths)
                > self.longest),
        )  # fmt: skip

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """Embedded items: a sequence."""
        return tokens(len(fields[0].vocabulary) + FIRST, fields[0].longest, recipe)

    def decode(self, encoded: Tensor) -> pl.Series:
        """The items of indexes (N, T), without padding."""
        lists = [[self.vocabulary[token - FIRST] for token in row if token >= FIRST] for row in encoded.tolist()]
        return pl.Series(self.name, lists, dtype=pl.List(pl.String))

    def said(self, encoded: Tensor) -> str:
        """The last items."""
        return _said(self.decode(encoded[None])[0].to_list())

    def describe(self) -> str:
        """`lists of 59 items (median), 1,682 known`."""
        text = f"lists of {counted(round(self.median), 'item')} (median), {len(self.vocabulary):,} known"
        return text + (f", {share(self.cut)} longer than {self.longest:,} and cut" if self.cut else "")

    @classmethod
    def features(cls, fields: tuple[Self, ...], cells: Tensor, most: int = ALL) -> Features:
        """TF-IDF of items and of pairs that follow each other."""
        return features.words(cells, int(fields[0].high) + 1, most)

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """Length and frequent items of each list."""
        return tuple(of_names(fields[0].name, cells, fields[0].vocabulary))

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The last items, each shaded by its part of the attribution (longest,)."""
        items = [str(item) for item in cell] if isinstance(cell, list | tuple | pl.Series) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        items = items[-self.longest :]
        if not items:
            return shaded("missing" if cell is None else "empty")
        weights = [0.0] * len(items) if attribution is None else attribution.tolist()[: len(items)]
        return ", ".join(shaded(item, weight) for item, weight in [*zip(items, weights, strict=True)][-SHORT:])


def places(items: pl.Series, vocabulary: tuple[str, ...]) -> NDArray[np.integer]:
    """The index of each item: UNKNOWN, or from FIRST on; int16, or int32 if the vocabulary needs it."""
    dtype = _dtype(len(vocabulary))
    known = pl.Series(vocabulary, dtype=pl.String)
    indexes = pl.int_range(FIRST, FIRST + len(known), dtype=pl.Int32, eager=True)
    found = items.replace_strict(known, indexes, default=UNKNOWN, return_dtype=pl.Int32)
    return found.fill_null(UNKNOWN).to_numpy().astype(dtype)


def _dtype(items: int) -> np.dtype[np.integer]:
    return np.dtype(np.int16 if items + FIRST <= 2**15 else np.int32)


def _flat(name: str, cells: pl.Series) -> tuple[pl.Series, NDArray[np.int64]]:
    """All items one after the other as text, and how many each list has; missing ones left out."""
    if cells.dtype == pl.Null:
        return pl.Series([], dtype=pl.String), np.zeros(len(cells), np.int64)
    if not isinstance(cells.dtype, pl.List) or isinstance(cells.dtype.inner, pl.List | pl.Struct | pl.Array):
        raise refuse_cells(Items.kind, name, cells, "lists of names")
    whole = cells.list.drop_nulls()
    lengths = whole.list.len().fill_null(0).to_numpy().astype(np.int64)
    return names(whole.filter(pl.Series(lengths > 0)).explode()), lengths


def _said(items: list[str]) -> str:
    more = f"... ({len(items):,} items), " if len(items) > SHORT else ""
    return more + ", ".join(items[-SHORT:]) or "empty"
