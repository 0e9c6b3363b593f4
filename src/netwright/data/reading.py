"""From what an engineer's loader yields to a Batch: by the names and number of `forward`'s parameters, not by order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.records.errors import DataError, listed
from netwright.records.nested import Convention, planted
from netwright.records.takes import ANYTHING, TARGET_NAMES, Takes, takes

INPUT_NAMES = ("inputs", "input", "x")
MOST_ALTERNATIVES = 8  # entries of a dictionary that may be the target: each is tried once

Key = int | str


@final
@dataclass(frozen=True)
class Reading:
    """How an item of a loader becomes a batch: which entries the network gets, how, and which are targets.

    The entries of a tuple are its inputs, then its targets; those of a dictionary have names.
    """

    leading: int = 1  # entries of a tuple that are inputs
    targets: tuple[Key, ...] | None = None  # among the others; None for all
    positional: tuple[Key, ...] | None = None  # entries of the inputs; None for all
    named: tuple[str, ...] = ()
    is_whole: bool = False  # the network takes its inputs as one list or dictionary
    answer: Key | None = None

    def __call__(self, item: Any, first_row: int = 0) -> Batch:  # Any: a user's object enters here
        """The batch, its rows numbered from `first_row`. Raises DataError for anything but tensors of equal length."""
        if isinstance(item, Batch):
            return item
        inputs, targets = _parted(item, self.leading, self.targets)
        tensors, wanted = list[Tensor](), list[Tensor]()
        positional, named = self._arguments(inputs)
        trees = tuple(planted(_tensors(x), tensors) for x in positional)
        by_name = {name: planted(_tensors(x), tensors) for name, x in named.items()}
        tree = planted(_tensors(targets), wanted)
        counts = [len(t) for t in (*tensors, *wanted)]
        if not tensors or len(set(counts)) > 1:
            problem = (
                f"the tensors of a batch have {', '.join(map(str, counts))} rows" if counts else "a batch is empty"
            )
            raise DataError(problem, remedy="pass inputs and targets with one row for each example.")
        kept = None if _is_flat(tree) else tree
        convention = Convention(trees, by_name, kept, self.answer)
        is_plain = not by_name and _is_flat(trees) and kept is None and self.answer is None
        rows = torch.arange(first_row, first_row + counts[0])
        return Batch(tuple(tensors), tuple(wanted), rows, convention=None if is_plain else convention)

    def leaves_out(self, item: Sequence[Any]) -> bool:
        """Whether a tuple has further tensors after those that are targets."""
        return self.targets is not None and sum(map(_nest, item[self.leading :])) > len(self.targets)

    def _arguments(self, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """By position, and by name."""
        if self.is_whole:
            return (_usable(inputs) if isinstance(inputs, Mapping) else inputs,), {}
        if isinstance(inputs, Mapping):
            keys = tuple(_usable(inputs)) if self.positional is None else self.positional
            return tuple(inputs[key] for key in keys), {name: inputs[name] for name in self.named}
        return tuple(inputs) if isinstance(inputs, list | tuple) and not _is_numbers(inputs) else (inputs,), {}


def as_batch(item: Any, first_row: int = 0, network: nn.Module | None = None) -> Batch:
    """A Batch from an item of a loader, as it is most likely meant; `fitting` in training tries every reading."""
    return item if isinstance(item, Batch) else readings(item, network)[0][0](item, first_row)


def readings(item: Any, network: nn.Module | None = None) -> tuple[tuple[Reading, ...], ...]:
    """Readings to try on an item: alternatives that mean different things, each in several forms, the likeliest first.

    Raises DataError for an item of no known form, and for names that a network does not take.
    """
    known = ANYTHING if network is None else takes(network)
    if isinstance(item, Batch) or _is_tensor(item):
        return ((Reading(),),)
    if isinstance(item, Mapping):
        choices = tuple(
            tuple(replace(one, targets=chosen) for one in _of_names(_usable(_without(item, chosen)), known))
            for chosen in _targets(_usable(item), known)
        )
        if found := tuple(choice for choice in choices if choice):
            return found
        raise DataError(
            f"a batch holds {listed(tuple(map(str, item)))}, but the network's forward takes ({known})",
            remedy="name the entries after forward's parameters, and the target 'target'.",
        )
    if isinstance(item, list | tuple) and len(item) > 0 and not _is_numbers(item):
        if len(item) <= 2:
            return (_of_targets(item, 1, known),)
        counts = range(max(1, known.least), int(min(known.most, len(item) - 1)) + 1)
        if known is not ANYTHING and all(isinstance(x, list | tuple) or _is_tensor(x) for x in item[:1]) and counts:
            return tuple(_of_targets(item, count, known) for count in counts)
    came = f"{type(item).__name__} of {len(item)}" if isinstance(item, list | tuple) else type(item).__name__
    problem = f"expected a batch as (inputs, targets), got a {came}"
    raise DataError(problem, remedy="pass (x, y), or ([x1, x2], y) if the network takes several inputs.")


def _of_targets(item: Sequence[Any], leading: int, known: Takes) -> tuple[Reading, ...]:
    """Of a tuple: all tensors after the inputs are targets, or the first alone (the others are row numbers, names)."""
    rest = item[leading:]
    tensors = tuple(number for number, part in enumerate(rest) if _nest(part))
    choices = [None] if len(rest) < 2 else [tensors, *([tensors[:1]] if len(tensors) > 1 else [])]
    inputs = item[0] if leading == 1 else None
    if isinstance(inputs, Mapping):
        ways = _of_names(_usable(inputs), known)
    elif isinstance(inputs, list | tuple) and not _is_numbers(inputs) and known.least <= 1:
        ways = (*([Reading()] if len(inputs) <= known.most else []), Reading(is_whole=True))
    else:
        ways = (Reading(),)
    return tuple(replace(way, leading=leading, targets=chosen) for chosen in choices for way in ways)


def _targets(items: Mapping[Any, Any], known: Takes) -> Iterator[tuple[Key, ...]]:
    """Choices of the names that are targets."""
    if usual := [name for name in TARGET_NAMES if name in items]:
        yield (usual[0],)
        return
    taken = [name for name in items if name in (*known.names, *known.by_name)]
    rest = [name for name in items if name not in taken]
    if not rest or known is ANYTHING:
        yield ()
        return
    if len(rest) > 1 and taken:
        yield tuple(rest)
    yield from ((name,) for name in rest[:MOST_ALTERNATIVES])


def _of_names(inputs: Mapping[Any, Any], known: Takes) -> tuple[Reading, ...]:
    """Ways to give named inputs to a network."""
    usual = next((name for name in INPUT_NAMES if name in inputs), None)
    if known is ANYTHING:
        return (Reading(positional=tuple(inputs) if usual is None else (usual,)),)
    if inputs.keys() & {*known.names, *known.by_name} and all(name in inputs for name in known.needed):
        count = next((k for k, name in enumerate(known.names) if name not in inputs), len(known.names))
        first = known.names[:count]
        later = tuple(name for name in (*known.names, *known.by_name) if name in inputs and name not in first)
        return (Reading(positional=first, named=later),)
    found, can_be_one = list[Reading](), known.least <= 1 <= known.most
    lone = usual if usual is not None else next(iter(inputs), None) if len(inputs) == 1 else None
    if can_be_one and lone is not None:
        found.append(Reading(positional=(lone,)))
    if known.is_open and not known.needed:
        found.append(Reading(positional=(), named=tuple(map(str, inputs))))
    if can_be_one:
        found.append(Reading(is_whole=True))
    return tuple(found)


def _parted(item: Any, leading: int, chosen: tuple[Key, ...] | None) -> tuple[Any, Any]:
    """The inputs and the targets of an item; a missing target is none."""
    if isinstance(item, Mapping):
        names = [name for name in chosen or () if name in item]
        targets: Any = {name: item[name] for name in names}
        return _without(item, chosen or ()), item[names[0]] if len(names) == 1 else targets or ()
    if not isinstance(item, list | tuple) or _is_numbers(item):
        return item, ()
    inputs, rest = (item[0] if leading == 1 else tuple(item[:leading])), tuple(item[leading:])
    rest = rest if chosen is None else tuple(rest[number] for number in chosen if isinstance(number, int))
    targets = rest[0] if len(rest) == 1 else rest
    return inputs, () if targets is None else targets


def _without(item: Mapping[Any, Any], names: Sequence[Key]) -> dict[Any, Any]:
    return {name: value for name, value in item.items() if name not in names}


def _usable(item: Mapping[Any, Any]) -> dict[Any, Any]:
    """The entries that hold tensors: no texts, paths or single numbers."""
    return {name: value for name, value in item.items() if _nest(value)}


def _nest(value: Any) -> bool:
    """Whether it is a tensor with rows, or holds nothing but such."""
    if isinstance(value, Mapping):
        return bool(value) and all(map(_nest, value.values()))
    if isinstance(value, list | tuple) and not _is_numbers(value):
        return bool(value) and all(map(_nest, value))
    return _is_tensor(value)


def _is_tensor(value: Any) -> bool:
    return (isinstance(value, Tensor | np.ndarray) and value.ndim > 0) or _is_numbers(value)


def _is_numbers(value: Any) -> bool:
    """Whether it is a list of numbers, or of such lists, as deep at its start as at its end."""
    return isinstance(value, list) and bool(value) and _depth(value[0]) == _depth(value[-1]) >= 0


def _depth(value: Any) -> int:
    """How many lists are around its first number; negative if that is none."""
    if isinstance(value, list):
        deep = _depth(value[0]) if value else -1  # pyright: ignore[reportUnknownArgumentType]
        return deep + 1 if deep >= 0 else -1
    return 0 if isinstance(value, int | float) else -1


def _tensors(nest: Any) -> Any:
    """The nest with tensors for arrays and for lists of numbers. Raises DataError for anything else."""
    if isinstance(nest, Mapping):
        return {name: _tensors(part) for name, part in nest.items()}
    if isinstance(nest, list | tuple) and not _is_numbers(nest):
        parts = [_tensors(part) for part in nest]
        return tuple(parts) if isinstance(nest, tuple) else parts
    if not _is_tensor(nest):
        problem = f"expected tensors with a row for each example, got a {type(nest).__name__} in a batch"
        raise DataError(problem, remedy="collate the rows into tensors.")
    try:
        return torch.as_tensor(nest)
    except (TypeError, ValueError) as error:  # rows of different lengths; an array of texts
        problem = f"a {type(nest).__name__} in a batch is no tensor: {error}"
        raise DataError(problem, remedy="collate the rows into tensors of numbers.") from None


def _is_flat(tree: Any) -> bool:
    """Whether it is one tensor after the other, or one alone."""
    return isinstance(tree, int) or (isinstance(tree, list | tuple) and all(isinstance(part, int) for part in tree))
