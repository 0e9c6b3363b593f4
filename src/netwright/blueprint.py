"""A network as text: recipe.toml, schema.json, task.json. They name entries of our tables and run no code."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from netwright.files import AGAIN, checked, read_json, read_text
from netwright.kinds import KINDS
from netwright.records.errors import NetwrightError, RecipeError, RunError
from netwright.records.recipe import NoOptions, Recipe, code_in, code_of, flat, settings
from netwright.records.schema import Field, Schema
from netwright.records.source import Source
from netwright.records.task import Task
from netwright.resolve import refuse_code, resolve
from netwright.tasks import TASKS

RECIPE, SCHEMA, TASK = "recipe.toml", "schema.json", "task.json"

T = TypeVar("T")


def blueprint(recipe: Recipe, schema: Schema, task: Task) -> dict[str, str]:
    """The text of the three files, by name."""
    columns = [{"kind": _name(type(f), f.kind, KINDS), **asdict(f)} for f in schema.inputs]
    target = (
        {"own": task.describe()} if task.is_opaque else {"task": _name(type(task), task.name, TASKS), **asdict(task)}
    )
    return {
        RECIPE: tomli_w.dumps(recipe.sections()),
        SCHEMA: json.dumps(columns, ensure_ascii=False) + "\n",
        TASK: json.dumps(target, ensure_ascii=False) + "\n",
    }


def load_recipe(folder: Path, *, own: Any = None, allow_code: bool = False) -> Recipe:  # Any: as `Recipe.own`
    """The settings of a run. Raises RunError if they cannot be read or name code from outside netwright.

    `own` declares the task's own settings; by default the run's task does.
    """
    path = folder / RECIPE
    try:
        record = flat(tomllib.loads(read_text(path)))
        if own is None and record.keys() - {s.name for s in settings()}:
            own = load_task(folder, allow_code=allow_code).options()
        recipe = Recipe(own=NoOptions() if own is None else own).edit(record)
    except (ValueError, RecursionError) as error:  # not TOML, or numbers with thousands of digits
        raise RunError(f"{path} is not valid TOML: {error}", remedy=AGAIN) from None
    except RecipeError as error:
        raise RunError(f"{path}: {error.problem}", remedy="correct the file by hand, or train again.") from None
    if not allow_code:
        refuse_code(path, code_of(recipe))
    return recipe


def load_schema(folder: Path, *, allow_code: bool = False) -> Schema:
    """The columns of a run. Raises RunError as `load_recipe`."""
    path = folder / SCHEMA
    records = read_json(path)
    if not isinstance(records, list):
        raise RunError(f"{path} is not a list of columns", remedy=AGAIN)
    return Schema(tuple(_thing(path, record, "kind", KINDS, Field, allow_code) for record in records))


def load_task(folder: Path, *, allow_code: bool = False) -> Task:
    """The task of a run. Raises RunError as `load_recipe`."""
    path = folder / TASK
    record = read_json(path)
    if isinstance(record, dict) and "own" in record:
        raise RunError(
            f"{folder} was trained with the user's own loss", remedy="give it: load(folder, task=loss, ...)."
        )
    return _thing(path, record, "task", TASKS, Task, allow_code)


def code_of_source(source: Source) -> Iterator[str]:
    """The import paths in what was said of data. Kinds and tasks may have a detail, as in image:64."""
    for column, kind in source.kinds.items():
        if kind.partition(":")[0] not in KINDS:
            yield from code_in(kind, f"kind of {column}")
    if str(source.task).partition(":")[0] not in TASKS:
        yield from code_in(source.task, "task")


def code_of_edits(record: Any) -> Iterator[str]:  # Any: JSON
    """The import paths in all changes of a recipe and of a network that a result proposes or made."""
    if isinstance(record, list):
        record = dict(enumerate(record))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(record, dict):
        for key, value in record.items():  # pyright: ignore[reportUnknownVariableType]
            is_edit = key in ("edit", "changes", "mend", "mends")
            yield from code_in(value, key) if is_edit else code_of_edits(value)


def _thing(
    path: Path, record: Any, key: str, table: Mapping[str, str], parent: type[T], allow_code: bool
) -> T:  # Any: JSON
    """A field or a task from its record; `key` names the class. Only names in the table are imported."""
    if not isinstance(record, dict) or not isinstance(record.get(key), str):
        raise RunError(f"{path} has an entry without {key!r}", remedy=AGAIN)
    if not allow_code and record[key] not in table:
        refuse_code(path, code_in(record[key], key))
    try:
        found = resolve(key, record[key], table)
    except NetwrightError as error:
        raise RunError(f"{path}: {error.problem}", remedy=error.remedy) from None
    if not isinstance(found, type) or not issubclass(found, parent):
        raise RunError(f"{path}: {record[key]!r} is not a {key}", remedy=AGAIN)
    return checked(path, {name: value for name, value in record.items() if name != key}, found)


def _name(kind: type, name: str, table: Mapping[str, str]) -> str:
    """The table's key, or the import path if the class is not in the table."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    return name if table.get(name) == path else path
