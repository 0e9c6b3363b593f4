"""What happens to rows every day without an adversary: blurred pictures, empty cells, mistyped words, dead sensors."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl
import torch
from torch import Generator, Tensor

from netwright.data.augment import beside
from netwright.records.batch import Batch
from netwright.records.errors import DataError, listed, nearest
from netwright.records.schema import Block, Family, Schema
from netwright.resolve import resolve

CORRUPTIONS = {
    "noise": "netwright.attacks.corruptions.pictures:noise",
    "blur": "netwright.attacks.corruptions.pictures:blur",
    "contrast": "netwright.attacks.corruptions.pictures:contrast",
    "brightness": "netwright.attacks.corruptions.pictures:brightness",
    "rotation": "netwright.attacks.corruptions.pictures:rotation",
    "jpeg": "netwright.attacks.corruptions.pictures:jpeg",
    "missing_cells": "netwright.attacks.corruptions.tables:missing_cells",
    "digit_slips": "netwright.attacks.corruptions.tables:digit_slips",
    "mistyped_categories": "netwright.attacks.corruptions.tables:mistyped_categories",
    "mistyped_words": "netwright.attacks.corruptions.tokens:mistyped_words",
    "dropped_words": "netwright.attacks.corruptions.tokens:dropped_words",
    "wrong_symbols": "netwright.attacks.corruptions.tokens:wrong_symbols",
    "sensor_noise": "netwright.attacks.corruptions.steps:sensor_noise",
    "gaps": "netwright.attacks.corruptions.steps:gaps",
    "dead_channels": "netwright.attacks.corruptions.steps:dead_channels",
}

SEVERITIES = (1, 2, 3)  # a person hardly notices; sees it at once; would still use the row, but complain
EMPTY: tuple[Family, ...] = ("numbers", "labels", "dates", "text", "symbols", "steps")  # families with missing cells

Change = Callable[[Tensor, Block, float, Generator], Tensor]
"""(one input of a batch, its block, level, generator) -> the same shape and type."""


@dataclass(frozen=True)
class Corruption:
    """A change, the families of kinds that it suits, and its level at each severity."""

    families: tuple[Family, ...]
    change: Change
    levels: tuple[float, float, float]
    least_channels: int = 0  # of a series
    moves: bool = False  # positions change, so that targets of pixels no longer fit


def suited(schema: Schema, *, has_places: bool = False) -> tuple[str, ...]:
    """The names in CORRUPTIONS that change at least one of these columns; `has_places` as of a task."""
    found = (name for name in CORRUPTIONS if any(_suits(_named(name), block) for block in schema.blocks))
    return tuple(name for name in found if not (has_places and _named(name).moves))


def corrupted(schema: Schema, batch: Batch, name: str, severity: int, generator: Generator) -> Batch:
    """The rows after one corruption of all inputs that it suits. They keep their width and get their new lengths.

    `name` is a key of CORRUPTIONS, `severity` one of SEVERITIES. Raises DataError if no column suits.
    """
    corruption, inputs = _named(name), list(batch.inputs)
    if severity not in SEVERITIES:
        raise DataError(f"there is no severity {severity}", remedy="choose from 1, 2, 3.")
    places = [place for place, block in enumerate(schema.blocks) if _suits(corruption, block)]
    if not places:
        raise DataError(f"{name} changes none of these columns", remedy=f"choose from {listed(suited(schema))}.")
    for place in places:
        level = corruption.levels[severity - 1]
        inputs[place] = corruption.change(inputs[place], schema.blocks[place], level, generator)
    return _measured(schema, batch, inputs)


def emptiable(schema: Schema) -> tuple[str, ...]:
    """The columns whose cells can be missing."""
    return tuple(field.name for field in schema.inputs if field.family in EMPTY)


def emptied(schema: Schema, batch: Batch, column: str) -> Batch:
    """The rows with one column missing in all of them. Raises DataError for a column that cannot be missing."""
    if column not in emptiable(schema):
        raise DataError(f"no column {column!r} can be missing", remedy=nearest(column, emptiable(schema)))
    inputs = list(batch.inputs)
    for place, block in enumerate(schema.blocks):
        for number, field in enumerate(block.fields):
            if field.name == column:
                inputs[place] = inputs[place].clone()
                cells = inputs[place][:, number] if field.joins else inputs[place]
                cells[:] = missing(block, inputs[place])[number]
    return _measured(schema, batch, inputs)


def missing(block: Block, x: Tensor) -> Tensor:
    """(columns, *shape): the encoded missing cell of each column, as long as the cells of an input that may be cut."""
    cells = [field.encode(pl.Series(field.name, [None]))[0].to(x) for field in block.fields]
    return torch.stack(cells if block.fields[0].joins else [cell[: x.shape[1]] for cell in cells])


def some(x: Tensor, share: float, generator: Generator) -> Tensor:
    """A mask like x, true at random in this share."""
    return torch.rand(x.shape, generator=beside(x, generator), device=x.device) < share


def _named(name: str) -> Corruption:
    return resolve("corruption", name, CORRUPTIONS)


def _suits(corruption: Corruption, block: Block) -> bool:
    first = block.fields[0]
    return first.family in corruption.families and len(first.channel_names()) >= corruption.least_channels


def _measured(schema: Schema, batch: Batch, inputs: list[Tensor]) -> Batch:
    """The batch with other inputs, and their lengths if it had some."""
    pairs = zip(schema.blocks, inputs, strict=True)
    lengths = tuple(block.fields[0].lengths(x) for block, x in pairs) if batch.lengths else ()
    return replace(batch, inputs=tuple(inputs), lengths=lengths)
