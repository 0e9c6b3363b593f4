"""From encoded rows to batches: in memory, or from an engineer's own loader."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast, final

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from netwright.data.augment import Change, Changes, changes
from netwright.data.buckets import JUDGED, bucketed, pays
from netwright.data.dataset import Dataset
from netwright.data.mapped import Column, gathered
from netwright.data.reading import as_batch
from netwright.machine.randomness import seeded
from netwright.records.batch import WALKED, Batch, Examples
from netwright.records.errors import DataError
from netwright.records.nested import Convention
from netwright.records.schema import Schema
from netwright.records.task import Task

RESIDENT = 0.5  # share of a GPU's free memory that data may take: the rest is for the network and its activations
FAR = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: spreads (seed, batch) over all seeds, as in SplitMix64


Steps = Callable[[Tensor], Tensor | None]
"""(encoded cells) -> number of real steps in each row; None if cells have no steps."""


@final
@dataclass(frozen=True, eq=False)
class InMemory(Examples):
    """Some rows, by `index`, of tensors that all parts share. Row numbers are those of the data.

    Tensors may be mapped files. Columns of a user's mapped arrays are encoded batch by batch, so only batches are in
    memory. If the last shuffled batch has one row, it takes another from the batch before it: batch statistics need
    two.
    """

    columns: tuple[Column, ...]  # one for each input of the network, with all rows of the data
    target_columns: tuple[Column, ...]
    index: Tensor  # (rows of this part,) int64
    where: Callable[[int], str]
    change: Changes | None = None  # applied to shuffled batches only
    steps: tuple[Steps, ...] = ()  # for each input the number of real steps; if empty, nothing is cut
    counts: Callable[[tuple[Tensor, ...]], tuple[Tensor | None, ...]] | None = None  # the same for targets
    all_spans: Tensor | None = None  # of all rows of the data
    all_groups: Tensor | None = None
    all_order: Tensor | None = None
    buckets: Tensor | None = None  # length of each row of the data, to make shuffled batches by; see `buckets`
    convention: Convention | None = None  # of an engineer's own rows

    def __len__(self) -> int:
        return len(self.index)

    @property
    def is_indexed(self) -> bool:
        """Always."""
        return True

    @property
    def is_in_memory(self) -> bool:
        """Unless a column is encoded batch by batch."""
        return all(isinstance(column, Tensor) for column in (*self.columns, *self.target_columns))

    @property
    def source(self) -> Hashable:
        """The tensors."""
        return tuple(map(id, (*self.columns, *self.target_columns)))

    @property
    def rows(self) -> Tensor:
        """Numbers of the data's rows."""
        return self.index

    @property
    def spans(self) -> Tensor | None:
        """Of these rows."""
        return None if self.all_spans is None else self.all_spans[self.index]

    @property
    def groups(self) -> Tensor | None:
        """Of these rows."""
        return None if self.all_groups is None else self.all_groups[self.index]

    @property
    def order(self) -> Tensor | None:
        """Of these rows."""
        return None if self.all_order is None else self.all_order[self.index]

    def batches(self, size: int, *, seed: int | None, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Gathered row by row from the whole tensors; order and changes depend only on (seed, batch)."""
        # In order one after the other: whoever wants the first of ten million rows does not wait for all numbers.
        in_order = (self.index[at : at + size] for at in range(0, len(self), size))
        every = in_order if seed is None else self.batch_rows(size, seed=seed)
        for number, rows in islice(enumerate(every), start, None):
            batch = self._gathered(rows[rank::world])
            if self.change is not None and seed is not None:
                batch = self.change(batch, _generator(seed, number + 1))
            yield self._cut(batch)

    def batch_rows(self, size: int, *, seed: int | None) -> tuple[Tensor, ...]:
        """Without gathering rows."""
        sizes = _sizes(len(self), size, is_shuffled=seed is not None)
        if seed is None:
            return self.index.split(sizes)
        generator = _generator(seed, 0)
        order = self.index[torch.randperm(len(self), generator=generator)]
        return order.split(sizes) if self.buckets is None else bucketed(order, self.buckets, sizes, generator)

    def take(self, rows: Tensor) -> Batch:
        """Rows of other parts may be asked for."""
        return self._cut(self._gathered(rows))

    def _gathered(self, rows: Tensor) -> Batch:
        columns = tuple(gathered(column, rows) for column in self.columns)
        return Batch(columns, self.targets(rows), rows, convention=self.convention)

    def _cut(self, batch: Batch) -> Batch:
        lengths = tuple(steps(x) for steps, x in zip(self.steps, batch.inputs, strict=False))
        of_targets = () if self.counts is None else self.counts(batch.targets)
        return replace(batch, lengths=lengths, target_lengths=of_targets).cut() if lengths or of_targets else batch

    def targets(self, rows: Tensor | None = None) -> tuple[Tensor, ...]:
        """Rows of other parts may be asked for."""
        return tuple(gathered(column, self.index if rows is None else rows) for column in self.target_columns)

    def column(self, number: int, rows: Tensor | None = None) -> Tensor:
        """Rows of other parts may be asked for."""
        return gathered(self.columns[number], self.index if rows is None else rows)

    def part(self, index: Tensor) -> Examples:
        """Of the same tensors."""
        return replace(self, index=self.index[index])

    def plain(self) -> Examples:
        """Of the same tensors."""
        return self if self.change is None else replace(self, change=None)

    def uncut(self) -> Examples:
        """Of the same tensors."""
        return replace(self, steps=(), counts=None)

    def by_length(self) -> Examples:
        """Lengths are read once."""
        lengths = self.index.new_zeros((int(self.index.max()) if len(self) else 0) + 1)
        for batch in self.plain().batches(WALKED, seed=None):
            lengths[batch.rows] = sum(n.cpu() for n in (*batch.lengths, *batch.target_lengths) if n is not None)
        one = replace(self, buckets=lengths)
        return one if pays(lengths, self.batch_rows(JUDGED, seed=0), one.batch_rows(JUDGED, seed=0)) else self

    def changed(self, change: Changes) -> Examples:
        """Shuffled batches alone are changed."""
        return replace(self, change=change)

    def relabelled(self, targets: tuple[Tensor, ...]) -> Examples:
        """After this, rows of other parts have no target."""
        whole = tuple(
            t.new_zeros(int(self.index.max()) + 1, *t.shape[1:]).index_copy(0, self.index, t) for t in targets
        )
        return replace(self, target_columns=whole)

    def on(self, device: torch.device) -> Examples:
        """Whole tensors move to a GPU if they take at most RESIDENT of its free memory."""
        if device.type != "cuda" or not self.is_in_memory:
            return self
        columns = tuple(c for c in (*self.columns, *self.target_columns) if isinstance(c, Tensor))
        if sum(column.nbytes for column in columns) > RESIDENT * torch.cuda.mem_get_info(device)[0]:
            return self
        moved = tuple(column.to(device) for column in columns)
        count = len(self.columns)
        return replace(self, columns=moved[:count], target_columns=moved[count:])

    def locate(self, row: int) -> str:
        """As in the data."""
        return self.where(row)


def _sizes(count: int, size: int, *, is_shuffled: bool) -> list[int]:
    sizes = [size] * (count // size) + [count % size] * (count % size > 0)
    if is_shuffled and size > 2 and count > size and count % size == 1:
        sizes[-2:] = [size - 1, 2]
    return sizes


def _generator(seed: int, number: int) -> Generator:
    return Generator().manual_seed((seed + FAR * number) % 2**63)


def in_memory(
    dataset: Dataset,
    schema: Schema,
    task: Task | None,
    inputs: tuple[Column, ...],
    targets: tuple[Column, ...],
    rows: Sequence[int] | np.ndarray,
) -> InMemory:
    """The rows of encoded data; `rows` are their numbers."""
    index, spans, groups, order = (
        None if x is None else torch.as_tensor(np.asarray(x, np.int64))
        for x in (rows, dataset.spans, dataset.groups, dataset.order)
    )
    steps = tuple(block.fields[0].lengths for block in schema.blocks) if _have_steps(schema, inputs) else ()
    counts = None if task is None else task.lengths
    return InMemory(inputs, targets, cast(Tensor, index), dataset.locate, None, steps, counts, spans, groups, order)


def _have_steps(schema: Schema, inputs: tuple[Column, ...]) -> bool:
    none = torch.empty(0, dtype=torch.int64)
    cells = (gathered(column, none) for column in inputs)
    return any(b.fields[0].lengths(x) is not None for b, x in zip(schema.blocks, cells, strict=False))


def augmented(examples: Examples, schema: Schema, names: Sequence[str | Change], task: Task) -> Examples:
    """The same examples, with shuffled batches changed by the named augmentations; a loader does its own."""
    return examples.changed(changes(schema, names, task)) if names and examples.is_indexed else examples


def empty() -> Examples:
    """No rows: for a missing part."""
    return InMemory((), (), torch.empty(0, dtype=torch.int64), "row {}".format)


@final
@dataclass(frozen=True, eq=False)
class Adopted(Examples):
    """Batches of an engineer's own loader, in its own sizes and order; rows are numbered as they come.

    If the loader shuffles, a number means another row in each pass. Its order depends on `seed` if it draws from
    torch's global generator.
    """

    loader: Iterable[Any]
    name: str
    count: int  # rows
    read: Callable[[Any, int], Batch]

    def __len__(self) -> int:
        return self.count

    def batches(self, size: int, *, seed: int | None, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """The loader's batches; `size` is ignored."""
        first_row = 0
        for number, thing in enumerate(_seeded(self.loader, seed or 0)):
            batch = self.read(thing, first_row)
            first_row += len(batch)
            if number >= start:
                yield batch.share(rank, world)

    def locate(self, row: int) -> str:
        """`train loader, row 3` (from 0)."""
        return f"{self.name}, row {row}"


def first_of(loader: Any, name: str = "loader") -> Any:  # Any: a user's object
    """The first item of an engineer's loader, or all rows if they are given at once.

    Raises DataError as `require_batches`, for a generator, and for an iterable without batches.
    """
    if _is_whole(loader):
        return loader
    require_batches(loader, name)
    if iter(loader) is loader:
        raise DataError(
            f"the {name} is a {type(loader).__name__}, which can be read only once",
            remedy="pass a list of batches, a DataLoader, or an object that can be iterated again.",
        )
    first = next(_seeded(loader, 0), None)
    if first is None:
        raise DataError(f"the {name} has no batches", remedy="pass a loader with at least one batch.")
    return first


def require_batches(loader: Any, name: str = "loader") -> None:
    """Raises DataError for objects that give no batches, or single rows."""
    came = type(loader).__name__
    if isinstance(loader, TorchDataset) and not isinstance(loader, IterableDataset):
        problem = f"the {name} is a {came}, which gives single rows"
        raise DataError(problem, remedy="pass batches: torch.utils.data.DataLoader(dataset, batch_size=64).")
    if isinstance(loader, str | Mapping) or not isinstance(loader, Iterable):
        problem = f"the {name} is a {came}, which gives no batches"
        raise DataError(problem, remedy="pass a DataLoader, or a list of batches (x, y).")


def adopted(loader: Any, name: str = "loader", read: Callable[[Any, int], Batch] = as_batch) -> Examples:
    """Examples from an iterable of batches that can be read repeatedly, or from all rows at once.

    All rows are a tensor or array, a tuple with one, or a dictionary; batches are gathered from them row by row.
    `read` turns an item into a batch. Raises DataError as `first_of`, and for batches that `read` refuses.
    """
    first = read(first_of(loader, name), 0)
    if _is_whole(loader):
        where, convention = f"{name}, row {{}}".format, first.convention
        return InMemory(first.inputs, first.targets, first.rows, where, convention=convention)
    return Adopted(loader, name, _rows(loader, read), read)


def _is_whole(loader: Any) -> bool:
    """Whether it is all rows at once."""
    parts = loader if isinstance(loader, tuple) else (loader,)
    return isinstance(loader, Mapping) or any(isinstance(part, Tensor | np.ndarray) for part in parts)  # pyright: ignore[reportUnknownVariableType]


def _rows(loader: Iterable[Any], read: Callable[[Any, int], Batch]) -> int:
    if isinstance(loader, DataLoader) and not loader.drop_last:
        try:
            return len(loader.sampler)  # type: ignore[arg-type]  # not every sampler has a length: TypeError below
        except TypeError:
            pass
    return sum(len(read(thing, 0)) for thing in loader)


def _seeded(loader: Iterable[Any], seed: int) -> Iterator[Any]:
    """The loader's items; its draws to shuffle at the start come from `seed`, and leave all generators as they were."""
    own = _generators(loader)
    states = [generator.get_state() for generator in own]
    with seeded(seed):
        for generator in own:
            generator.manual_seed(seed)
        items = iter(loader)
        first = list(islice(items, 1))
    for part in (first, items):  # a sampler draws once more at its end
        for generator, state in zip(own, states, strict=True):
            generator.set_state(state)
        yield from part
    for generator, state in zip(own, states, strict=True):
        generator.set_state(state)


def _generators(loader: Iterable[Any]) -> list[Generator]:
    """Those that a DataLoader draws its order from, if it has its own."""
    if not isinstance(loader, DataLoader):
        return []
    samplers = loader.sampler, getattr(loader.batch_sampler, "sampler", None)
    found = [loader.generator, *(getattr(sampler, "generator", None) for sampler in samplers)]
    return list({id(one): one for one in found if isinstance(one, Generator)}.values())
