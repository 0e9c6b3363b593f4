"""From maps and sequences to vectors."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.models.sequences import LOWEST, Chain, Segments, valid_steps
from netwright.records.schema import Signal

SEGMENTS = 8  # parts of a sequence with separate means: enough to tell beginning, middle and end apart


def pooled(body: nn.Module, signal: Signal) -> tuple[nn.Module, Signal]:
    """`body`, with output `signal`, followed by pooling to a vector, unless it is one.

    For a map, mean and maximum of each channel; for a sequence, the means of SEGMENTS parts and the maximum over steps.
    """
    if signal.form == "vector":
        return body, signal
    if signal.form == "map":
        return Chain(body, MeanAndMax()), Signal("vector", 2 * signal.width)
    parts = min(SEGMENTS, signal.size[0])
    return Chain(body, PartsAndMax(parts)), Signal("vector", (parts + 1) * signal.width)


@final
class MeanAndMax(nn.Module):
    """(B, width, H, W) -> (B, 2 x width); sequences (B, T, width) with lengths, the same over their valid steps."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Means, then maxima."""
        if lengths is None:
            return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
        valid = valid_steps(x, lengths)
        return torch.cat([_mean(x, valid, lengths), _largest(x, valid)], dim=1)


@final
class PartsAndMax(nn.Module):
    """(B, T, width) and lengths -> (B, (parts + 1) x width)."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.segments = Segments(parts)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Means of the parts in order, then maxima."""
        return torch.cat([self.segments(x, lengths), _largest(x, valid_steps(x, lengths))], dim=1)


@final
class GlobalPool(nn.Module):
    """The mean or the maximum over all pixels or valid steps: (B, width)."""

    def __init__(self, *, mean: bool) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """A vector for each example."""
        if lengths is None:
            return x.mean((2, 3)) if self.mean else x.amax((2, 3))
        valid = valid_steps(x, lengths)
        return _mean(x, valid, lengths) if self.mean else _largest(x, valid)


@final
class FlattenSteps(nn.Module):
    """The first `count` steps of each row side by side, padding as zeros: (B, count x width)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """A vector for each row; steps past `count` are left out."""
        x = (x * valid_steps(x, lengths))[:, : self.count]
        return F.pad(x, (0, 0, 0, self.count - x.shape[1])).flatten(1)


def _mean(x: Tensor, valid: Tensor, lengths: Tensor) -> Tensor:
    return (x * valid).sum(1) / lengths[:, None]


def _largest(x: Tensor, valid: Tensor) -> Tensor:
    return x.masked_fill(~valid, LOWEST).amax(1)
