"""Options, declared once as fields of frozen records: default, help, range, short name.

Python functions and commands of the command line are built from them. Nothing heavy is imported here.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass, replace
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from netwright.records.errors import DataError, RecipeError, nearest
from netwright.records.paths import stat_of

R = TypeVar("R")

TELL, SHOW = "tell", "show"  # inside, a verb tells news; a caller passes `show`


def option(
    default: Any,  # Any: an option's type is that of its default; of a type, an empty one is made
    help: str,  # click's word
    *,
    short: str = "",
    word: str = "",
    metavar: str = "",
    low: int | None = None,
    choices: tuple[str, ...] = (),
    is_argument: bool = False,
    is_required: bool = False,
    is_many: bool | None = None,
    reads: bool = False,
    writes: bool = False,
    replaces: str = "",
    in_python: bool = True,
    typed: Any = MISSING,  # Any: a value, or a function that makes it
    moved: str = "",
) -> Any:
    """A field of a record of options. `word` is what the command line calls it, if that is not its name.

    An argument is given by position, in Python and on the command line; other options by name. A path to read must
    exist, and a path to write must have a folder; `replaces` names the argument that it may overwrite. `typed` is the
    command line's default if it differs: None if the command line lacks the option, a function if it always computes
    the value. `moved` names the verb that replaced an old flag.
    """
    is_many = isinstance(default, tuple) if is_many is None else is_many
    metadata = {
        "help": help, "short": short, "word": word, "metavar": metavar, "low": low, "choices": choices,
        "is_argument": is_argument, "is_required": is_required, "is_many": is_many, "reads": reads, "writes": writes,
        "replaces": replaces, "in_python": in_python, "typed": typed, "moved": moved,
    }  # fmt: skip
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def page_option() -> Any:
    """The file of a verb's page."""
    return option("", "Write the report as a page (HTML) to FILE.", metavar="FILE", writes=True)


def fail_option() -> Any:
    """The least severity for which a verb's exit code is 1."""
    levels = ("error", "warning", "note", "never")
    help = "Exit with code 1 if a finding is this severe or worse."
    return option("warning", help, choices=levels, in_python=False)


def command_option() -> Any:
    """The command line, kept with a run."""
    return option((), "The command line as typed.", in_python=False, typed=lambda: tuple(sys.argv[1:]))


def settings_option(help: str) -> Any:
    """Settings of the recipe, by name."""
    return option(dict, help, word="set", metavar="NAME=VALUE")


def recipe_option() -> Any:
    """A file of settings."""
    return option("", "A TOML file of settings, for example a run's recipe.toml.", metavar="FILE", reads=True)


def code_option() -> Any:
    """Whether files may name code from elsewhere."""
    return option(False, "Allow the files to name code outside netwright. It runs, so trust their author.")


def seed_option() -> Any:
    """The seed of the split."""
    return option(0, "Seed of the train/valid/test split.", low=0)


def options(record: Any) -> tuple[Field[Any], ...]:
    """The fields of a record, or of its type, that are options; empty for anything but a record."""
    return tuple(f for f in fields(record) if "help" in f.metadata) if is_dataclass(record) else ()


def default_of(declared: Field[Any]) -> Any:
    """An option's default."""
    return declared.default if declared.default_factory is MISSING else declared.default_factory()


def words(function: Callable[..., Any]) -> dict[str, inspect.Parameter | Field[Any]]:
    """A function's words, by name: its options, and its parameters other than records of options."""
    parameters = inspect.signature(function).parameters.values()
    return {word.name: word for p in parameters for word in options(p.annotation) or (p,)}  # the last of one name stays


def worded(function: Callable[..., R], *, is_typed: bool = False) -> Callable[..., R]:
    """The function, with each record of options among its parameters spread into words.

    `read(source)` becomes `read(data, *, target=(), ...)`; it also takes a record in place of its first word, and
    `tell` becomes `show`. As everywhere, None means: choose for me. Every word is checked. `is_typed` adds the options
    that only the command line has. Raises RecipeError for an unknown word or one out of range, and DataError for a
    path.
    """
    parameters = inspect.signature(function).parameters.values()
    known = {name: word for name, word in words(function).items() if is_typed or _is_in_python(word)}
    signature = inspect.Signature(sorted(map(_parameter, known.values()), key=lambda p: p.kind))

    @wraps(function)
    def call(*args: Any, **given: Any) -> R:
        if unknown := sorted(given.keys() - signature.parameters.keys()):
            problem = f"{function.__name__}() has no option {unknown[0]!r}"
            raise RecipeError(problem, remedy=nearest(unknown[0], signature.parameters))
        said = {name: x for name, x in signature.bind(*args, **given).arguments.items() if x is not None}
        for name, value in said.items():
            if isinstance(declared := known.get(name), Field):
                check(declared, value)
        _refuse_overwriting(known, said)
        said[TELL] = said.pop(SHOW, silent)
        built = {p.name: _built(p.annotation, said) for p in parameters if options(p.annotation)}
        return function(**{p.name: said[p.name] for p in parameters if p.name in said} | built)

    vars(call)["__signature__"] = signature
    helps = [f"{name}: {word.metadata['help']}" for name, word in known.items() if isinstance(word, Field)]
    call.__doc__ = "\n".join([inspect.cleandoc(function.__doc__ or ""), "", *helps])
    return call


