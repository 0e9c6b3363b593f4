"""Strings of symbols, such as genes, and text read letter by letter."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from netwright.kinds import features
from netwright.kinds.cells import NEARLY_ALL, is_single, read_longest, refuse_cells, refuse_missing, sample, words
from netwright.kinds.markup import shaded, share
from netwright.kinds.padded import FIRST, PADDING, UNKNOWN, padded
from netwright.kinds.summaries import of_symbols
from netwright.models.sequences import row_lengths
from netwright.models.stems import tokens
from netwright.records.errors import counted
from netwright.records.features import ALL, Features, Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Odd, Signal
from netwright.records.threat import FIXED, Reach, Way

SYMBOLS = 255 - FIRST + 1  # indexes fit a byte
SHORTEST = 8  # symbols: nearly all cells must have this many to look like sequences, not names
USUAL = 20  # symbols that the median cell must have
ALPHABET = 30  # symbols that make up nearly all of a sequence: proteins have 20 and a few for uncertain ones
VARIED = 0.1  # distinct cells per cell: if fewer, they are repeating names
LONGEST = 1024  # symbols read at most by default
MISREAD = 0.02  # of a sequence's symbols, for each unit of strength: a choice, as few as a typist gets wrong

_SYMBOLS = r"^[\p{L}*.\-]+$"  # digits mean codes and hashes; spaces mean text
_CODE_POINTS = 0x110000


@final
@dataclass(frozen=True)
class Sequence(Field):
    """Encoded as uint8 indexes (N, longest): 0 padding, 1 unknown symbols, from 2 on by descending frequency."""

    alphabet: str  # by descending frequency
    longest: int  # symbols; longer cells are cut
    shortest: int  # in training
    cut: float  # share of training cells that are cut

    kind: ClassVar[str] = "sequence"
    family: ClassVar[Family] = "symbols"
    seen_as: ClassVar[str] = "symbol sequence"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Long strings of few letters without spaces that rarely repeat."""
        if cells.dtype != pl.String:
            return False
        few = sample(cells)
        if (few.str.len_bytes() < USUAL).all():
            return False  # at once, for columns of words
        present = words(few).drop_nulls()
        lengths = present.str.len_chars()
        if present.is_empty() or float(np.median(lengths)) < USUAL or present.n_unique() < VARIED * len(present):
            return False
        if int((present.str.contains(_SYMBOLS) & (lengths >= SHORTEST)).sum()) < NEARLY_ALL * len(present):
            return False
        _, counts = np.unique(_code_points(present), return_counts=True)
        return bool(np.sort(counts)[::-1][:ALPHABET].sum() >= 0.99 * counts.sum())

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """The alphabet and the length. `detail` is the greatest length in symbols."""
        chosen = read_longest(cls.kind, name, detail)
        texts = _texts(name, cells)
        lengths = texts.str.len_chars().to_numpy()
        greatest = int(lengths.max()) if len(lengths) else 1
        longest = chosen or max(1, min(greatest, LONGEST))
        points, counts = np.unique(_code_points(texts), return_counts=True)
        by_frequency = np.lexsort((points, -counts))[:SYMBOLS]
        alphabet = "".join(map(chr, points[by_frequency]))
        return cls(
            name=name,
            low=0.0,
            high=float(len(alphabet) + UNKNOWN),
            reach=0.0,
            alphabet=alphabet,
            longest=longest,
            shortest=int(lengths.min()) if len(lengths) else 0,
            cut=float((lengths > longest).mean()) if len(lengths) else 0.0,
        )

    def known_tokens(self) -> tuple[str, ...]:
        """The alphabet."""
        return tuple(self.alphabet)

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, longest) uint8; missing cells are all padding."""
        texts = _texts(self.name, cells).str.head(self.longest)
        indexes = np.full(_CODE_POINTS, UNKNOWN, dtype=np.uint8)
        indexes[[ord(symbol) for symbol in self.alphabet]] = np.arange(FIRST, FIRST + len(self.alphabet))
        encoded = padded(indexes[_code_points(texts)], texts.str.len_chars().to_numpy(), self.longest)
        return refuse_missing(self, cells, torch.from_numpy(encoded))

    def lengths(self, encoded: Tensor) -> Tensor | None:
        """Up to the last symbol that is not padding."""
        return row_lengths(encoded != PADDING)

    def decode(self, encoded: Tensor) -> pl.Series:
        """The text of indexes (N, T), without padding."""
        symbols = ("", "\N{REPLACEMENT CHARACTER}", *self.alphabet)
        texts = ["".join(symbols[token] for token in row) for row in encoded.tolist()]
        return pl.Series(self.name, texts, dtype=pl.String)

    def said(self, encoded: Tensor) -> str:
        """The symbols."""
        return self.decode(encoded[None])[0] or "empty"

    @classmethod
    def way(cls, fields: tuple[Self, ...], reach: Reach) -> Way:
        """Any other symbol of the alphabet."""
        (field,) = fields
        if field.name in reach.immutable or len(field.alphabet) < 2:
            return FIXED
        return Way(swaps=partial(_others, len(field.alphabet)), each=0.0, share=reach.part(MISREAD))

    def odd(self, cells: pl.Series) -> tuple[Odd, ...]:
        """Sequences that are cut."""
        cut = _texts(self.name, cells).str.len_chars() > self.longest
        return (Odd(f"are longer than {counted(self.longest, 'symbol')}: cut", cut),)

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """Embedded symbols: a sequence."""
        return tokens(len(fields[0].alphabet) + FIRST, fields[0].longest, recipe)

    def describe(self) -> str:
        """`sequences of 60 out of 8 symbols`."""
        lengths = f"{self.shortest} to {self.longest}" if self.shortest < self.longest else f"{self.longest}"
        text = f"sequences of {lengths} out of {counted(len(self.alphabet), 'symbol')}"
        return text + (f", {share(self.cut)} longer and cut" if self.cut else "")

    @classmethod
    def features(cls, fields: tuple[Self, ...], cells: Tensor, most: int = ALL) -> Features:
        """One-hot by position."""
        return features.symbols(int(fields[0].high) + 1, most)

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """Length and shares of symbols."""
        return tuple(of_symbols(fields[0].name, cells, fields[0].alphabet))

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The symbols read, each shaded by its part of the attribution (longest,)."""
        if not cell:
            return shaded("missing" if cell is None else "empty")
        text = str(cell)[: self.longest]
        if attribution is None:
            return shaded(text)
        return "".join(shaded(symbol, weight) for symbol, weight in zip(text, attribution.tolist(), strict=False))


def _others(count: int, cells: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """All known symbols, and which of them may replace a symbol: see `records.threat.Swaps`."""
    index = torch.arange(FIRST, FIRST + count, device=cells.device).to(cells.dtype)
    own = cells[..., None]
    return index.expand(*cells.shape, -1), (own >= FIRST) & (own != index)


def _texts(name: str, cells: pl.Series) -> pl.Series:
    if not is_single(cells):
        raise refuse_cells(Sequence.kind, name, cells, "text")
    return cells.cast(pl.String).fill_null("")


def _code_points(texts: pl.Series) -> np.ndarray:
    """All characters one after the other, uint32."""
    return np.frombuffer("".join(texts.to_list()).encode("utf-32-le"), dtype=np.uint32)
