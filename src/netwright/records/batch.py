"""A batch of encoded rows, and where batches come from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from netwright.records.nested import Convention, Outputs, as_outputs, grown, leaves

WALKED = 256  # batch size for a pass over all examples; an engineer's loader keeps its own size


@dataclass(frozen=True, slots=True)
class Mix:
    """Mixed rows: the targets of the other rows, and each row's own share, (B,) in [0, 1].

    The loss of a mixed row mixes its losses for both targets by the same share. Zhang et al. 2017, arXiv:1710.09412.
    """

    targets: tuple[Tensor, ...]
    share: Tensor


@final
@dataclass(frozen=True, slots=True)
class Geometry:
    """How points in each row's images moved, for targets that follow."""

    matrix: Tensor  # (B, 2, 3): from a point of the result to its source; (x, y) from -1 to 1
    maps: Callable[[Tensor], Tensor]  # moves maps (B, H, W) whose numbers cannot be interpolated, such as classes

    def points(self, places: Tensor) -> Tensor:
        """New positions of points (B, N, 2), as (x, y) from -1 to 1; points beyond that are outside the image."""
        turn, middle = self.matrix.to(places).split((2, 1), 2)
        return torch.linalg.solve(turn, places.mT - middle).mT


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as the network takes them: `network(*batch.arguments)`.

    `targets` holds one tensor for a label or a number. Tasks with masks, boxes or token rows hold as many as they need;
    tasks whose input is its own target hold none. `rows` are the row numbers, (B,) int64: they trace a loss to a file
    or a line. `lengths` holds, for each input, how many steps of a row are real, (B,) int64; the rest is padding. It is
    None for an input without steps. Batches are cut to their longest row.
    """

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    rows: Tensor
    mix: Mix | None = None
    lengths: tuple[Tensor | None, ...] = ()
    target_lengths: tuple[Tensor | None, ...] = ()  # the same for targets that are lists: boxes, words
    convention: Convention | None = None

    def call(self, network: nn.Module) -> Any:  # Any: an engineer's network returns anything
        """The network's outputs, called as it takes its inputs; of several, the answer if there is one."""
        if (convention := self.convention) is None:
            return network(*self.arguments)
        positional, named = (grown(tree, self.inputs) for tree in (convention.positional, convention.named or {}))
        outputs = network(*positional, **named)
        if convention.answer is None or isinstance(outputs, Tensor):
            return outputs
        return as_outputs(outputs)[convention.answer]  # pyright: ignore[reportArgumentType, reportCallIssue]  as found

    @property
    def wanted(self) -> Any:  # Any: a tensor, or a nest of them
        """The targets as a loss gets them: nested as the loader has them; the tensor itself if there is one."""
        if self.convention is not None and self.convention.targets is not None:
            return grown(self.convention.targets, self.targets)
        return self.targets[0] if len(self.targets) == 1 else self.targets

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        """Arguments of the network: the inputs, then the lengths of those that have steps."""
        return (*self.inputs, *(steps for steps in self.lengths if steps is not None))

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return self._each(lambda t: t.to(device, non_blocking=True), self.rows)

    def head(self, count: int) -> "Batch":
        """The first rows."""
        return self._each(lambda t: t[:count], self.rows[:count]).cut()

    def pick(self, which: Tensor) -> "Batch":
        """Some rows, by position or by mask."""
        return self._each(lambda t: t[which.to(t.device)], self.rows[which.to(self.rows.device)]).cut()

    def keep(self, which: Tensor) -> "Batch":
        """Some rows, by position or by mask, in tensors as wide as before."""
        return self._each(lambda t: t[which.to(t.device)], self.rows[which.to(self.rows.device)])

    def share(self, rank: int, world: int) -> "Batch":
        """The part of this batch that process `rank` of `world` computes."""
        return self if world == 1 else self._each(lambda t: t[rank::world], self.rows[rank::world]).cut()

    def cut(self) -> "Batch":
        """Without the steps after the end of the longest row, as networks expect."""
        if not len(self) or not any(steps is not None for steps in (*self.lengths, *self.target_lengths)):
            return self
        return replace(self, inputs=_cut(self.inputs, self.lengths), targets=_cut(self.targets, self.target_lengths))

    def _each(self, change: Callable[[Tensor], Tensor], rows: Tensor) -> "Batch":
        inputs, targets = (tuple(change(t) for t in part) for part in (self.inputs, self.targets))
        mix = self.mix and Mix(tuple(change(t) for t in self.mix.targets), change(self.mix.share))
        lengths, of_targets = (
            tuple(steps if steps is None else change(steps) for steps in part)
            for part in (self.lengths, self.target_lengths)
        )
        return Batch(inputs, targets, rows, mix, lengths, of_targets, self.convention)


