"""Rows of which only so many are kept: all of them, or a sample in which each row is as likely as any other."""

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.records.batch import Rows

# Rows kept: a share of them is within 0.001 of that of all rows (95 %), and what metrics make of them takes 200 MB.
MOST_ROWS = 1_000_000
MOST_BYTES = 1 << 28  # 256 MB: 67,000 rows of a thousand classes
SLACK = 1.25  # kept rows are thinned when there are so many times more than asked for


@final
class Sample:
    """Small tensors of many batches, on their own device; `add` never waits. Reservoir sampling with random keys.

    The sample depends on the number of rows and on the seed, not on batches: two samples of the same rows, of tensors
    of the same size, hold the same rows.
    """

    def __init__(self, seed: int = 0) -> None:
        self.count = 0  # rows added
        self._rows, self._kept = Rows(), 0
        self._most = MOST_ROWS
        self._random = np.random.default_rng(seed)  # its n-th number is the key of the n-th row
        self._keys, self._places = list[NDArray[np.float64]](), list[NDArray[np.int64]]()  # empty while all are kept
        self._bar = 1.0  # rows with lower keys are kept

    def add(self, tensors: tuple[Tensor, ...]) -> None:
        """Adds tensors with a row for each example; each call passes the same number, types and shapes."""
        if not (rows := len(tensors[0])):
            return
        if not self.count:
            self._most = max(1, min(MOST_ROWS, MOST_BYTES // sum(t[:1].nbytes for t in tensors)))
        self.count += rows
        if self._keys:
            self._take(tensors, self._random.random(rows), np.arange(self.count - rows, self.count))
        else:
            self._rows.add(tensors)
            self._kept += rows
        if self._kept > SLACK * self._most:
            self._thin()

    def joined(self) -> tuple[Tensor, ...]:
        """The kept rows, in the order of adding; none before the first `add`."""
        if self._kept > self._most:
            self._thin()
        return self._rows.joined()

    @property
    def nbytes(self) -> int:
        """Of all that is kept."""
        return sum(t.nbytes for t in (*self._rows.joined(), *self._keys, *self._places))

    def places(self) -> NDArray[np.int64]:
        """(rows,): which of the added rows `joined` gives."""
        self.joined()
        return self._known_places()

    def _thin(self) -> None:
        """Keeps the rows with the lowest keys."""
        all_keys = self._keys or [self._random.random(self.count)]
        keys, places, kept = np.concatenate(all_keys), self._known_places(), self._rows.joined()
        self._bar = float(np.partition(keys, self._most)[self._most])
        self._rows, self._kept, self._keys, self._places = Rows(), 0, [], []
        self._take(kept, keys, places)

    def _known_places(self) -> NDArray[np.int64]:
        return np.concatenate(self._places) if self._places else np.arange(self.count)

    def _take(self, tensors: tuple[Tensor, ...], keys: NDArray[np.float64], places: NDArray[np.int64]) -> None:
        chosen = np.flatnonzero(keys < self._bar)
        index = torch.from_numpy(chosen)
        self._rows.add(tuple(t[index.to(t.device)] for t in tensors))
        self._kept += len(chosen)
        self._keys.append(keys[chosen])
        self._places.append(places[chosen])
