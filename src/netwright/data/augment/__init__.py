"""Augmentation of training rows, drawn anew for each batch: whole batches at once, on the batch's device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from netwright.data import AUGMENTATIONS
from netwright.records.batch import Batch, Geometry, Mix
from netwright.records.errors import RecipeError, listed
from netwright.records.schema import Block, Family, Schema
from netwright.records.task import Task
from netwright.resolve import resolve

Change = Callable[[Tensor, Generator], Tensor]
"""(one input of a batch, generator) -> the same shape and type."""

Changes = Callable[[Batch, Generator], Batch]


@dataclass(frozen=True)
class Augmentation:
    """A change, and the family of kinds that it suits.

    `moves`: it changes positions, so a mask, or a text that is its own target, no longer fits.
    """

    family: Family
    change: Change
    moves: bool = False

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """The changed input."""
        return self.change(x, generator)


@dataclass(frozen=True)
class Moving:
    """Moves the content of images uint8 (B, C, H, W): drawn once per row, for all its images and targets."""

    draw: Callable[[Tensor, Generator], "Move"]

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """The moved images."""
        return self.draw(x, generator).pictures(x)


@dataclass(frozen=True)
class Move:
    """What was drawn for a batch."""

    pictures: Callable[[Tensor], Tensor]
    geometry: Geometry


@dataclass(frozen=True)
class Mixing:
    """Mixes each image (B, C, H, W) with the one before it in the batch: returns images, and each one's own share.

    Targets are mixed by the objective: `records.batch.Mix`.
    """

    mix: Callable[[Tensor, Generator], tuple[Tensor, Tensor]]  # -> the same shape and type, (B,) in [0, 1]

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """The mixed images."""
        return self.mix(x, generator)[0]


def partner(x: Tensor) -> Tensor:
    """For each row the one before it; the rows of a batch are shuffled already."""
    return x.roll(1, 0)


def beside(x: Tensor, generator: Generator) -> Generator:
    """A generator on the tensor's device, seeded by one on the CPU, for draws as large as the batch."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return Generator(x.device).manual_seed(seed)


def changes(schema: Schema, names: Sequence[str | Change], task: Task) -> Changes:
    """One function that applies all named changes, each to the inputs that it suits. A user's function gets images.

    Raises RecipeError for a change that suits no column, and for one that would make targets wrong.
    """
    chosen = [(str(name), resolve("augmentation", name, AUGMENTATIONS)) for name in names]
    for name, change in chosen:
        if problem := _problem(name, change, schema, task):
            raise RecipeError(problem, remedy=f"choose augment from {listed(suited(schema, task)) or 'none'}.")
    mixing = [name for name, change in chosen if isinstance(change, Mixing)]
    if len(mixing) > 1:
        problem = f"augment {mixing[0]} and {mixing[1]} both mix rows, but targets can be mixed only once"
        raise RecipeError(problem, remedy=f"leave {mixing[1]} out of augment.")
    blocks = schema.blocks
    bounds = [_bounds(block) for block in blocks]

    def apply(batch: Batch, generator: Generator) -> Batch:
        inputs, targets, mix = list(batch.inputs), batch.targets, None
        for _, change in chosen:
            move = None
            for k, block in enumerate(blocks):
                if block.fields[0].family != family_of(change):
                    continue
                if isinstance(change, Moving):
                    move = move or change.draw(inputs[k], generator)
                    inputs[k] = move.pictures(inputs[k])
                elif isinstance(change, Mixing):
                    inputs[k], share = change.mix(inputs[k], generator)
                    mix = Mix(tuple(partner(t) for t in batch.targets), share.to(inputs[k].device))
                else:
                    inputs[k] = change(inputs[k], generator)
                if inputs[k].is_floating_point():
                    low, high = (bound.to(inputs[k].device) for bound in bounds[k])
                    inputs[k] = inputs[k].clamp(low, high)
            if move is not None and targets:  # without targets nothing has to follow
                targets = task.moved(targets, move.geometry)
        return replace(batch, inputs=tuple(inputs), targets=targets, mix=mix)

    return apply


def suited(schema: Schema, task: Task) -> tuple[str, ...]:
    """The names in AUGMENTATIONS that suit these columns and this task."""
    named = ((name, resolve("augmentation", name, AUGMENTATIONS)) for name in AUGMENTATIONS)
    return tuple(name for name, change in named if not _problem(name, change, schema, task))


def _problem(name: str, change: object, schema: Schema, task: Task) -> str:
    """Why these rows cannot be changed this way, or nothing."""
    suits, families = family_of(change), [block.fields[0].family for block in schema.blocks]
    if suits not in families:
        kinds = listed([block.fields[0].kind for block in schema.blocks])
        return f"augment {name} changes {suits}, but the data have only columns of kind {kinds}"
    if isinstance(change, Mixing) and len(families) > 1:
        return f"augment {name} mixes images, but the other columns cannot be mixed"
    if task.has_places and moves(change) and not (isinstance(change, Moving) and task.follows):
        return f"augment {name} moves content, but the targets of {task.name} cannot follow"
    return ""


def moves(change: object) -> bool:
    """Whether a change moves content; unknown for a user's function."""
    return change.moves if isinstance(change, Augmentation) else isinstance(change, Moving | Mixing)


def family_of(change: object) -> Family:
    """The family of kinds that a change suits."""
    return change.family if isinstance(change, Augmentation) else "pictures"


def _bounds(block: Block) -> tuple[Tensor, Tensor]:
    """The lowest and the highest encoded value of each column, appended to the rows."""
    if len(block.fields) == 1 and not block.fields[0].joins:
        return torch.tensor(block.fields[0].low), torch.tensor(block.fields[0].high)
    return torch.tensor([f.low for f in block.fields]), torch.tensor([f.high for f in block.fields])
