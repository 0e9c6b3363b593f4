"""Settings that fit the kind of data and how much of it there is."""

from collections.abc import Mapping

from netwright.records.recipe import Recipe
from netwright.records.schema import Schema, Signal
from netwright.records.task import Task

Changes = dict[str, object]

_UNTOLD = ("seed", "layers")  # said by the user, or too long for a line


def choose(schema: Schema, task: Task, rows: int, given: Mapping[str, object]) -> tuple[Recipe, tuple[str, ...]]:
    """A recipe for `rows` training rows of this schema, and what was chosen in words; what the user gives wins.

    The values come from sweeps over public data of each kind (docs/benchmarks.md), never from a data set's name.
    """
    signals = [block.stem(Recipe())[1] for block in schema.blocks]
    chosen = _by_form(signals, rows) | _by_task(task)
    recipe = Recipe().edit(chosen).edit(given)
    told = ", ".join(f"{name} {getattr(recipe, name)}" for name in (*chosen, *given) if name not in _UNTOLD)
    return recipe, (f"settings: {told}",)


def _by_form(signals: list[Signal], rows: int) -> Changes:
    forms = {signal.form for signal in signals}
    if "map" in forms:
        return _images(rows)
    if "sequence" in forms:
        return _sequences(next(s for s in signals if s.form == "sequence"), rows)
    return _tables(rows)


def _tables(rows: int) -> Changes:
    return {"epochs": _epochs(rows, steps=4000, most=200)}


def _images(rows: int) -> Changes:
    return {"backbone": "convnet", "epochs": _epochs(rows, steps=4000, most=60)}


def _sequences(signal: Signal, rows: int) -> Changes:
    return {"epochs": _epochs(rows, steps=2000, most=60)}


def _by_task(task: Task) -> Changes:
    return {}


def _epochs(rows: int, *, steps: int, most: int, batch_size: int = 256, least: int = 3) -> int:
    """Passes that make about `steps` optimizer steps."""
    return min(most, max(least, round(steps * batch_size / max(rows, 1))))
