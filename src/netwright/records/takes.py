"""What an engineer's function takes: the parameters of a network's `forward`, of a loss."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from math import inf
from typing import Any, final

from torch import nn

TARGET_NAMES = ("targets", "target", "labels", "label", "y")


@final
@dataclass(frozen=True)
class Takes:
    """The parameters of a function. One that cannot be inspected takes anything by position."""

    names: tuple[str, ...] = ()  # that can be given by position
    needed: tuple[str, ...] = ()  # without a default, also by name alone
    by_name: tuple[str, ...] = ()  # by name alone
    most: float = inf  # by position
    is_open: bool = True  # takes any name

    @property
    def least(self) -> int:
        """Arguments needed by position."""
        return sum(name in self.needed for name in self.names)

    def __str__(self) -> str:
        told = [name if name in self.needed else f"{name}=..." for name in (*self.names, *self.by_name)]
        return ", ".join([*told, *(["*"] if self.most == inf else [])])


ANYTHING = Takes()


def takes(function: Callable[..., Any]) -> Takes:
    """What a function takes; for a network, its `forward`."""
    try:
        found = inspect.signature(function.forward if isinstance(function, nn.Module) else function).parameters
    except (TypeError, ValueError):  # built into torch or Python
        return ANYTHING
    kinds = {p.kind for p in found.values()}
    by_position = [p for p in found.values() if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    by_name = [p for p in found.values() if p.kind is Parameter.KEYWORD_ONLY]
    return Takes(
        tuple(p.name for p in by_position),
        tuple(p.name for p in (*by_position, *by_name) if p.default is Parameter.empty),
        tuple(p.name for p in by_name),
        inf if Parameter.VAR_POSITIONAL in kinds else len(by_position),
        Parameter.VAR_KEYWORD in kinds,
    )
