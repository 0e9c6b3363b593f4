"""New items beside known ones: which known items are most alike in their columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.kinds.cells import names
from netwright.records.errors import DataError, counted, listed

ALIKE = 20  # known items whose scores a new one gets: on MovieLens .271 NDCG among new items; 5 have .230, 200 .263
BINS = 10  # of a column of numbers, equally full
FEW_NUMBERS = 10  # distinct numbers that are names, such as stars
BLOCK = 512  # new items compared at once
_WORD = r"[\p{L}\p{N}]+"


@final
@dataclass(frozen=True)
class Catalog:
    """New items and, for each, the places of known ones with their likeness in (0, 1], best first."""

    items: tuple[str, ...] = ()
    nearest: tuple[tuple[int, ...], ...] = ()
    likeness: tuple[tuple[float, ...], ...] = ()
    alone: int = 0  # new items that are like no known one: they are not ranked


NO_CATALOG = Catalog()


def catalog(table: pl.DataFrame, item: str, known: Sequence[str]) -> Catalog:
    """From a table with a row for each item, known ones among them.

    Items are alike if they share words, labels and tenths of numbers, weighted by how rare these are (TF-IDF, cosine).
    Raises DataError if the table lacks the column of items, other columns, or known items.
    """
    if item not in table.columns:
        problem = f"the table of items has no column {item!r}, only {listed(table.columns)}"
        raise DataError(problem, remedy=f"call the column of items {item!r}, as in training.")
    if table.width < 2:
        raise DataError("the table of items says nothing about them", remedy="add columns: a category, a title, ...")
    table = table.with_columns(names(table[item]).alias(item)).drop_nulls(item).unique(item, maintain_order=True)
    place = {name: number for number, name in enumerate(known)}
    own = [place.get(name, -1) for name in table[item]]
    old, new = (np.flatnonzero(np.array(own) >= 0), np.flatnonzero(np.array(own) < 0))
    if not len(old):
        problem = f"the table of items has none of the {counted(len(known), 'item')} that training had"
        raise DataError(problem, remedy="add rows of known items: new ones are compared with them.")
    features = _features(table.drop(item))
    near, sizes = _nearest(features[new], features[old])
    there = [row for row in range(len(new)) if sizes[row]]
    return Catalog(
        tuple(table[item][int(new[row])] for row in there),
        tuple(tuple(own[int(old[place])] for place in near[row]) for row in there),
        tuple(tuple(sizes[row]) for row in there),
        len(new) - len(there),
    )


def _features(table: pl.DataFrame) -> Any:  # Any: scipy.sparse
    """(items, features), each row of length one."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import TfidfTransformer

    held = [pair for column in table for pair in _words(column)]
    if not held:
        problem = f"the columns {listed(table.columns)} of the table of items hold no numbers, words or labels"
        raise DataError(problem, remedy="add columns: a category, a title, ...")
    rows = np.concatenate([row for row, _ in held])
    codes = pl.concat([words for _, words in held]).rank("dense").to_numpy().astype(np.int64) - 1
    counts = csr_array((np.ones(len(rows)), (rows, codes)), shape=(table.height, int(codes.max()) + 1))
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts)


def _words(column: pl.Series) -> Iterator[tuple[NDArray[np.int64], pl.Series]]:
    """Rows and the words that they hold, with the column's name; nothing for columns of pictures and the like."""
    if column.dtype.is_float() or (column.dtype.is_integer() and column.n_unique() > FEW_NUMBERS):
        lists = _tenths(column)
    elif isinstance(column.dtype, pl.List) and not column.dtype.inner.is_nested():  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]  polars does not say of what
        lists = column.cast(pl.List(pl.String))
    elif column.dtype.is_nested() or column.dtype == pl.Binary:
        return
    else:
        lists = column.cast(pl.String).str.to_lowercase().str.extract_all(_WORD)
    lengths = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    words = lists.filter(pl.Series(lengths > 0)).explode().cast(pl.String)
    if len(words):
        yield np.repeat(np.arange(len(lists)), lengths), (f"{column.name}=" + words).alias("word")


def _tenths(column: pl.Series) -> pl.Series:
    """The tenth of the column that each number is in, as a list of one word; empty if it is missing."""
    values = column.cast(pl.Float64).fill_nan(None)
    edges = np.unique(np.quantile(values.drop_nulls().to_numpy(), np.arange(1, BINS) / BINS)) if values.count() else []
    bins = np.searchsorted(edges, values.fill_null(0.0).to_numpy(), side="right")
    cells = [[] if missing else [str(number)] for number, missing in zip(bins, values.is_null(), strict=True)]
    return pl.Series(column.name, cells, dtype=pl.List(pl.String))


def _nearest(new: Any, old: Any) -> tuple[list[list[int]], list[list[float]]]:
    """For each new row the places of the most similar old ones, and how similar they are."""
    places, sizes = list[list[int]](), list[list[float]]()
    for start in range(0, new.shape[0], BLOCK):
        for row in (new[start : start + BLOCK] @ old.T).toarray():
            best = np.argsort(-row, kind="stable")[:ALIKE]
            best = best[row[best] > 0]
            places.append(best.tolist())
            sizes.append(np.minimum(row[best], 1.0).tolist())
    return places, sizes
