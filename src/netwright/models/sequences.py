"""Building blocks for sequences: modules that take (x, lengths), return both, and never see padding.

x is (B, T, width), lengths (B,) int64, at least 1. The values in an output's padding are undefined: a module that looks
at more than one step masks its own input.
"""

from typing import final

import torch
from torch import Tensor, nn

LOWEST = -1e30  # replaces minus infinity in maxima: its gradient is 0, and it never makes NaN


def valid_steps(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, 1) bool: True for steps that are not padding."""
    return (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None]


def row_lengths(valid: Tensor) -> Tensor:
    """(B,) int64: one more than the last valid step of (B, T) bool, at least 1."""
    positions = torch.arange(1, valid.shape[1] + 1, device=valid.device)
    return (valid * positions).amax(1).clamp(min=1)


def cut(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Rows without the steps after the end of the longest, and their lengths."""
    return x[:, : int(lengths.max())] if len(lengths) else x, lengths


@final
class Chain(nn.Sequential):
    """Modules in sequence, for tensors alone or for sequences with their lengths."""

    def forward(self, *signal: Tensor) -> Tensor | tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's takes one input
        """The output of the last module."""
        out: Tensor | tuple[Tensor, ...] = signal
        for module in self:
            out = module(*out) if isinstance(out, tuple) else module(out)
        return out


@final
class EachStep(nn.Module):
    """A module that works on the last dimension, made a module for sequences."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The module's output for every step, and the same lengths."""
        return self.module(x), lengths


@final
class Conv(nn.Module):
    """A convolution along the steps. With stride s a row of length L becomes one of ceil(L / s).

    The weight is that of a two-dimensional convolution of height 1, (out, in, 1, kernel): (B, T, width) is already its
    channels_last layout, which saves the transposes of Conv1d (2.2 times faster at 256 x 60 x 64 on a CPU).
    """

    def __init__(
        self,
        width: int,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(
            width, out, (1, kernel), (1, stride), (0, dilation * (kernel - 1) // 2), (1, dilation), groups, bias
        )  # fmt: skip

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, ceil(T / stride), out) and the new lengths."""
        x = x * valid_steps(x, lengths)
        x = self.conv(x.unsqueeze(1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).squeeze(1)
        return x, lengths if self.stride == 1 else _shortened(lengths, self.stride)


@final
class PoolSteps(nn.Module):
    """The largest (or mean) of every `size` steps: a row of length L becomes one of ceil(L / size)."""

    def __init__(self, size: int, *, mean: bool = False) -> None:
        super().__init__()
        self.size = size
        self.mean = mean

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, ceil(T / size), width) and the new lengths."""
        valid = valid_steps(x, lengths)
        blank = 0.0 if self.mean else LOWEST
        missing = -x.shape[1] % self.size
        x = nn.functional.pad(x.masked_fill(~valid, blank), (0, 0, 0, missing), value=blank)
        windows = x.unflatten(1, (-1, self.size))
        lengths_after = _shortened(lengths, self.size)
        if not self.mean:
            return windows.amax(2), lengths_after
        counts = nn.functional.pad(valid, (0, 0, 0, missing)).unflatten(1, (-1, self.size)).sum(2)
        return windows.sum(2) / counts.clamp(min=1), lengths_after


@final
class Segments(nn.Module):
    """The means of `count` equal parts of each row, in order, which keeps rough positions.

    Parts are cut as in adaptive pooling, by each row's own length: part i covers the steps from floor(i L / count) to
    ceil((i + 1) L / count), so none is empty.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, count x width)."""
        part = torch.arange(self.count, device=x.device)
        first = part * lengths[:, None] // self.count  # (B, count)
        last = -(-(part + 1) * lengths[:, None] // self.count)
        step = torch.arange(x.shape[1], device=x.device)
        inside = (step >= first[..., None]) & (step < last[..., None])  # (B, count, T)
        valid = valid_steps(x, lengths)
        return (inside.to(x.dtype) @ (x * valid) / (last - first)[..., None]).flatten(1)


def _shortened(lengths: Tensor, by: int) -> Tensor:
    """ceil(lengths / by)."""
    return (lengths + by - 1) // by
