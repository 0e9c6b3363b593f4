"""What goes together and what follows, from the items of many users: closed forms, without gradients."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.kinds.padded import padded
from netwright.models.item_weights import DENSE, NEIGHBORS
from netwright.tasks.ranking_metrics import NONE

SOLVED = 100_000  # items, each with a small system of equations of its own: more are only compared, in minutes
BLOCK_CELLS = 1 << 24  # of a block of item-to-item counts: 128 MB

Matrix = Any  # scipy.sparse: pyright knows no types of it
Numbers = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Histories:
    """Lists of items one after the other: of list `owners[k]` the item `items[k]`, in its order. Numbers from 0."""

    owners: Numbers  # ascending
    items: Numbers
    count: int  # lists
    kinds: int  # different items

    def matrix(self) -> Matrix:
        """(lists, items) of 0 and 1."""
        from scipy.sparse import csr_array

        found = csr_array((np.ones(len(self.items), np.float32), (self.owners, self.items)), (self.count, self.kinds))
        found.data[:] = 1.0
        return found

    def without(self, others: "Histories") -> "Histories":
        """The same lists without what is in the others' lists of the same number."""
        keys, gone = (one.owners * self.kinds + one.items for one in (self, others))
        left = ~np.isin(keys, gone)
        return Histories(self.owners[left], self.items[left], self.count, self.kinds)

    def among(self, kinds: int) -> "Histories":
        """Only the first items: the most popular ones, if they are numbered so."""
        left = self.items < kinds
        return Histories(self.owners[left], self.items[left], self.count, min(kinds, self.kinds))

    def picked(self, lists: Numbers) -> Tensor:
        """(lists, T) int64: the items of some lists, ascending numbers; NONE pads them."""
        left = np.isin(self.owners, lists)
        counts = np.bincount(np.searchsorted(lists, self.owners[left]), minlength=len(lists))
        return torch.from_numpy(padded(self.items[left], counts, max(1, int(counts.max(initial=0))), blank=NONE))

    def popularity(self) -> NDArray[np.float64]:
        """(items,): lists that hold each."""
        pairs = np.unique(self.owners * self.kinds + self.items)
        return np.bincount(pairs % self.kinds, minlength=self.kinds).astype(np.float64)


def histories(tokens: Tensor, first: int, kinds: int) -> Histories:
    """From (N, T) tokens, of which those from `first` on are items."""
    rows, steps = (tokens >= first).nonzero(as_tuple=True)
    items = tokens[rows, steps].long() - first
    return Histories(rows.cpu().numpy(), items.cpu().numpy(), len(tokens), kinds)


def joined(parts: Sequence[Histories]) -> Histories:
    """The lists of all, one after the other."""
    starts = np.cumsum([0, *(one.count for one in parts)])
    owners = [one.owners + start for one, start in zip(parts, starts, strict=False)]
    items = np.concatenate([one.items for one in parts])
    return Histories(np.concatenate(owners), items, int(starts[-1]), parts[0].kinds)


def together(lists: Histories, penalty: float) -> Matrix:
    """Weights (source, target) with which the sum over what a user had predicts each item from all others.

    Of at most DENSE items EASE, as an array: Steck 2019, arXiv:1905.03375, equation 8. Of more, the same least-squares
    problem for each item alone, on its NEIGHBORS most similar items (as SLIM with chosen columns, Ning and Karypis
    2011): a sparse matrix.
    """
    x = lists.matrix()
    if lists.kinds > DENSE:
        return _near(x, penalty)
    gram = (x.T @ x).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(torch.from_numpy(gram))).numpy()
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32)


def neighbors(lists: Histories, count: int = NEIGHBORS) -> Matrix:
    """The cosine of two items' lists, (source, target), for the `count` sources nearest to each target; sparse."""
    from scipy.sparse import coo_array

    found = [(near, np.repeat(target, len(near)), size) for target, near, size in _each(lists.matrix(), count)]
    near, targets, sizes = (np.concatenate(part) for part in zip(*found, strict=True))
    return coo_array((sizes.astype(np.float32), (near, targets)), (lists.kinds, lists.kinds)).tocsr()