def _refuse_overwriting(known: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Raises DataError if a file would be written over the data that are read."""
    given = {name: word.metadata for name, word in known.items() if isinstance(word, Field) and name in said}
    data = [(name, x) for name, m in given.items() if m["is_argument"] and m["reads"] for x in _paths(said[name])]
    for name, about in given.items():
        kept = [path for argument, path in data if argument != about["replaces"]]
        for path in _paths(said[name]) if about["writes"] else ():
            if (there := stat_of(path)) is not None and any(_is_same(there, stat_of(one)) for one in kept):
                raise DataError(f"{path} would be overwritten, but it holds the data", remedy="name another file.")


def _is_same(one: os.stat_result, other: os.stat_result | None) -> bool:
    return other is not None and os.path.samestat(one, other)


def _paths(value: Any) -> list[Path]:  # Any: as typed, or a user's data
    values = value if isinstance(value, list | tuple) else [getattr(value, "data", value)]
    return [Path(x) for x in values if isinstance(x, str | Path) and str(x)]


def _is_in_python(word: inspect.Parameter | Field[Any]) -> bool:
    return isinstance(word, inspect.Parameter) or bool(word.metadata["in_python"])


def silent(_event: object) -> None:
    """Ignores news."""


def _parameter(word: inspect.Parameter | Field[Any]) -> inspect.Parameter:
    if isinstance(word, inspect.Parameter):
        is_tell = word.name == TELL
        return word.replace(name=SHOW, default=None, kind=inspect.Parameter.KEYWORD_ONLY) if is_tell else word
    about = word.metadata
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if about["is_argument"] else inspect.Parameter.KEYWORD_ONLY
    default = inspect.Parameter.empty if about["is_required"] else default_of(word)
    return inspect.Parameter(word.name, kind, default=default, annotation=word.type)


def _built(record: Any, said: Mapping[str, Any]) -> Any:  # Any: a type of record, and one of it
    own = {f.name: said[f.name] for f in options(record) if f.name in said}
    first = next(iter(own), "")
    return replace(own.pop(first), **own) if isinstance(own.get(first), record) else record(**own)


def check(declared: Field[Any], value: Any) -> None:
    """Raises RecipeError for a value out of range, and DataError for a path that cannot be read or written."""
    about, name = declared.metadata, declared.name
    if about["low"] is not None and value < about["low"]:
        raise RecipeError(f"{name} must be {about['low']} or more, not {value}", remedy="choose a larger number.")
    if about["choices"] and value not in about["choices"]:
        raise RecipeError(f"there is no {name} {value!r}", remedy=nearest(str(value), about["choices"]))
    if isinstance(value, str | Path) and str(value):
        if about["reads"]:
            existing(value)
        if about["writes"]:
            _require_writable(Path(value))


def existing(path: str | Path) -> Path:
    """The path of an existing file or folder. Raises DataError otherwise, with a similar path if there is one."""
    path = Path(path)
    if stat_of(path) is not None:
        return path
    if re.match(r"[a-z][a-z0-9+]+:/", str(path)):  # Path makes one slash of two
        problem = f"{path} is an address, and netwright reads only files on this machine"
        raise DataError(problem, remedy="download it first, and give the path of the file.")
    beside = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, n=1)
    remedy = f"did you mean {str(path.parent / near[0])!r}?" if near else "correct the path."
    raise DataError(f"there is no file or folder {str(path)!r}", remedy=remedy)


def _require_writable(path: Path) -> None:
    if stat_of(path) is not None and path.is_dir():
        raise DataError(f"cannot write {path}: it is a folder", remedy="give the name of a file.")
    if not path.absolute().parent.is_dir():
        raise DataError(f"cannot write {path}: its folder does not exist", remedy="create it, or choose another.")
