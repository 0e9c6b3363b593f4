"""Trained weights: their signs and sizes, the columns that move the first layer, pictures of filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from netwright.models.mlp import MemberLinear
from netwright.models.network import Joined
from netwright.records.schema import Schema

NEAR_ZERO = 0.01  # of a layer's root mean square: a smaller weight is drowned out by the others
PIXEL = 12  # screen pixels for a weight
MARGIN = 4  # screen pixels between filters
MOST_FILTERS = 256  # in a picture; as many as a person can look at


@final
@dataclass(frozen=True)
class LayerWeights:
    """The weights of one layer; biases and scales are left out."""

    name: str  # as in state_dict: "head.weight"
    shape: tuple[int, ...]
    positive: float  # shares of all weights; the three sum to 1
    negative: float
    near_zero: float
    mean: float
    std: float
    norm: float  # Euclidean


@final
@dataclass(frozen=True)
class Connection:
    """How strongly a column moves a unit of the first dense layer."""

    column: str
    unit: int
    strength: float  # standard deviation of the unit's input over the rows, with all other columns constant
    direction: int  # 1: rises with a number, -1: falls with it, 0: neither, or the column is not numeric


@final
@dataclass(frozen=True)
class Learned:
    """Layers, the strongest connections, and the first convolution's filters if there is one."""

    layers: tuple[LayerWeights, ...]
    connections: tuple[Connection, ...]
    filters: Image.Image | None


def learned(network: nn.Module) -> tuple[LayerWeights, ...]:
    """Every weight matrix, filter bank and table of the network, in its order."""
    weights = [(name, weight.detach()) for name, weight in network.named_parameters() if weight.ndim > 1]
    return tuple(_layer(name, weight) for name, weight in weights)


def strongest(network: nn.Module, schema: Schema, inputs: Sequence[Tensor], count: int = 10) -> tuple[Connection, ...]:
    """The strongest connections from columns of numbers, categories and dates to units of the first dense layer.

    `inputs` are encoded rows, one tensor per block, on which strengths are measured; a few hundred suffice. Empty for
    networks without such columns, or not built by `joined`. An ensemble's units show its members' mean.
    """
    if not isinstance(network, Joined):
        return ()
    found = []
    offset = 0
    with torch.no_grad():
        for block, branch, x in zip(schema.blocks, network.branches, inputs, strict=True):
            if not block.fields[0].joins:
                break  # blocks of joined columns come first
            stem = next(branch.children())
            for place, field in enumerate(block.fields):
                features = stem(_alone(x, place))
                reached = _reached(network, features, offset)
                found += [] if reached is None else _connections(field.name, x[:, place], reached)
            offset += stem(x[:1]).shape[1]
    return tuple(sorted(found, key=lambda c: -c.strength)[:count])


def filters_picture(network: nn.Module) -> Image.Image | None:
    """The filters of the first convolution, side by side: red raises the output, blue lowers it.

    A filter with several input channels shows them from left to right; one along a sequence shows channels as rows and
    steps as columns. None for a network without convolutions.
    """
    conv = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    if conv is None:
        return None
    weight = conv.weight.detach().cpu()[:MOST_FILTERS]  # (filters, channels, height, width)
    is_sequence = weight.shape[2] == 1
    tiles = weight.squeeze(2) if is_sequence else weight.permute(0, 2, 1, 3).flatten(2)
    scaled = (tiles / tiles.abs().max().clamp(min=1e-12)).numpy()
    return _grid(_colored(scaled))


def _layer(name: str, weight: Tensor) -> LayerWeights:
    is_zero = weight.abs() < NEAR_ZERO * weight.square().mean().sqrt()
    zero = 1.0 if not weight.any() else float(is_zero.float().mean())
    positive = float(((weight > 0) & ~is_zero).float().mean())
    return LayerWeights(
        name=name,
        shape=tuple(weight.shape),
        positive=positive,
        negative=1.0 - zero - positive,
        near_zero=zero,
        mean=float(weight.mean()),
        std=float(weight.std(correction=0)),
        norm=float(weight.norm()),
    )


def _alone(x: Tensor, place: int) -> Tensor:
    """All rows with one column's values; every other column is as in the first row."""
    rows = x[:1].repeat(len(x), *[1] * (x.ndim - 1))
    rows[:, place] = x[:, place]
    return rows


def _reached(network: Joined, features: Tensor, offset: int) -> Tensor | None:
    """(rows, units): the first dense layer's response to some of its inputs, from `offset` on."""
    trunk = network.branches[0] if isinstance(network.trunk, nn.Identity) else network.trunk
    layers = (m for part in (trunk, network.head) for m in part.modules() if isinstance(m, nn.Linear | MemberLinear))
    dense = next((m for m in layers if m.weight.shape[1] >= offset + features.shape[1]), None)
    if dense is None:
        return None
    here = slice(offset, offset + features.shape[1])
    if isinstance(dense, nn.Linear):
        return features @ dense.weight[:, here].T
    scale = torch.einsum("mi,mo->oi", dense.r[:, here], dense.s) / len(dense.r)
    return features @ (dense.weight[:, here] * scale).T


def _connections(column: str, values: Tensor, reached: Tensor) -> list[Connection]:
    strengths = reached.std(0, correction=0).tolist()
    directions = _directions(values, reached)
    return [Connection(column, unit, s, d) for unit, (s, d) in enumerate(zip(strengths, directions, strict=True))]


def _directions(values: Tensor, reached: Tensor) -> list[int]:
    """The sign of the covariance with a number; 0 for values without order."""
    if not values.is_floating_point() or values.ndim > 1:
        return [0] * reached.shape[1]
    known = ~values.isnan()
    if not known.any():
        return [0] * reached.shape[1]
    centered = (values - values[known].mean())[known]
    return [int(s) for s in (centered @ reached[known]).sign()]


def _colored(shares: np.ndarray) -> np.ndarray:
    """-1 to 1 as blue through white to red, uint8 with a last dimension of 3."""
    fade = 255 * (1 - np.abs(shares))
    full = np.full_like(fade, 255)
    red, blue = np.where(shares >= 0, full, fade), np.where(shares <= 0, full, fade)
    return np.stack([red, fade, blue], axis=-1).round().astype(np.uint8)


def _grid(tiles: np.ndarray) -> Image.Image:
    """(count, height, width, 3) pixels, enlarged and arranged in about a square."""
    count, height, width, _ = tiles.shape
    columns = max(1, round((count * height / width) ** 0.5))
    rows = -(-count // columns)
    step_y, step_x = height * PIXEL + MARGIN, width * PIXEL + MARGIN
    page = np.full((rows * step_y + MARGIN, columns * step_x + MARGIN, 3), 128, dtype=np.uint8)
    large = tiles.repeat(PIXEL, axis=1).repeat(PIXEL, axis=2)
    for number, tile in enumerate(large):
        top, left = number // columns * step_y + MARGIN, number % columns * step_x + MARGIN
        page[top : top + height * PIXEL, left : left + width * PIXEL] = tile
    return Image.fromarray(page)
