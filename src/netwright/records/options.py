"""Options, declared once as fields of frozen records: default, help, short name.

Functions of Python and commands of the command line are made from them. Nothing heavy is imported here.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass, replace
from functools import wraps
from typing import Any, TypeVar

from netwright.records.errors import RecipeError, nearest

R = TypeVar("R")


def option(
    default: Any,  # Any: an option's type is that of its default; of a type, an empty one is made
    help: str,  # the word that click uses
    *,
    short: str = "",
    word: str = "",
    metavar: str = "",
    is_argument: bool = False,
    is_required: bool = False,
) -> Any:
    """A field of a record of options. `word` is what the command line calls it, if that is not its name.

    An argument is given by position, in Python and on the command line; other options by name.
    """
    metadata = {
        "help": help, "short": short, "word": word, "metavar": metavar, "is_argument": is_argument,
        "is_required": is_required,
    }  # fmt: skip
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def options(record: Any) -> tuple[Field[Any], ...]:
    """The fields of a record, or of its type, that are options."""
    return tuple(f for f in fields(record) if "help" in f.metadata)


def worded(function: Callable[..., R]) -> Callable[..., R]:
    """The function with each record of options among its parameters spread into words.

    `read(source)` becomes `read(data, *, target=(), ...)`; a record in place of its first word is taken as well.
    None means what it means everywhere: choose for me. Raises RecipeError for a word that is not there.
    """
    parameters = inspect.signature(function).parameters.values()
    spread = {word.name: word for p in parameters for word in _words(p)}  # of one name, the last stands
    signature = inspect.Signature(sorted(spread.values(), key=lambda p: p.kind))

    @wraps(function)
    def call(*args: Any, **words: Any) -> R:
        if unknown := sorted(words.keys() - signature.parameters.keys()):
            problem = f"{function.__name__}() has no option {unknown[0]!r}"
            raise RecipeError(problem, remedy=nearest(unknown[0], signature.parameters))
        given = {name: x for name, x in signature.bind(*args, **words).arguments.items() if x is not None}
        built = {p.name: _built(p.annotation, given) for p in parameters if _options(p)}
        return function(**{p.name: given[p.name] for p in parameters if p.name in given} | built)

    vars(call)["__signature__"] = signature
    helps = [f"{f.name}: {f.metadata['help']}" for p in parameters for f in _options(p)]
    call.__doc__ = "\n".join([inspect.cleandoc(function.__doc__ or ""), "", *helps])
    return call


def _options(parameter: inspect.Parameter) -> tuple[Field[Any], ...]:
    return options(parameter.annotation) if is_dataclass(parameter.annotation) else ()


def _words(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    return [_word(f) for f in _options(parameter)] or [parameter]


def _word(declared: Field[Any]) -> inspect.Parameter:
    about, empty = declared.metadata, inspect.Parameter.empty
    default = {} if declared.default is MISSING else declared.default
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if about["is_argument"] else inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(
        declared.name, kind, default=empty if about["is_required"] else default, annotation=declared.type
    )


def _built(record: Any, given: Mapping[str, Any]) -> Any:  # Any: a type of record, and one of it
    words = {f.name: given[f.name] for f in options(record) if f.name in given}
    first = next(iter(words), "")
    return replace(words.pop(first), **words) if isinstance(words.get(first), record) else record(**words)
