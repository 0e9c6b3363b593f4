"""Values that move, and cells that are swapped, together."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from netwright.attacks.noise import noise
from netwright.attacks.pgd import STEPS, pgd
from netwright.attacks.problem import judged
from netwright.attacks.swaps import directions, swaps
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.task import Task
from netwright.records.threat import Threat


def mixed(network: nn.Module, batch: Batch, task: Task, threat: Threat, *, steps: int = STEPS) -> Batch:
    """Values moved, the best swaps from there, and values moved again around the swapped rows. Keeps the worst rows.

    Values are moved by PGD, and at random where that fails: in tables it often does, since networks bend each number at
    many places (of 256 rows of Adult at strength 2, PGD beats 65 %, chance 78 %). They start from the batch's own each
    time, so that none is moved twice. Raises DataError if the batch has no values that move, or no cells to swap.
    """
    if not any(way.moves for way in threat.ways) or not any(way.can_swap for way in threat.ways):
        raise DataError(
            "only rows with values that move and cells that are swapped can change in both ways",
            remedy="attack with pgd or swaps alone.",
        )
    worst, harm = batch, judged(network, batch, batch, task, threat)
    for name in directions(task):
        chosen = name if task.link == "identity" else ""
        moved = _moved(network, batch, task, threat, steps, chosen)
        both = swaps(network, moved, task, threat, loss=name)
        again = _moved(network, _values_back(both, batch, threat), task, threat, steps, chosen)
        for found in (moved, both, again):
            gained = judged(network, batch, found, task, threat)
            worst, harm = _where(gained > harm, found, worst), torch.maximum(gained, harm)
    return worst


def _moved(network: nn.Module, batch: Batch, task: Task, threat: Threat, steps: int, loss: str) -> Batch:
    """Rows with their values moved by PGD, or at random if that does more harm."""
    climbed = pgd(network, batch, task, threat, steps=steps, loss=loss)
    drawn = noise(network, batch, task, threat)
    harms = [judged(network, batch, found, task, threat) for found in (climbed, drawn)]
    return _where(harms[1] > harms[0], drawn, climbed)


def _values_back(swapped: Batch, batch: Batch, threat: Threat) -> Batch:
    """The swapped cells with the batch's own values."""
    inputs = zip(batch.inputs, swapped.inputs, threat.ways, strict=True)
    return replace(batch, inputs=tuple(own if way.moves else found for own, found, way in inputs))


def _where(which: Tensor, found: Batch, other: Batch) -> Batch:
    """Some rows of one batch, the rest of another."""
    pairs = zip(found.inputs, other.inputs, strict=True)
    inputs = tuple(torch.where(which.reshape(-1, *[1] * (x.ndim - 1)), x, y) for x, y in pairs)
    return replace(other, inputs=inputs)
