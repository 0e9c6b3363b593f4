"""Inputs, targets and outputs of an engineer's own form: nests of tuples, lists, dicts and records of tensors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

Outputs = Tensor | tuple[Tensor, ...] | dict[str, Tensor]
"""A network's outputs for a batch; the first axis of each tensor is rows. An engineer's own may be nested."""


@final
class Named(dict[str, Any]):  # Any: tensors, or a nest of them
    """Outputs with names: `outputs["logits"]`, `outputs.logits` and, by position, `outputs[0]`."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"the network returned {', '.join(self)} for each row, but no {name!r}")

    def __getitem__(self, key: str | int) -> Any:
        return tuple(self.values())[key] if isinstance(key, int) else dict.__getitem__(self, key)


@final
@dataclass(frozen=True)
class Convention:
    """How an engineer's network and loss get a batch, if not as one tensor after the other.

    Trees are the tuples, lists and dicts of the loader, with the number of a tensor in place of each tensor.
    """

    positional: tuple[Any, ...]  # Any: trees of the arguments by position
    named: Mapping[str, Any]  # and by name
    targets: Any = None  # the tree of the targets, as a loss gets them; None for one tensor after the other
    answer: int | str | None = None  # which output is the answer, if a task or a loss takes one of several


def planted(nest: Any, tensors: list[Tensor]) -> Any:
    """The nest's tree; its tensors are added to the list."""
    if isinstance(nest, Tensor):
        tensors.append(nest)
        return len(tensors) - 1
    return _changed(nest, lambda part: planted(part, tensors))


def grown(tree: Any, tensors: Sequence[Tensor]) -> Any:
    """The nest of a tree."""
    return tensors[tree] if isinstance(tree, int) else _changed(tree, lambda part: grown(part, tensors))


def each_tensor(outputs: Outputs, change: Callable[[Tensor], Tensor]) -> Outputs:
    """The same structure, each tensor changed."""
    return change(outputs) if isinstance(outputs, Tensor) else _changed(outputs, lambda part: each_tensor(part, change))


def leaves(nest: Any) -> Iterator[Tensor]:
    """All tensors, in order."""
    tensors = list[Tensor]()
    planted(nest, tensors)
    return iter(tensors)


def _changed(nest: Any, change: Callable[[Any], Any]) -> Any:
    """The same tuple, list or dict with other entries; anything else as it is."""
    if isinstance(nest, Mapping):
        kind = Named if isinstance(nest, Named) else dict[Any, Any]
        return kind({name: change(part) for name, part in nest.items()})  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(nest, list | tuple):
        return nest
    parts = [change(part) for part in nest]  # pyright: ignore[reportUnknownVariableType]
    kind: Any = type(nest)  # pyright: ignore[reportUnknownVariableType]
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)  # a named tuple takes its entries apart


def as_outputs(found: Any) -> Outputs:
    """Outputs from a tensor, a tuple, a list, a dict, or a record with tensors, such as Hugging Face's.

    Entries of dicts and records without a row for each example are left out: None, the loss of the batch.
    """
    if isinstance(found, Tensor) or found is None:
        return found  # pyright: ignore[reportReturnType]  None is refused where outputs are checked
    if not isinstance(found, Mapping | list | tuple) and hasattr(found, "__dict__"):
        fields: dict[str, Any] = vars(found)
        found = found if any(name.startswith("_") for name in fields) else fields  # a distribution is not a record
    if isinstance(found, Mapping):
        return Named({str(name): as_outputs(part) for name, part in found.items() if _has_rows(part)})  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(found, list):
        return tuple(map(as_outputs, found))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportReturnType]
    return found


def _has_rows(part: Any) -> bool:
    return part.ndim > 0 if isinstance(part, Tensor) else isinstance(part, Mapping | list | tuple) and len(part) > 0  # pyright: ignore[reportUnknownArgumentType]
