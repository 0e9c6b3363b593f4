"""A batch of encoded rows, and where batches come from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mix:
    """What rows were mixed with: the other rows' targets, and the share of each row's own, (B,) in [0, 1].

    The loss of a mixed row is the same mixture of its losses for both targets. Zhang et al. 2017, arXiv:1710.09412.
    """

    targets: tuple[Tensor, ...]
    share: Tensor


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
    mix: Mix | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return self._each(lambda t: t.to(device, non_blocking=True), self.rows)

    def head(self, count: int) -> "Batch":
        """The first rows."""
        return self._each(lambda t: t[:count], self.rows[:count])

    def _each(self, change: Callable[[Tensor], Tensor], rows: Tensor) -> "Batch":
        inputs, targets = (tuple(change(t) for t in part) for part in (self.inputs, self.targets))
        mix = self.mix and Mix(tuple(change(t) for t in self.mix.targets), change(self.mix.share))
        return Batch(inputs, targets, rows, mix)


@final
class Rows:
    """Small tensors of many batches, behind each other, on the device where they are; `add` waits for nothing.

    A list of them pins glibc's heap: with 30,000 pictures passed by, what each batch had freed in between was never
    used again, 850 MB in all (glibc 2.36, torch 2.13). So rows are copied into a buffer that doubles.
    """

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._filled = 0

    def add(self, tensors: tuple[Tensor, ...]) -> None:
        """Tensors with a row for each example; as many, of the same types and shapes, at each call."""
        if not tensors:
            return
        filled = self._filled + len(tensors[0])
        self._buffers = [*self._buffers, *(t.new_empty(0, *t.shape[1:]) for t in tensors[len(self._buffers) :])]
        for number, (buffer, tensor) in enumerate(zip(self._buffers, tensors, strict=True)):
            if filled > len(buffer):
                larger = buffer.new_empty(2 * filled, *buffer.shape[1:])
                larger[: self._filled] = buffer[: self._filled]
                self._buffers[number] = larger
            self._buffers[number][self._filled : filled] = tensor
        self._filled = filled

    def joined(self) -> tuple[Tensor, ...]:
        """All rows so far; none before the first `add`."""
        return tuple(buffer[: self._filled] for buffer in self._buffers)


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