def _cut(tensors: tuple[Tensor, ...], lengths: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
    if not lengths:
        return tensors
    return tuple(x if n is None else x[:, : int(n.max())] for x, n in zip(tensors, lengths, strict=True))


def joined(batches: Sequence[Batch]) -> Batch:
    """All rows of some batches in one batch, padded with zeros to the longest; the mix is dropped."""
    if not batches:
        return Batch((), (), torch.empty(0, dtype=torch.int64))
    inputs, targets = (
        tuple(map(_stacked, zip(*parts, strict=True)))
        for parts in ([batch.inputs for batch in batches], [batch.targets for batch in batches])
    )
    lengths, of_targets = (
        tuple(None if None in some else torch.cat(some) for some in zip(*parts, strict=True))
        for parts in ([batch.lengths for batch in batches], [batch.target_lengths for batch in batches])
    )
    rows = torch.cat([batch.rows for batch in batches])
    convention = batches[0].convention
    return Batch(inputs, targets, rows, lengths=lengths, target_lengths=of_targets, convention=convention)


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    longest = max((t.shape[1] for t in tensors if t.ndim > 1), default=0)
    return torch.cat([
        t if t.ndim < 2 or t.shape[1] == longest else F.pad(t, (0, 0) * (t.ndim - 2) + (0, longest - t.shape[1]))
        for t in tensors
    ])  # fmt: skip


@final
class Given(nn.Module):
    """Outputs that are already known, as the network that an objective calls."""

    def __init__(self, outputs: Outputs) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, *inputs: Any, **named: Any) -> Outputs:  # Any: whatever a network takes
        """The outputs, whatever the inputs."""
        return self.outputs


def side_by_side(outputs: Outputs) -> Tensor:
    """(B, width): all outputs of each row, one after the other, as float32."""
    parts = tuple(leaves(outputs))
    return torch.cat([part.float().reshape(len(part), -1) for part in parts if len(part) == len(parts[0])], 1)


