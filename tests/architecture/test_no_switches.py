"""Stages ask a task, a kind or examples what they can do, not what they are: each switch outside their folders makes
the next task or kind touch that file too. The numbers are today's, and may only fall."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import netwright
from netwright.kinds import KINDS
from netwright.tasks import TASKS

SOURCE = Path(netwright.__file__).parent
OWN = ("tasks", "kinds", "testing")  # where they are at home, and where their contracts are
TASK_TYPES = {"Task", "OwnLoss", *(path.partition(":")[2] for path in TASKS.values())}
FIELD_TYPES = {"Field", *(path.partition(":")[2] for path in KINDS.values())}
EXAMPLE_TYPES = {"Examples", "InMemory", "Adopted"}


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE)
        if place.parts[0] not in OWN:
            yield str(place), ast.parse(path.read_text(encoding="utf-8"))


def _imported(tree: ast.Module) -> dict[str, str]:
    """Where each name comes from: `Sequence` may be a kind or an abstract class of Python."""
    return {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _type_tests(names: set[str]) -> list[str]:
    found = list[str]()
    for place, tree in _trees():
        origin = _imported(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
                asked = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)} & names
                if any(origin.get(name, "netwright").startswith("netwright") for name in asked):
                    found.append(f"{place}:{node.lineno}")
    return found


def _name_tests() -> list[str]:
    """Comparisons of `.kind` or `.name` with the name of a kind or task: isinstance in disguise."""
    found = list[str]()
    for place, tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                parts = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
                words = {part.value for part in parts if isinstance(part, ast.Constant)}
                attributes = {part.attr for part in parts if isinstance(part, ast.Attribute)}
                if words & {*KINDS, *TASKS} and attributes & {"kind", "name"}:
                    found.append(f"{place}:{node.lineno}")
    return found


@pytest.mark.parametrize(
    ("names", "most"),
    [(TASK_TYPES, 0), (FIELD_TYPES, 0), (EXAMPLE_TYPES, 0)],
    ids=["tasks", "fields", "examples"],
)
def test_stages_do_not_ask_for_types(names: set[str], most: int):
    found = _type_tests(names)
    assert len(found) <= most, found


def test_stages_do_not_compare_names_of_kinds_and_tasks():
    assert not _name_tests()
