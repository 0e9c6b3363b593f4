"""Augmentation of tables: numbers float32 (B, columns), NaN if missing; categories int32 (B, columns)."""

import torch
from torch import Generator, Tensor

from netwright.data.augment import Augmentation, beside
from netwright.kinds.category import UNSEEN

NOISE = 0.05  # of each column's spread in the batch: too little to turn one row into another
LOST = 0.05  # share of cells dropped: a row of twenty columns loses one


def _noise(x: Tensor, generator: Generator) -> Tensor:
    """Gaussian noise of each column's spread in the batch; missing numbers stay missing."""
    return disturbed(x, (0,), generator)


def disturbed(x: Tensor, axes: tuple[int, ...], generator: Generator) -> Tensor:
    """Adds Gaussian noise of NOISE times the spread over some axes; NaN stays NaN."""
    mean = x.nanmean(axes, keepdim=True)
    spread = (x - mean).square().nanmean(axes, keepdim=True).sqrt()
    drawn = torch.randn(x.shape, generator=beside(x, generator), dtype=x.dtype, device=x.device)
    return x + NOISE * spread * drawn


def _number_dropout(x: Tensor, generator: Generator) -> Tensor:
    """Some numbers become missing. The masking noise of Vincent et al. 2008."""
    return x.masked_fill(_lost(x, generator), torch.nan)


def _category_dropout(x: Tensor, generator: Generator) -> Tensor:
    """Some categories become unseen, so the network learns to handle unseen ones."""
    return x.masked_fill(_lost(x, generator), UNSEEN)


def _lost(x: Tensor, generator: Generator) -> Tensor:
    return torch.rand(x.shape, generator=beside(x, generator), device=x.device) < LOST


noise = Augmentation("numbers", _noise)
number_dropout = Augmentation("numbers", _number_dropout)
category_dropout = Augmentation("labels", _category_dropout)
