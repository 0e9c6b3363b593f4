"""Augmentation of series: float32 (B, T, channels), NaN if missing and after the end."""

import torch
from torch import Generator, Tensor

from netwright.data.augment import Augmentation
from netwright.data.augment.table import disturbed

MOVE = 0.1  # of a series' length: the most that it moves, grows or loses, and the longest mask
SILENT = 0.1  # share of channels that are dropped


def _jitter(x: Tensor, generator: Generator) -> Tensor:
    """Gaussian noise of each channel's spread in the batch. Um et al. 2017, arXiv:1706.00527."""
    return disturbed(x, (0, 1), generator)


def _move(x: Tensor, generator: Generator) -> Tensor:
    """Each series earlier or later by up to MOVE of its length; its first or last step is repeated."""
    lengths = _lengths(x)
    by = (_between(x, generator) * MOVE * lengths).round()
    return _taken(x, (_steps(x) - by).clamp(min=0).minimum(lengths - 1), lengths)


def _stretch(x: Tensor, generator: Generator) -> Tensor:
    """Each series slower or faster by up to MOVE: steps are repeated or left out, so all values are measured ones.

    Um et al. 2017, arXiv:1706.00527, warp time; here the speed is constant. Steps after T are cut.
    """
    factor = 1 + MOVE * _between(x, generator)
    lengths = _lengths(x)
    grown = (lengths * factor).round().clamp(max=x.shape[1]).maximum(lengths.clamp(max=1))
    return _taken(x, ((_steps(x) + 0.5) / factor).floor().minimum(lengths - 1), grown)


def _window(x: Tensor, generator: Generator) -> Tensor:
    """Cuts up to MOVE of each series' steps from its start and its end. Cui et al. 2016, arXiv:1603.06995."""
    lengths = _lengths(x)
    lost = ((_between(x, generator) + 1) / 2 * MOVE * lengths).round()
    start = ((_between(x, generator) + 1) / 2 * (lost + 1)).floor().minimum(lost)
    return _taken(x, (_steps(x) + start).minimum((lengths - 1).clamp(min=0)), lengths - lost)


def _time_mask(x: Tensor, generator: Generator) -> Tensor:
    """Up to MOVE of each series' steps in a row become its channels' means. Park et al. 2019, arXiv:1904.08779."""
    lengths = _lengths(x)
    span = (((_between(x, generator) + 1) / 2) * MOVE * lengths).ceil()
    start = ((_between(x, generator) + 1) / 2 * (lengths - span)).floor()
    masked = (_steps(x) >= start) & (_steps(x) < start + span)
    return _blanked(x, masked[:, :, None])


def _channel_dropout(x: Tensor, generator: Generator) -> Tensor:
    """Each channel of each series becomes its mean, with probability SILENT."""
    silent = torch.rand(len(x), 1, x.shape[2], generator=generator) < SILENT
    return _blanked(x, silent.to(x.device))


def _blanked(x: Tensor, chosen: Tensor) -> Tensor:
    """Chosen values become the mean of their series and channel; missing ones stay missing."""
    return torch.where(chosen & ~x.isnan(), x.nanmean(1, keepdim=True), x)


def _lengths(x: Tensor) -> Tensor:
    """(B, 1) float: steps up to the last with a value."""
    return (_steps(x) + 1).mul(~x.isnan().all(2)).amax(1, keepdim=True)


def _steps(x: Tensor) -> Tensor:
    return torch.arange(x.shape[1], device=x.device, dtype=x.dtype)[None]


def _taken(x: Tensor, places: Tensor, lengths: Tensor) -> Tensor:
    """The steps at `places` (B, T) of each series, up to its new length (B, 1); padding after it."""
    steps = places.clamp(0, x.shape[1] - 1).long()[:, :, None].expand_as(x)
    return x.gather(1, steps).masked_fill((_steps(x) >= lengths)[:, :, None], torch.nan)


def _between(x: Tensor, generator: Generator) -> Tensor:
    """(B, 1), uniform from -1 to 1."""
    return (torch.rand(len(x), 1, generator=generator) * 2 - 1).to(x.device)


jitter = Augmentation("steps", _jitter)
move = Augmentation("steps", _move, moves=True)
stretch = Augmentation("steps", _stretch, moves=True)
window = Augmentation("steps", _window, moves=True)
time_mask = Augmentation("steps", _time_mask)
channel_dropout = Augmentation("steps", _channel_dropout)
