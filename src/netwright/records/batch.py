"""A batch of encoded rows, and where batches come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as the network takes them: `network(*batch.inputs)`.

    `targets` holds one tensor for a label or a number; tasks with masks, boxes or token rows with lengths hold as many
    as they need, and tasks whose input is its own target hold none. `rows` are the row numbers, (B,) int64, so that a
    loss can be traced to a file or a line.
    """

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return Batch(
            tuple(t.to(device, non_blocking=True) for t in self.inputs),
            tuple(t.to(device, non_blocking=True) for t in self.targets),
            self.rows,
        )


class Examples(ABC):
    """Encoded rows of one part of the data (training, validation or test)."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows."""

    @abstractmethod
    def batches(self, size: int, *, seed: int | None, start: int = 0) -> Iterator[Batch]:
        """Batches of `size` rows, the last one smaller. Pure: the same arguments give the same batches.

        `seed` None keeps the order of the rows and augments nothing; a number shuffles and augments by it.
        `start` skips that many batches without building them, so that training can go on in mid-epoch.
        """

    @abstractmethod
    def locate(self, row: int) -> str:
        """Where a person finds the row: `people.csv, line 12`."""
