"""Batches of rows of similar length, if random batches would compute mostly padding."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

POOL = 50  # batches sorted by length together: larger pools save little more, and are less random
JUDGED = 64  # batch size for the decision, whatever the training uses
PAYS = 0.8  # at most this share of the steps of random batches makes up for a less random order


def bucketed(order: Tensor, lengths: Tensor, sizes: Sequence[int], generator: Generator) -> tuple[Tensor, ...]:
    """Row numbers of each batch: shuffled rows in pools, each sorted by length; the batches are shuffled again.

    `lengths` covers all rows of the data.
    """
    pools = order.split(POOL * max(sizes, default=1))
    batches = torch.cat([pool[lengths[pool].argsort(stable=True)] for pool in pools]).split(list(sizes))
    return tuple(batches[k] for k in torch.randperm(len(batches), generator=generator))


def computed(lengths: Tensor, batches: Sequence[Tensor]) -> int:
    """Steps that batches compute, including padding."""
    return sum(int(lengths[rows].max()) * len(rows) for rows in batches)


def pays(lengths: Tensor, random: Sequence[Tensor], sorted_: Sequence[Tensor]) -> bool:
    """Whether bucketed batches compute enough less than random ones."""
    return computed(lengths, sorted_) <= PAYS * computed(lengths, random)
