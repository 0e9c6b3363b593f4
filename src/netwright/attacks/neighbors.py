"""Words that a network reads alike."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.kinds.padded import UNKNOWN
from netwright.models.guards import Ensemble, Guarded, Smoothed
from netwright.models.modes import unwrapped
from netwright.models.network import Dense, Joined
from netwright.models.stem import Stem
from netwright.records.batch import Batch
from netwright.records.threat import NEVER, Swaps, Way

NEAREST = 8  # neighbors of each word: as many as Alzantot et al. 2018 try, arXiv:1804.07998
LEAST_COSINE = 0.5  # an angle of 60 degrees: words further apart are not read alike
AT_ONCE = 2**24  # cosines in memory


def stems_of(network: nn.Module) -> Sequence[Stem]:
    """The stems of a network's inputs; none if it was not built from a schema."""
    inner = unwrapped(network)
    return inner.stems if isinstance(inner, Joined | Dense | Ensemble | Guarded | Smoothed) else ()


def with_neighbors(ways: tuple[Way, ...], network: nn.Module, batch: Batch) -> tuple[Way, ...]:
    """The ways, with swaps of the batch's tokens for tokens that the network's stems embed nearby.

    Each may also become an unknown word, as if it were misspelled: Gao et al. 2018, arXiv:1801.04354. In a network that
    was not built from a schema nobody knows the vectors of tokens: there they stay.
    """
    stems = stems_of(network) or [None] * len(ways)
    return tuple(
        way if way.groups is None or stem is None else replace(way, swaps=_swaps(stem, way.groups, x))
        for way, stem, x in zip(ways, stems, batch.inputs, strict=True)
    )


def _swaps(stem: Stem, groups: Tensor, x: Tensor) -> Swaps:
    """Each word's neighbors are sought once: that is a product with the whole vocabulary."""
    groups, words = groups.to(x.device), x.long().unique()
    with torch.no_grad():
        table = F.normalize(stem.lookup(torch.arange(len(groups), device=x.device)[None])[0].float(), dim=1)
        near, cosines = nearest(table, groups, words)
    misspelled = torch.full_like(words[:, None], UNKNOWN)
    near, fits = torch.cat([near, misspelled], 1), torch.cat([cosines >= LEAST_COSINE, groups[words, None] != NEVER], 1)
    known = near.new_zeros((len(groups), near.shape[1])).index_copy_(0, words, near)
    is_near = torch.zeros_like(known, dtype=torch.bool).index_copy_(0, words, fits)
    return lambda cells, size: (known[cells.long()].to(cells.dtype), is_near[cells.long()])


def nearest(table: Tensor, groups: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """For each of some words the NEAREST others of its group (W, K), by descending cosine, and the cosines.

    `table` holds vectors of length one, (V, width). The cosine is minus infinity where a group has fewer words, and
    for words that never change.
    """
    count = min(NEAREST, len(table))
    found = [_top(table, groups, some, count) for some in words.split(max(1, AT_ONCE // len(table)))]
    near, cosines = (torch.cat(parts) for parts in zip(*found, strict=True))
    return near, cosines


def _top(table: Tensor, groups: Tensor, words: Tensor, count: int) -> tuple[Tensor, Tensor]:
    cosines = table[words] @ table.T
    own = groups[words][:, None]
    fits = (own == groups) & (own != NEVER)
    fits[torch.arange(len(words), device=words.device), words] = False
    cosines, near = cosines.masked_fill(~fits, -torch.inf).topk(count, 1)
    return near, cosines
