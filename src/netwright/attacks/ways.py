"""How an adversary can change each input of a network."""

from collections.abc import Sequence

import torch
from torch import Tensor

from netwright.records.errors import DataError, counted, listed, nearest
from netwright.records.schema import Schema
from netwright.records.threat import FIXED, Reach, Way


def ways_of(schema: Schema, reach: Reach) -> tuple[Way, ...]:
    """One way for each input of a network made from a schema.

    Raises DataError if no column can change, and for an immutable column that does not exist.
    """
    names = [field.name for field in schema.inputs]
    for name in sorted(reach.immutable):
        if name not in names:
            raise DataError(f"there is no column {name!r} to keep", remedy=nearest(name, names))
    ways = tuple(block.way(reach) for block in schema.blocks)
    if not any(way.is_open for way in ways):
        raise DataError(*_closed(schema, reach))
    return ways


def ways_between(inputs: Sequence[Tensor], low: float, high: float) -> tuple[Way, ...]:
    """One way for each input of an engineer's own network: floats move between two bounds, in shares of their range.

    Raises DataError if no input holds floats or the first bound is not below the second.
    """
    if not low < high:
        raise DataError(f"the range of the inputs is {low:g} to {high:g}", remedy="give the lower bound first.")
    ways = tuple(Way(torch.tensor(high - low), low, high) if x.is_floating_point() else FIXED for x in inputs)
    if not any(way.is_open for way in ways):
        raise DataError("no input holds floats, so none can change a little", remedy="give float inputs.")
    return ways


def _closed(schema: Schema, reach: Reach) -> tuple[str, str]:
    """What is wrong if nothing can change, and what to do."""
    if all(field.name in reach.immutable for field in schema.inputs):
        return f"all {counted(len(schema.inputs), 'column')} are immutable", "leave out at least one column."
    if not any(block.way(Reach(is_share=True, immutable=reach.immutable)).is_open for block in schema.blocks):
        kinds = listed([f"{field.name} ({field.seen_as})" for field in schema.inputs])
        return f"nothing can be changed a little in {kinds}", "attack a run with numbers, pictures, series or words."
    return (
        "no column has a change that a person would not notice",
        "say how far the adversary goes, as a share of each column's range: eps=0.1, or --eps 0.1.",
    )
