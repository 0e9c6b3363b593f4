"""Everyday corruptions of series: float32 (B, T, channels), NaN if missing and after the end.

Levels go from what a person overlooks in a drawing, over what they see, to half of what they know a series by.
"""

from math import ceil

import torch
from torch import Generator, Tensor

from netwright.attacks.corruptions import Corruption
from netwright.data.augment import beside
from netwright.records.schema import Block


def _sensor_noise(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """Gaussian noise, as a share of the spread of each series' channel."""
    mean = x.nanmean(1, keepdim=True)
    spread = (x - mean).square().nanmean(1, keepdim=True).sqrt()
    return x + level * spread * torch.randn(x.shape, generator=beside(x, generator), device=x.device)


def _gaps(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """A share of each series' steps in a row is missing, in all channels; its last step stays."""
    lengths = _lengths(x)
    span = (level * lengths).floor()
    start = (torch.rand(len(x), 1, generator=generator).to(x.device) * (lengths - span)).floor()
    step = torch.arange(x.shape[1], device=x.device)
    return x.masked_fill(((step >= start) & (step < start + span) & (step < lengths - 1))[:, :, None], torch.nan)


def _dead_channels(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """A share of each series' channels, at least one and never all, stays at its first value."""
    count = min(ceil(level * x.shape[2]), x.shape[2] - 1)
    ranks = torch.rand(len(x), x.shape[2], generator=generator).to(x.device).argsort(1).argsort(1)
    return torch.where((ranks < count)[:, None] & ~x.isnan(), _first(x), x)


def _first(x: Tensor) -> Tensor:
    """(B, 1, channels): the first value that is not missing."""
    return x.gather(1, (~x.isnan()).int().argmax(1, keepdim=True))


def _lengths(x: Tensor) -> Tensor:
    """(B, 1) float: steps up to the last with a value."""
    steps = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
    return (steps * ~x.isnan().all(2)).amax(1, keepdim=True)


sensor_noise = Corruption(("steps",), _sensor_noise, (0.1, 0.3, 1.0))  # at 1 as much noise as signal
gaps = Corruption(("steps",), _gaps, (0.1, 0.25, 0.5))
dead_channels = Corruption(("steps",), _dead_channels, (0.01, 0.25, 0.5), least_channels=2)  # one, a quarter, half
