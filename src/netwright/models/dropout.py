"""Dropout whose draws cost little on a CPU."""

from typing import final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

# Of a draw: four come out of one number of the generator. torch's dropout takes a number for each unit, 8 ns where MKL
# does not draw for it (not on Intel's processors); a unit of a small layer costs less than that otherwise.
BITS = 16
LOWEST, MOST = -(1 << BITS - 1), (1 << BITS - 1) - 1  # of a draw


@final
class Dropout(nn.Dropout):
    """As nn.Dropout, by draws of its own on a CPU; what looks for nn.Dropout finds it. The share is kept to 1/65536."""

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
    """How many numbers so many units take."""
    return -(-units * BITS // 64)


def draw(numbers: Tensor, generator: Generator | None = None) -> Tensor:
    """Fills int64 with numbers that are as likely each."""
    return numbers.random_(-(1 << 63), None, generator=generator)


def mask(draws: Tensor, limit: int | Tensor, scale: float | Tensor, like: Tensor) -> Tensor:
    """What units are multiplied with: `scale` where their int16 draw is below the limit, else 0."""
    # Written as floats at once: all that torch does with truth values takes three times as long.
    return torch.lt(draws.reshape(like.shape), limit, out=torch.empty_like(like)).mul_(scale)


def limit(kept: float) -> int:
    """The share of all draws below it is the kept share."""
    return min(LOWEST + round(kept * (1 << BITS)), MOST)


def scale(kept: float) -> float:
    """By which units that are kept grow, so that the expected sum stays."""
    return 1 / kept if kept else 0.0
