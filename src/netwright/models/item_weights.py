"""How much each item that a user had adds to every other one: a fixed matrix, whole or with few entries."""

from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DENSE = 4_000  # items: a matrix of 64 MB, and seconds to invert one; with more, each item has only NEIGHBORS
NEIGHBORS = 100  # on MovieLens 100k as good as all: .333 against .335 NDCG
MOST_ENTRIES = 1 << 23  # added at once: 200 MB


@final
class ItemWeights(nn.Module):
    """A matrix from items that a user had to all items. It is fitted, not trained: its entries are buffers.

    Tokens are items from `first` on; lower ones add nothing. `entries` is the number of entries for each item, 0 for
    all: then `weight` is (first + items, items). Else `keys` are source * items + target, ascending.
    """

    def __init__(self, items: int, first: int, entries: int) -> None:
        super().__init__()
        self.items, self.first, self.entries = items, first, entries
        self.weight: Tensor
        self.keys: Tensor
        self.values: Tensor
        if entries:
            self.register_buffer("keys", torch.arange(items).repeat_interleave(entries) * (items + 1))
            self.register_buffer("values", torch.zeros(items * entries))
        else:
            self.register_buffer("weight", torch.zeros(first + items, items))

    def forward(self, tokens: Tensor, factors: Tensor | None = None) -> Tensor:
        """(B, T), and a factor of each -> (B, items): what all of them add together."""
        if self.entries:
            return self._added(tokens, torch.ones_like(tokens, dtype=self.values.dtype) if factors is None else factors)
        return F.embedding_bag(tokens, self.weight, mode="sum", per_sample_weights=factors)

    def pairs(self, tokens: Tensor, items: Tensor) -> Tensor:
        """(B, T) and (B, k) -> (B, T, k): what each of the tokens adds to each of the items."""
        if not self.entries:
            return self.weight[tokens[:, :, None], items[:, None, :]]
        wanted = (tokens[:, :, None] - self.first) * self.items + items[:, None, :]
        places = torch.searchsorted(self.keys, wanted).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[places] == wanted, self.values[places], 0.0)

    def alike(self, item: int) -> Tensor:
        """(items,): the cosine of the angle between what leads to an item and what leads to each other one."""
        if self.entries:
            sources, targets, values = self.keys // self.items, self.keys % self.items, self.values
            column = values.new_zeros(self.items)
            column[sources[targets == item]] = values[targets == item]
            squares, products = (
                values.new_zeros(self.items).index_add_(0, targets, x) for x in (values**2, values * column[sources])
            )
        else:
            matrix = self.weight[self.first :]
            squares, products = matrix.square().sum(0), matrix.T @ matrix[:, item]
        lengths = squares.sqrt()
        return products / (lengths * lengths[item]).clamp(min=1e-12)

    def _added(self, tokens: Tensor, factors: Tensor) -> Tensor:
        out = self.values.new_zeros(tokens.shape[0] * self.items)
        rows, steps = (tokens >= self.first).nonzero(as_tuple=True)
        sources = tokens[rows, steps].long() - self.first
        bounds = torch.searchsorted(self.keys, torch.stack([sources, sources + 1]) * self.items)
        counts = bounds[1] - bounds[0]
        for part in _pieces(counts):
            each = counts[part]
            first = bounds[0][part] - F.pad(each.cumsum(0)[:-1], (1, 0))
            places = first.repeat_interleave(each) + torch.arange(int(each.sum()), device=out.device)
            targets = rows[part].repeat_interleave(each) * self.items + self.keys[places] % self.items
            out.index_add_(0, targets, self.values[places] * factors[rows, steps][part].repeat_interleave(each))
        return out.view(tokens.shape[0], self.items)


def _pieces(counts: Tensor) -> list[slice]:
    """Slices with at most about MOST_ENTRIES."""
    if not len(counts):
        return []
    numbers = counts.cumsum(0) // MOST_ENTRIES
    edges = [0, *((numbers.diff() > 0).nonzero()[:, 0] + 1).tolist(), len(counts)]
    return [slice(a, b) for a, b in pairwise(edges)]
