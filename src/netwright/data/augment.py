"""Changes of training rows, drawn anew for each batch: whole batches at once, by a generator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from netwright.data import AUGMENTATIONS
from netwright.records.schema import Schema
from netwright.resolve import resolve

Change = Callable[[Tensor, Generator], Tensor]
"""(one input of a batch, generator) -> the same shape and type."""

SHIFT = 14  # a picture moves by at most 1/14 of its size: 2 pixels of 28, as is usual for small pictures
HOLE = 4  # the hole's side is 1/4 of the picture's: 8 of 32, DeVries & Taylor 2017 on CIFAR-100 (arXiv:1708.04552)
NOISE = 0.05  # of each number's spread in the batch: too little to turn one row into another


@dataclass(frozen=True)
class Augmentation:
    """A change and the kind of column that it suits."""

    kind: str
    change: Change

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """The changed input."""
        return self.change(x, generator)


def changes(
    schema: Schema, names: Sequence[str | Change]
) -> Callable[[tuple[Tensor, ...], Generator], tuple[Tensor, ...]]:
    """One function that applies all named changes, each to the inputs that it suits. Other functions get pictures."""
    chosen = [resolve("augmentation", name, AUGMENTATIONS) for name in names]
    kinds = [block.fields[0].kind for block in schema.blocks]

    def apply(inputs: tuple[Tensor, ...], generator: Generator) -> tuple[Tensor, ...]:
        changed = list(inputs)
        for change in chosen:
            suited = change.kind if isinstance(change, Augmentation) else "image"
            for k, kind in enumerate(kinds):
                if kind == suited:
                    changed[k] = change(changed[k], generator)
        return tuple(changed)

    return apply


def _flip(x: Tensor, generator: Generator) -> Tensor:
    """Half of the pictures (B, C, H, W) mirrored, left for right."""
    mirrored = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(mirrored[:, None, None, None].to(x.device), x.flip(-1), x)


def _shift(x: Tensor, generator: Generator) -> Tensor:
    """Each picture (B, C, H, W) moved by its own few pixels; the border is filled with its reflection."""
    rows, channels, height, width = x.shape
    most = max(1, min(height, width) // SHIFT)
    if min(height, width) <= most:
        return x
    padded = F.pad(x, (most, most, most, most), mode="reflect")
    down, right = torch.randint(0, 2 * most + 1, (2, rows, 1, 1), generator=generator)
    planes = torch.arange(rows * channels).view(rows, channels, 1) * (height + 2 * most)
    starts = (planes + torch.arange(height) + down) * (width + 2 * most) + right  # of each line in the flat tensor
    lines = padded.reshape(-1).unfold(0, width, 1)
    return lines.index_select(0, starts.reshape(-1).to(x.device)).view(x.shape)


def _cutout(x: Tensor, generator: Generator) -> Tensor:
    """A square of each picture (B, C, H, W) replaced by the picture's mean color; it may reach over the border."""
    rows, _, height, width = x.shape
    side = max(1, min(height, width) // HOLE)
    top = torch.randint(-(side // 2), height - side // 2, (rows, 1), generator=generator)
    left = torch.randint(-(side // 2), width - side // 2, (rows, 1), generator=generator)
    down, right = torch.arange(height) - top, torch.arange(width) - left
    hole = ((down >= 0) & (down < side))[:, None, :, None] & ((right >= 0) & (right < side))[:, None, None, :]
    mean = x.float().mean((2, 3), keepdim=True).to(x.dtype)
    return torch.where(hole.to(x.device), mean, x)


def _noise(x: Tensor, generator: Generator) -> Tensor:
    """Numbers (B, columns) with Gaussian noise of each column's spread in the batch; missing ones stay missing."""
    mean = x.nanmean(dim=0, keepdim=True)
    spread = (x - mean).square().nanmean(dim=0, keepdim=True).sqrt()
    drawn = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    return x + NOISE * spread * drawn


flip = Augmentation("image", _flip)
shift = Augmentation("image", _shift)
cutout = Augmentation("image", _cutout)
noise = Augmentation("number", _noise)
