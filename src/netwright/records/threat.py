"""What an adversary can do to the inputs of a network, and what they want."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

Norm = Literal["inf", "2"]

Swaps = Callable[[Tensor, float], tuple[Tensor, Tensor]]
"""(cells (B, S, *cell), size) -> what may stand in each of their S places, and which of it may.

The first is (B, S, K, *cell), the second (B, S, K). A place's own cell is not among it.
"""

NEVER = 0  # the group of tokens that stay: punctuation, unknown words, padding


@final
@dataclass(frozen=True)
class Reach:
    """How far an adversary goes, column by column.

    Their size is a multiple of what a person would not notice (a field's `reach`), or a share of the column's range.
    """

    is_share: bool = False
    immutable: frozenset[str] = frozenset()  # columns that they cannot change

    def unit(self, name: str, low: float, high: float, reach: float) -> float:
        """How far a column's values move for each unit of size; 0 if they cannot."""
        if name in self.immutable:
            return 0.0
        return high - low if self.is_share else reach

    def part(self, share: float) -> float:
        """The share of a row's cells that may be swapped for each unit of size; `share` if size is a strength."""
        return 1.0 if self.is_share else share


@final
@dataclass(frozen=True, eq=False)
class Way:
    """How one input can change: its values move, or its cells are swapped for others; neither if it is fixed.

    `unit`, `low`, `high` and `step` fit a row of the input by broadcasting. A value moves by at most size * unit,
    and stays between low and high (one that is outside already, between them and itself); missing values stay missing.

    `groups` holds the group of each token of a vocabulary, (V,) int64. A token may be swapped for others of its group
    that the network reads alike; the kind does not know which, so an attack finds `swaps` in the network.
    """

    unit: Tensor | None = None  # 0 if a value cannot move; None if none can
    low: Tensor | float = 0.0
    high: Tensor | float = 0.0
    step: Tensor | float = 0.0  # values move by multiples of it: whole numbers stay whole; 0: by any amount
    swaps: Swaps | None = None
    groups: Tensor | None = None
    each: float = 1.0  # cells of a row that may be swapped, for each unit of size; at least one; infinity for all
    share: float = 0.0  # the same, as a share of the row's cells

    @property
    def moves(self) -> bool:
        """Whether values can move."""
        return self.unit is not None and bool((self.unit > 0).any())

    @property
    def can_swap(self) -> bool:
        """Whether cells can be swapped."""
        return self.swaps is not None or self.groups is not None

    @property
    def is_open(self) -> bool:
        """Whether anything can change."""
        return self.moves or self.can_swap

    def swapped(self, cells: Tensor, size: float) -> Tensor:
        """(B,) int64: how many cells of a row may be swapped, of as many as it has; at least one if size is above 0."""
        if size <= 0:
            return torch.zeros_like(cells, dtype=torch.int64)
        count = (size * (self.each + self.share * cells)).floor().clamp(min=1.0)
        return count.minimum(cells.to(count)).long()


FIXED = Way()


@final
@dataclass(frozen=True, eq=False)
class Threat:
    """What an adversary can do, and wants: any wrong answer, or one label for each row."""

    ways: tuple[Way, ...]  # one for each input
    size: float
    norm: Norm = "inf"  # of all values that move together, in units: the greatest, or the root of the sum of squares
    goal: Tensor | None = None  # (B,) int64: positions of the wanted labels
    seed: int = 0

    def generator(self, salt: int = 0) -> torch.Generator:
        """A generator for what an attack draws."""
        return torch.Generator().manual_seed(self.seed + salt)


@final
@dataclass(frozen=True, eq=False)
class Hardening:
    """What training resists: the adversary, and for distillation the network that is learned from."""

    threat: Threat  # its ways are empty if the range of the inputs is unknown
    teacher: nn.Module | None = None
    temperature: float = 1.0  # logits of teacher and student are divided by it
