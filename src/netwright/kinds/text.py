"""Text in any script, as words."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from netwright.kinds import features
from netwright.kinds.cells import is_single, read_longest, refuse_cells, refuse_missing, words
from netwright.kinds.markup import shaded, share
from netwright.kinds.padded import FIRST, PADDING, UNKNOWN, padded
from netwright.kinds.summaries import of_text
from netwright.models.sequences import row_lengths
from netwright.models.stems import tokens
from netwright.records.errors import counted
from netwright.records.features import ALL, Features, Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Odd, Signal
from netwright.records.threat import FIXED, NEVER, Reach, Way

VOCABULARY = 30_000  # words; rarer ones of larger texts seldom appear in new text
SEEN = 2  # a word seen once teaches nothing about itself; it teaches what an unknown word means
MOST_TEXTS = 0.99  # share of training texts that are read in full
SWAPPED = 0.1  # of a text's words, for each unit of strength: labels survive so many, Xie et al. 2017, arXiv:1703.02573
WORDS, NUMBERS = 1, 2  # groups of words that may be swapped for each other; punctuation stays
LONGEST = 512  # words read at most by default: a transformer's cost grows with the square

# Scripts without spaces: each character is a word.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"[{_UNSPACED}]|[[\p{{L}}\p{{M}}]--[{_UNSPACED}]]+(?:['\u{{2019}}]\p{{L}}+)*|\p{{N}}+|[^\s\p{{L}}\p{{N}}]"


@final
@dataclass(frozen=True)
class Text(Field):
    """Encoded as (N, longest) indexes, int16 or int32: 0 padding, 1 unknown words, from 2 on by descending frequency.

    Words are lower case; numbers and single punctuation marks are words, and so is each character of Chinese,
    Japanese, Thai and similar scripts.
    """

    vocabulary: tuple[str, ...]  # by descending frequency
    longest: int  # words; longer texts are cut
    cut: float  # share of training texts that are cut
    unknown: float  # share of training words that are not in the vocabulary
    median: float  # words in a training text

    kind: ClassVar[str] = "text"
    family: ClassVar[Family] = "text"
    seen_as: ClassVar[str] = "text"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Any text."""
        return cells.dtype == pl.String

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """The vocabulary and the length. `detail` is the greatest length in words."""
        chosen = read_longest(cls.kind, name, detail)
        lists = _split(name, cells)
        lengths = lists.list.len().to_numpy()
        usual = int(np.quantile(lengths, MOST_TEXTS, method="higher")) if len(lengths) else 0
        longest = chosen or max(1, min(usual, LONGEST))
        counts = (
            lists.filter(lists.list.len() > 0).explode().alias("word").value_counts(name="count")
            .filter(pl.col("count") >= SEEN).sort(["count", "word"], descending=[True, False]).head(VOCABULARY)
        )  # fmt: skip
        count = int(lengths.sum())
        return cls(
            name=name,
            low=0.0,
            high=float(len(counts) + UNKNOWN),
            reach=0.0,
            vocabulary=tuple(counts["word"]),
            longest=longest,
            cut=float((lengths > longest).mean()) if len(lengths) else 0.0,
            unknown=(count - int(counts["count"].sum())) / max(count, 1),
            median=float(np.median(lengths)) if len(lengths) else 0.0,
        )

    def known_tokens(self) -> tuple[str, ...]:
        """The vocabulary."""
        return self.vocabulary

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, longest) int16, or int32 if the vocabulary needs it; missing cells are all padding."""
        lists = _split(self.name, cells).list.head(self.longest)
        dtype = pl.Int16 if len(self.vocabulary) + FIRST <= 2**15 else pl.Int32
        known = pl.Series(self.vocabulary, dtype=pl.String)
        places = pl.int_range(FIRST, FIRST + len(known), dtype=pl.Int32, eager=True).cast(dtype)
        flat = lists.filter(lists.list.len() > 0).explode()
        indexes = flat.replace_strict(known, places, default=UNKNOWN, return_dtype=dtype).cast(dtype)
        encoded = padded(indexes.to_numpy(), lists.list.len().to_numpy(), self.longest)
        return refuse_missing(self, cells, torch.from_numpy(encoded))

    def lengths(self, encoded: Tensor) -> Tensor | None:
        """Up to the last word that is not padding."""
        return row_lengths(encoded != PADDING)

    def decode(self, encoded: Tensor) -> pl.Series:
        """The text of indexes (N, T): words separated by spaces, none before punctuation; without padding."""
        words = ("", "?", *self.vocabulary)
        texts = [" ".join(words[token] for token in row if token) for row in encoded.tolist()]
        column = pl.Series(self.name, texts, dtype=pl.String)
        return column.str.replace_all(r" ([.,;:!?%)\]}])", "$1").str.replace_all(r"([(\[{]) ", "$1")

    def said(self, encoded: Tensor) -> str:
        """The words."""
        return self.decode(encoded[None])[0] or "empty"

    @classmethod
    def way(cls, fields: tuple[Self, ...], reach: Reach) -> Way:
        """Words for words and numbers for numbers that the network reads alike."""
        (field,) = fields
        if field.name in reach.immutable:
            return FIXED
        known = pl.Series(field.vocabulary, dtype=pl.String)
        group = pl.when(known.str.contains(r"\p{L}")).then(WORDS).when(known.str.contains(r"\p{N}")).then(NUMBERS)
        groups = pl.select(group.otherwise(NEVER).cast(pl.Int64)).to_series().to_list()
        return Way(groups=torch.tensor([NEVER] * FIRST + groups), each=0.0, share=reach.part(SWAPPED))

    def odd(self, cells: pl.Series) -> tuple[Odd, ...]:
        """Texts that are cut."""
        cut = _split(self.name, cells).list.len() > self.longest
        return (Odd(f"are longer than {counted(self.longest, 'word')}: cut", cut),)

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """Embedded words: a sequence."""
        return tokens(len(fields[0].vocabulary) + FIRST, fields[0].longest, recipe)

    def describe(self) -> str:
        """`text of 19 words (median), 9,800 known, 1 % cut after 45`."""
        parts = [f"text of {counted(round(self.median), 'word')} (median)", f"{len(self.vocabulary):,} known"]
        if self.unknown:
            parts.append(f"{share(self.unknown)} of the words too rare")
        if self.cut:
            parts.append(f"{share(self.cut)} cut after {self.longest:,}")
        return ", ".join(parts)

    @classmethod
    def features(cls, fields: tuple[Self, ...], cells: Tensor, most: int = ALL) -> Features:
        """TF-IDF of words and pairs of words."""
        return features.words(cells, int(fields[0].high) + 1, most)

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """Length, unknown words and frequent words in each row."""
        return tuple(of_text(fields[0].name, cells, fields[0].vocabulary))

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The words read, each shaded by its part of the attribution (longest,)."""
        if cell is None or not str(cell).strip():
            return shaded("missing" if cell is None else "empty")
        names = pl.Series([str(cell)]).str.normalize("NFKC").str.extract_all(_WORD)[0].to_list()[: self.longest]
        weights = [0.0] * len(names) if attribution is None else attribution.tolist()
        return " ".join(shaded(name, weight) for name, weight in zip(names, weights, strict=False))


def _split(name: str, cells: pl.Series) -> pl.Series:
    """Lists of words, empty if a cell is missing."""
    if not is_single(cells):
        raise refuse_cells(Text.kind, name, cells, "text")
    texts = words(cells.cast(pl.String)).fill_null("")
    is_wide = texts.str.len_bytes() > texts.str.len_chars()  # normalizing is expensive, and ASCII is already normal
    if is_wide.any():
        texts = texts.scatter(is_wide.arg_true(), texts.filter(is_wide).str.normalize("NFKC"))
    return texts.str.to_lowercase().str.extract_all(_WORD)
