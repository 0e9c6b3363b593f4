"""Words that a network reads alike."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.models.modes import unwrapped
from netwright.models.network import Dense, Joined
from netwright.models.stem import Stem
from netwright.records.threat import NEVER, Way

NEAREST = 8  # neighbors of each word: as many as Alzantot et al. 2018 try, arXiv:1804.07998
LEAST_COSINE = 0.5  # an angle of 60 degrees: words further apart are not read alike
AT_ONCE = 2**24  # cosines in memory


def stems_of(network: nn.Module) -> Sequence[Stem]:
    """The stems of a network's inputs; none if it was not built from a schema."""
    inner = unwrapped(network)
    return inner.stems if isinstance(inner, Joined | Dense) else ()


def with_neighbors(ways: tuple[Way, ...], network: nn.Module) -> tuple[Way, ...]:
    """The ways, where tokens can be swapped for those that the network's stems embed nearby.

    In a network that was not built from a schema nobody knows the vectors of tokens: there they stay.
    """
    stems = stems_of(network) or [None] * len(ways)
    return tuple(
        way if way.groups is None or stem is None else replace(way, swaps=_swaps(stem, way.groups))
        for way, stem in zip(ways, stems, strict=True)
    )


def _swaps(stem: Stem, groups: Tensor) -> partial[tuple[Tensor, Tensor]]:
    device = next((p.device for p in stem.parameters()), groups.device)
    with torch.no_grad():
        table = F.normalize(stem.lookup(torch.arange(len(groups), device=device)[None])[0].float(), dim=1)
    return partial(_near, table, groups.to(device))


def _near(table: Tensor, groups: Tensor, cells: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """The NEAREST words of each word of (B, T), and which are near enough: see `records.threat.Swaps`."""
    words, place = cells.long().unique(return_inverse=True)
    near, cosines = nearest(table, groups, words)
    return near[place].to(cells.dtype), cosines[place] >= LEAST_COSINE


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
