"""Rows that are exactly the same, and how many of them chance alone would give."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.checks.data.encoded import Column, blocks
from netwright.checks.evidence import DataEvidence, require_apart
from netwright.data.dataset import Dataset
from netwright.data.split import Rows
from netwright.records.batch import Examples

RICH = ("pictures", "steps", "")  # families whose cells are compared in encoded form: they may be paths
WORDS = ("text", "symbols")  # families in which equal cells are never chance
BLOCK_BYTES = 32 << 20  # of encoded rows that are hashed at once
FAST_BYTES = 256 << 20  # of encoded rows that a training's own audit hashes: a fifth of a second
CHANCE_ROWS = 50_000  # rows that chance is estimated from: they form a billion pairs
CHANCE_RATIO = 3.0  # repeats over those expected by chance: correlated columns distort the estimate by a factor

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Repeats:
    """Equal rows: by the inputs of pictures, series and texts; in tables by the targets too."""

    rows: Rows  # that were compared, ascending
    first: Rows  # for each of them the first one with the same content
    chance: float  # pairs of equal rows expected without copies, since values repeat

    @property
    def pairs(self) -> int:
        """How many pairs of rows are equal."""
        return _pairs(np.unique(self.first, return_counts=True)[1])

    @property
    def are_natural(self) -> bool:
        """Whether chance alone can explain them."""
        return 0 < self.pairs <= CHANCE_RATIO * self.chance


def repeats(evidence: DataEvidence) -> Repeats:
    """All readable rows, compared by 64-bit hashes: the odds of a wrong pair among a million rows are 1 : 10^7.

    Raises Skip if examples overlap.
    """
    require_apart(evidence)
    rows = _compared(evidence)
    families = [(block.fields[0].family, column) for block, column in blocks(evidence)]
    rich = [column for family, column in families if family in RICH]
    columns = [hashed(cells) for cells in compared_cells(evidence)]
    whole = sum((spread(column[rows], number) for number, column in enumerate(columns)), np.zeros(len(rows), np.uint64))
    for number, column in enumerate(rich):
        whole = whole + spread(encoded_hashes(column, rows), len(columns) + number)
    found, place, inverse = np.unique(whole, return_index=True, return_inverse=True)
    del found
    first = rows[place][inverse]  # np.unique returns the first place, and rows ascend
    has_words = bool(rich) or any(family in WORDS for family, _ in families)
    chance = 0.0 if has_words else _chance([column[rows] for column in columns], evidence.seed)
    return Repeats(rows, first, chance)


def hashed(cells: pl.Series) -> Hashes:
    """A hash for each cell, the same for equal cells; texts ignore case and spaces."""
    if isinstance(cells.dtype, pl.Array):  # polars 1.x hashes all arrays alike
        return encoded_hashes(
            torch.from_numpy(np.array(cells.to_numpy())).__getitem__, np.arange(len(cells), dtype=np.int64)
        )
    if cells.dtype == pl.String:
        cells = cells.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    return cells.hash(seed=0).to_numpy()


def encoded_hashes(column: Column, rows: Rows) -> Hashes:
    """A hash for each row of an encoded column, by its bytes."""
    step = max(1, BLOCK_BYTES // max(1, column(torch.from_numpy(rows[:1])).nbytes))
    parts = [_bytes_hashes(column(torch.from_numpy(rows[at : at + step]))) for at in range(0, len(rows), step)]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _bytes_hashes(block: Tensor) -> Hashes:
    flat = block.contiguous().cpu().numpy().reshape(len(block), -1).view(np.uint8)
    words = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8))).view(np.uint64)
    places = mixed(np.arange(1, words.shape[1] + 1, dtype=np.uint64))
    return mixed(words ^ places).sum(axis=1, dtype=np.uint64)


def mixed(values: Hashes) -> Hashes:
    """The finalizer of SplitMix64: each bit of the result depends on all bits (Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def spread(hashes: Hashes, number: int) -> Hashes:
    """The same value counts differently in each column, so a sum over columns is a hash of the row."""
    return mixed(hashes ^ mixed(np.array([number + 1], np.uint64)))


def _compared(evidence: DataEvidence) -> Rows:
    """The readable rows, or a sample if hashing would delay training."""
    rows = np.arange(len(evidence.dataset), dtype=np.int64)
    if evidence.is_fast and evidence.prepared is not None and _is_dear(evidence.prepared.whole):
        rows = evidence.rows()
    return np.setdiff1d(rows, evidence.bad)


def _is_dear(examples: Examples) -> bool:
    """Whether cells are encoded on access, or a column of them is large."""
    largest = max((cells.nbytes for cells in examples.take(examples.rows[:1]).inputs), default=0)
    return not examples.is_in_memory or largest * len(examples) > FAST_BYTES


def compared_cells(evidence: DataEvidence) -> Iterator[pl.Series]:
    """Raw columns that are compared as they are: without identifiers of rows and the targets of pictures and texts."""
    dataset, families = evidence.dataset, {field.name: field.family for field in evidence.fields}
    is_rich = any(family in (*RICH, *WORDS) for family in families.values())
    inputs = [name for name in dataset.inputs if families.get(name) not in RICH and name not in dataset.mapped]
    bare = [name for name in inputs if not _names_rows(dataset, name, families.get(name, ""))] or inputs
    for name in (*bare, *(() if is_rich else dataset.targets)):
        yield dataset.table[name]


def _names_rows(dataset: Dataset, name: str, family: str) -> bool:
    """Whether the column identifies its rows: whole numbers or single words that all differ."""
    cells = dataset.table[name]
    may = cells.dtype.is_integer() or (cells.dtype == pl.String and family == "labels")
    return may and cells.n_unique() == len(cells)


def _chance(columns: list[Hashes], seed: int) -> float:
    """Expected pairs of equal rows, from the pairs that differ in one column only.

    If rows take few values, far more pairs agree in all columns but one than in all: if values of column j agree with
    probability c, then for D pairs that differ in j alone, D c / (1 - c) agree by chance. Copies have no such
    neighbors. The largest estimate over the columns is used.
    """
    count = len(columns[0]) if columns else 0
    rows = np.random.default_rng(seed).permutation(count)[:CHANCE_ROWS]
    scale = (count / max(len(rows), 1)) ** 2
    apart = [spread(column[rows], number) for number, column in enumerate(columns)]
    whole = sum(apart, np.zeros(len(rows), np.uint64))
    equal, most = equal_pairs(whole), 0.0
    others = max(len(rows) * (len(rows) - 1) / 2 - equal, 1.0)
    for column in apart:
        agree = min((equal_pairs(column) - equal) / others, 1 - 1 / max(len(rows), 2))  # without the copies
        most = max(most, (equal_pairs(whole - column) - equal) * agree / (1 - agree))
    return most * scale


def equal_pairs(hashes: Hashes) -> int:
    """How many pairs of rows have the same hash."""
    return _pairs(np.unique(hashes, return_counts=True)[1])


def _pairs(counts: NDArray[np.int64]) -> int:
    return int((counts * (counts - 1) // 2).sum())


def together(rows: Rows, first: Rows) -> list[Rows]:
    """The groups of two or more rows, each ascending, in the order of their first rows."""
    order = np.argsort(first, kind="stable")
    edges = np.flatnonzero(np.diff(first[order])) + 1
    return [group for group in np.split(rows[order], edges) if len(group) > 1]
