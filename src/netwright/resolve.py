"""From a name to what it names."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeGuard

from netwright.records.errors import MissingPackage, NetwrightError, RecipeError, RunError, listed, nearest


def resolve(what: str, name: Any, table: Mapping[str, str]) -> Any:  # Any: tables hold functions and classes
    """The function or class of a table's key or of an import path `package.module:thing`; others are returned as is.

    `what` names the table for people ("optimizer"). Raises RecipeError for an unknown name.
    """
    if not isinstance(name, str):
        return name
    path = table.get(name, name)
    module, _, attribute = path.partition(":")
    if not attribute:
        raise RecipeError(f"there is no {what} {name!r}", remedy=nearest(name, table))
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if not _is_part_of(error.name, module):
            raise
        raise RecipeError(f"{what} {name!r}: there is no module {error.name!r}", remedy="correct the path.") from None
    except AttributeError:
        raise RecipeError(f"{what} {name!r}: {module} has no {attribute!r}", remedy="correct the path.") from None


def with_detail(what: str, name: Any, table: Mapping[str, str], parent: type) -> tuple[Any, str]:  # Any: as `resolve`
    """The same, and the part after the colon of a table's key: `image:64`.

    Raises RecipeError for an import path to something other than a subclass of `parent`, or one of its objects.
    """
    key, _, detail = name.partition(":") if isinstance(name, str) else ("", "", "")
    found, detail = (resolve(what, key, table), detail) if key in table else (resolve(what, name, table), "")
    if not (isinstance(found, parent) or (isinstance(found, type) and issubclass(found, parent))):
        raise RecipeError(f"{name} is not a {what}", remedy=f"choose from {listed(tuple(table))}.")
    return found, detail


def refuse_code(path: Path, entries: Iterable[str], error: type[NetwrightError] = RunError) -> None:
    """Raises an error if a file names code from outside netwright."""
    if found := sorted(set(entries)):
        remedy = "if you trust its author, allow it: allow_code=True, or --allow-code on the command line."
        raise error(f"{path} names code from outside netwright: {listed(found)}", remedy=remedy)


def _is_part_of(missing: str | None, module: str) -> TypeGuard[str]:
    return missing is not None and f"{module}.".startswith(f"{missing}.")


def require(package: str, *, extra: str, instead: str = "") -> Any:  # Any: a module
    """An optional package, or an error that names the extra to install, and what to do instead."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        remedy = f"run: pip install 'netwright[{extra}]'{instead}"
        raise MissingPackage(f"{package} is not installed", remedy=remedy) from None
