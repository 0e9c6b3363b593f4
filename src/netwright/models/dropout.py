"""Dropout with cheap random draws on a CPU."""

from typing import final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

# Of a draw: one number of the generator gives four. torch's dropout takes a number for each unit, 8 ns if MKL does not
# draw for it (on processors other than Intel's); otherwise a unit of a small layer costs less than that.
BITS = 16
LOWEST, MOST = -(1 << BITS - 1), (1 << BITS - 1) - 1  # of a draw


@final
class Dropout(nn.Dropout):
    """Like nn.Dropout, with its own draws on a CPU; a search for nn.Dropout finds it. The share is exact to 1/65536."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape."""
        if not self.training or self.p == 0:
            return input
        if input.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(input, self.p)
        numbers = draw(torch.empty(needed(input.numel()), dtype=torch.int64))
        kept = 1 - self.p
        return input * mask(numbers.view(torch.int16)[: input.numel()], limit(kept), scale(kept), input)


def needed(units: int) -> int:
    """The number of random numbers for so many units."""
    return -(-units * BITS // 64)


def draw(numbers: Tensor, generator: Generator | None = None) -> Tensor:
    """Fills int64 with uniformly distributed numbers."""
    return numbers.random_(-(1 << 63), None, generator=generator)


def mask(draws: Tensor, limit: int | Tensor, scale: float | Tensor, like: Tensor) -> Tensor:
    """The factor of each unit: `scale` if its int16 draw is below the limit, else 0."""
    # Written directly as floats: with booleans torch takes three times as long.
    return torch.lt(draws.reshape(like.shape), limit, out=torch.empty_like(like)).mul_(scale)


def limit(kept: float) -> int:
    """The share of draws below it is the kept share."""
    return min(LOWEST + round(kept * (1 << BITS)), MOST)


def scale(kept: float) -> float:
    """The factor by which kept units grow, to preserve the expected sum."""
    return 1 / kept if kept else 0.0
