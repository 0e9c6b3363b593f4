"""Rows of nearly one length in one batch, where random batches would compute mostly padding."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

POOL = 50  # batches that are sorted by length together: more save little, and leave less to chance
JUDGED = 64  # rows of the batches by which it is decided, whatever size is trained with
PAYS = 0.8  # share of the steps of random batches from which bucketed ones are worth a less random order


def bucketed(order: Tensor, lengths: Tensor, sizes: Sequence[int], generator: Generator) -> tuple[Tensor, ...]:
    """Row numbers of each batch: pools of a random order, sorted by length; batches come in a random order.

    `lengths` has those of all rows of the data.
    """
    pools = order.split(POOL * max(sizes, default=1))
    batches = torch.cat([pool[lengths[pool].argsort(stable=True)] for pool in pools]).split(list(sizes))
    return tuple(batches[k] for k in torch.randperm(len(batches), generator=generator))


def computed(lengths: Tensor, batches: Sequence[Tensor]) -> int:
    """Steps that batches compute, padding among them."""
    return sum(int(lengths[rows].max()) * len(rows) for rows in batches)


def pays(lengths: Tensor, random: Sequence[Tensor], sorted_: Sequence[Tensor]) -> bool:
    """Whether bucketed batches compute so much less than random ones."""
    return computed(lengths, sorted_) <= PAYS * computed(lengths, random)