def following(lists: Histories, span: int, decay: float = 1.0) -> Matrix:
    """How often a target comes after a source, in the `span` steps after it, each counted `decay` times the one before.

    Sparse (source, target) counts, without an item that follows itself. A span of 1 is a first-order Markov chain.
    """
    from scipy.sparse import coo_array

    shape, counts = (lists.kinds, lists.kinds), []
    for distance in range(1, (span if decay else 1) + 1):
        before, after = lists.items[:-distance], lists.items[distance:]
        is_same = (lists.owners[:-distance] == lists.owners[distance:]) & (before != after)
        weights = np.full(int(is_same.sum()), decay ** (distance - 1))
        counts.append(coo_array((weights, (before[is_same], after[is_same])), shape).tocsr())
    return sum(counts[1:], counts[0])


def latest(lists: Histories, chosen: Numbers, span: int, decay: float) -> Matrix:
    """(chosen, items): 1 for the last item of a list, `decay` for the one before, and so on; sparse."""
    from scipy.sparse import coo_array

    ages = np.cumsum(np.bincount(lists.owners, minlength=lists.count))[lists.owners] - 1 - np.arange(len(lists.owners))
    kept = np.isin(lists.owners, chosen) & (ages < span)
    rows = np.searchsorted(chosen, lists.owners[kept])
    weights = float(decay) ** ages[kept]
    return coo_array((weights, (rows, lists.items[kept])), (len(chosen), lists.kinds)).tocsr()


def chances(counts: Matrix, smoothing: float) -> Matrix:
    """Roots of the probabilities of what follows; `smoothing` observations of anything else are added to each source.

    Roots, since a sum over several sources else is the most frequent one's: NDCG .113 against .110 on MovieLens 100k.
    """
    totals = np.asarray(counts.sum(1)).ravel() + smoothing
    found = counts.tocsr(copy=True)
    found.data = np.sqrt(found.data / np.repeat(totals, np.diff(found.indptr)))
    return found.astype(np.float32)


def entries(matrix: Matrix, each: int) -> tuple[Tensor, Tensor]:
    """Keys source * items + target, ascending, and values of a sparse matrix: `each` times as many as items.

    If there are more, the largest of each source are kept; missing ones are 0, of items for themselves.
    """
    found = matrix.tocoo()
    order = np.lexsort((-found.data, found.row))
    rows = found.row[order].astype(np.int64)
    kinds, starts = matrix.shape[0], np.searchsorted(rows, np.arange(matrix.shape[0]))
    total = kinds * each
    kept = order if len(order) <= total else order[np.arange(len(rows)) - starts[rows] < each]
    keys = found.row[kept].astype(np.int64) * kinds + found.col[kept]
    blank = np.resize(np.arange(kinds), total - len(keys)) * (kinds + 1)
    keys, values = np.r_[keys, blank], np.r_[found.data[kept], np.zeros(len(blank))].astype(np.float32)
    sort = np.argsort(keys, kind="stable")
    return torch.from_numpy(keys[sort]), torch.from_numpy(values[sort])


def _each(x: Matrix, count: int) -> Iterator[tuple[int, Numbers, NDArray[np.float64]]]:
    """For each item its most similar ones and their cosines; only those that share a list."""
    columns, kinds = x.tocsc(), x.shape[1]
    lengths = np.sqrt(np.maximum(np.asarray(x.sum(0)).ravel(), 1.0))
    size = max(1, BLOCK_CELLS // kinds)
    for start in range(0, kinds, size):
        block = (columns[:, start : start + size].T @ x).toarray() / lengths
        for target, row in enumerate(block, start):
            row[target] = 0.0
            near = np.argpartition(-row, min(count, kinds - 1))[:count]
            near = np.sort(near[row[near] > 0])
            yield target, near, row[near] / lengths[target]


def _near(x: Matrix, penalty: float) -> Matrix:
    from scipy.sparse import coo_array

    columns, kinds = x.tocsc(), x.shape[1]
    sources, targets, values = list[Numbers](), list[Numbers](), list[NDArray[np.float64]]()
    for target, near, cosines in _each(x, NEIGHBORS):
        if len(near) and kinds <= SOLVED:
            some = columns[:, np.r_[near, target]]
            gram = (some.T @ some).toarray().astype(np.float64)
            inside = gram[:-1, :-1] + penalty * np.eye(len(near))
            cosines = np.linalg.solve(inside, gram[:-1, -1])
        sources.append(near)
        targets.append(np.full(len(near), target))
        values.append(cosines)
    parts = (np.concatenate(sources), np.concatenate(targets))
    return coo_array((np.concatenate(values).astype(np.float32), parts), (kinds, kinds)).tocsr()
