"""Verbs as Python functions: `nw.audit("people.csv", target="income")`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, overload

from netwright.records.options import worded
from netwright.records.result import Held
from netwright.resolve import resolve
from netwright.verbs import VERBS

T = TypeVar("T")


@overload
def public(function: Callable[..., Held[T]]) -> Callable[..., T]: ...
@overload
def public(function: Callable[..., T]) -> Callable[..., T]: ...
def public(function: Callable[..., Any]) -> Callable[..., Any]:
    """A verb that takes keywords and returns what its result holds."""
    spoken = worded(function)

    @wraps(spoken)
    def call(*args: Any, **words: Any) -> Any:
        result = spoken(*args, **words)
        return result.held() if isinstance(result, Held) else result

    return call


def verbs() -> dict[str, str]:
    """All verbs and where they are."""
    return {name: path for group in VERBS.values() for name, path in group.items()}


def verb(name: str) -> Callable[..., Any]:
    """The function of a verb: (source or run, options, tell) -> Result."""
    return resolve("verb", name, verbs())
