"""The losses of all steps in bounded memory: stretches double in length as training proceeds."""

from collections.abc import Sequence
from math import inf
from typing import final

from netwright.records.watched import Stretch

MOST_STRETCHES = 256


@final
class Stretches:
    """Stretches of equal length, except the last; joined in pairs when there are too many."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._length = max((s.count for s in stretches), default=1)
        self._whole = [s for s in stretches if s.count == self._length]
        self._total, self._least, self._most = 0.0, inf, -inf  # of the steps after the full stretches
        for part in stretches[len(self._whole) :]:
            self._total, self._least, self._most = part.mean * part.count, part.least, part.most
        self.count = sum(s.count for s in stretches)

    def add(self, loss: float) -> None:
        """The next step's loss. A mean of NaN means that some loss was NaN; least and most leave it out."""
        self.count += 1
        self._total += loss
        if loss < self._least:
            self._least = loss
        if loss > self._most:
            self._most = loss
        if self.count % self._length == 0:
            self._whole.append(self._last())
            self._total, self._least, self._most = 0.0, inf, -inf
            if len(self._whole) == MOST_STRETCHES:
                self._whole = list(map(_joined, self._whole[::2], self._whole[1::2]))
                self._length *= 2

    def stretches(self) -> tuple[Stretch, ...]:
        """All stretches so far."""
        return (*self._whole, self._last()) if self.count % self._length else tuple(self._whole)

    def _last(self) -> Stretch:
        first = len(self._whole) * self._length
        count = self.count - first
        return Stretch(first, count, self._total / count, self._least, self._most)


def _joined(a: Stretch, b: Stretch) -> Stretch:
    count = a.count + b.count
    mean = (a.mean * a.count + b.mean * b.count) / count
    return Stretch(a.first, count, mean, min(a.least, b.least), max(a.most, b.most))