@final
class Rows:
    """Small tensors of many batches, concatenated on their own device; `add` never waits.

    A list of them pins glibc's heap: over 30,000 images, the memory that each batch freed in between was never
    reused, 850 MB in all (glibc 2.36, torch 2.13). So rows are copied into a buffer that doubles.
    """

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._filled = 0

    def add(self, tensors: tuple[Tensor, ...]) -> None:
        """Adds tensors with a row for each example; each call passes the same number, types and shapes."""
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
    """An index of the examples in one part of the data (training, validation or test).

    An example is what a network answers once: a row, a window of a series, a pair. Three methods make Examples. The
    others have defaults that walk over the batches, so an engineer's own loader has them too. Examples that hold rows
    by number override these walks.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many examples."""

    @abstractmethod
    def batches(self, size: int, *, seed: int | None, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Batches of `size` examples, the last one smaller. Pure: the same arguments give the same batches.

        If `seed` is None, the order is kept and nothing is augmented; a number seeds shuffling and augmentation.
        `start` skips that many batches without building them, so training can resume in mid-epoch. If `world`
        processes share each batch, process `rank` gets its part, which may be empty.
        """

    @abstractmethod
    def locate(self, row: int) -> str:
        """Where a person finds the row: `people.csv, line 12`."""

    @property
    def is_indexed(self) -> bool:
        """Whether a number means the same example in each pass, and batches have the requested size."""
        return False

    @property
    def is_in_memory(self) -> bool:
        """Whether all columns are tensors already: taking rows reads and encodes nothing."""
        return False

    @property
    def source(self) -> Hashable:
        """Equal for examples in which a number means the same encoded row."""
        return id(self)

    @property
    def rows(self) -> Tensor:
        """The number of each example, (N,) int64, in order."""
        return torch.cat([torch.empty(0, dtype=torch.int64), *(batch.rows for batch in self._walk())])

    @property
    def spans(self) -> Tensor | None:
        """(N, 2): the first row of the data in each example, and the one after its last.

        None if each example is one row.
        """
        return None

    @property
    def groups(self) -> Tensor | None:
        """(N,): the group of each example; intervals resample whole groups. None if examples are independent."""
        return None

    @property
    def order(self) -> Tensor | None:
        """(N,): a number that rises with the time of each example. None if their time is not known."""
        return None

    def batch_rows(self, size: int, *, seed: int | None) -> tuple[Tensor, ...]:
        """The numbers of each batch's examples."""
        return tuple(batch.rows for batch in self.batches(size, seed=seed))

    def take(self, rows: Tensor) -> Batch:
        """The examples with these numbers, in this order, not augmented. Raises IndexError for unknown numbers."""
        found = joined([batch.pick(torch.isin(batch.rows, rows)) for batch in self._walk()])
        order = found.rows.argsort()
        place = torch.searchsorted(found.rows[order], rows).clamp(max=max(0, len(order) - 1))
        if len(rows) and (not len(order) or not torch.equal(found.rows[order[place]], rows)):
            raise IndexError("these examples lack some of the requested rows")
        return found.pick(order[place])

    def targets(self, rows: Tensor | None = None) -> tuple[Tensor, ...]:
        """The targets of these examples, or of all."""
        if rows is not None:
            return self.take(rows).targets
        return joined(list(self._walk())).targets

    def column(self, number: int, rows: Tensor | None = None) -> Tensor:
        """One of the network's inputs, for these examples or for all. Never cut to a length."""
        if rows is not None:
            return self.take(rows).inputs[number]
        return joined(list(self._walk())).inputs[number]

    def part(self, index: Tensor) -> "Examples":
        """Some of the examples, by position from 0."""
        chosen = self.rows[index]
        return _Altered(self, len(chosen), lambda batch: batch.pick(torch.isin(batch.rows, chosen)))

    def plain(self) -> "Examples":
        """The same without augmentation."""
        return self

    def by_length(self) -> "Examples":
        """The same, with rows of similar length in each shuffled batch, if that saves much padding.

        Every epoch has the same rows, in different batches.
        """
        return self

    def changed(self, change: Callable[[Batch, Generator], Batch]) -> "Examples":
        """The same, with shuffled batches augmented; an engineer's loader does its own augmentation."""
        return self

    def relabelled(self, targets: tuple[Tensor, ...]) -> "Examples":
        """The same inputs with other targets, in the order of `rows`."""
        numbers, order = self.rows.sort()

        def alter(batch: Batch) -> Batch:
            place = order[torch.searchsorted(numbers, batch.rows)]
            return replace(batch, targets=tuple(t[place] for t in targets))

        return _Altered(self, len(self), alter)

    def uncut(self) -> "Examples":
        """The same, with each sequence as long as the longest of all, so rows of several batches can be combined.

        The network does not get the lengths; it finds them from the padding.
        """
        return self

    def on(self, device: torch.device) -> "Examples":
        """The same, held on the device if they fit there beside a network."""
        return self

    def _walk(self) -> Iterator[Batch]:
        return self.plain().batches(WALKED, seed=None)


@final
@dataclass(frozen=True, eq=False)
class _Altered(Examples):
    """Other examples, each batch altered; batches that lose all rows are left out."""

    whole: Examples
    count: int
    alter: Callable[[Batch], Batch]

    def __len__(self) -> int:
        return self.count

    def batches(self, size: int, *, seed: int | None, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """In the order of the whole."""
        altered = (self.alter(batch) for batch in self.whole.batches(size, seed=seed))
        for batch in islice((batch for batch in altered if len(batch)), start, None):
            yield batch.share(rank, world)

    def locate(self, row: int) -> str:
        """As in the whole."""
        return self.whole.locate(row)
