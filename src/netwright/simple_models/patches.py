"""Pictures as plain columns, without training: how much of them looks like each of some typical patches."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SIDE = 32  # pixels of the longer side that is looked at: a person names most things at this size
PATCH, LEAST_PATCH = 6, 3  # pixels of a patch's side; a quarter of smaller pictures
DRAWN = 20_000  # patches from which the typical ones are found
TYPICAL = 256  # 512 gained nothing on 200 and 1,000 photos, in twice the time
ROUNDS = 10  # of k-means
FLAT = 0.003  # of the pixels' variance, added to a patch's: flat patches are noise and stay small
WHITENED = 0.1  # added to the variance in each direction
LEAST_COSINE = 0.5  # as large as this counts, so that few typical patches speak for each place
QUARTERS = 2  # the picture is summed up in 2 x 2 parts
MANY = 2_500  # pictures from which every second place is looked at: a quarter of the time for one point
AT_ONCE = 64  # pictures

Column = Callable[[Tensor], Tensor]
"""(positions) -> pictures (B, C, H, W)."""


def patches(column: Column, count: int, seed: int = 0) -> NDArray[np.float32]:
    """(count, 4 x TYPICAL): for each quarter, how strongly it resembles each typical patch on average.

    Typical patches come from the pictures themselves by spherical k-means on whitened patches. Coates and Ng 2012,
    "Learning feature representations with k-means".
    """
    generator = torch.Generator().manual_seed(seed)
    some = torch.randperm(count, generator=generator)[: min(count, DRAWN // 4)]
    drawn, usual = _drawn([_small(column(part)) for part in some.split(AT_ONCE)], generator)
    normal = _normalized(drawn, usual)
    middle = normal.mean(0)
    values, directions = torch.linalg.eigh(torch.cov(normal.T))
    whitening = directions @ torch.diag((values.clamp(min=0) + WHITENED).rsqrt()) @ directions.T
    typical = _typical((normal - middle) @ whitening, generator)
    step = 1 if count < MANY else 2

    def of(pictures: Tensor) -> Tensor:
        side = _side(pictures)
        cut = F.unfold(pictures, side, stride=step).transpose(1, 2)
        white = (_normalized(cut, usual) - middle) @ whitening
        alike = (white @ typical.T - LEAST_COSINE).clamp(min=0).transpose(1, 2)
        high = (pictures.shape[2] - side) // step + 1
        return F.adaptive_avg_pool2d(alike.unflatten(2, (high, -1)), QUARTERS).flatten(1).sqrt()

    return torch.cat([of(_small(column(part))) for part in torch.arange(count).split(AT_ONCE)]).numpy()


def _small(pictures: Tensor) -> Tensor:
    """Floats, at most SIDE pixels a side."""
    pictures = pictures.cpu().float()
    factor = max(pictures.shape[2:]) / SIDE
    if factor <= 1:
        return pictures
    size = [max(1, round(side / factor)) for side in pictures.shape[2:]]
    return F.interpolate(pictures, size, mode="area")


def _side(pictures: Tensor) -> int:
    least = min(pictures.shape[2:])
    return min(least, PATCH, max(LEAST_PATCH, least // 4))


def _drawn(blocks: Iterable[Tensor], generator: torch.Generator) -> tuple[Tensor, float]:
    """Patches at random places, flat, and the variance of the pixels."""
    pictures = torch.cat([*blocks])
    count, _, height, width = pictures.shape
    side = _side(pictures)
    row, top, left = (
        torch.randint(high, (DRAWN,), generator=generator) for high in (count, height - side + 1, width - side + 1)
    )
    near = torch.arange(side)
    cut = pictures[row[:, None, None], :, (top[:, None] + near)[:, :, None], (left[:, None] + near)[:, None]]
    return cut.permute(0, 3, 1, 2).flatten(1), float(pictures.var())


def _normalized(flat: Tensor, usual: float) -> Tensor:
    """Without brightness and contrast."""
    centered = flat - flat.mean(-1, keepdim=True)
    return centered / (centered.square().mean(-1, keepdim=True) + FLAT * usual + 1e-12).sqrt()


def _typical(vectors: Tensor, generator: torch.Generator) -> Tensor:
    """(TYPICAL, width): unit vectors, each the direction of the patches nearest to it."""
    found = F.normalize(vectors[torch.randperm(len(vectors), generator=generator)[:TYPICAL]], dim=1)
    for _ in range(ROUNDS):
        strength, nearest = (vectors @ found.T).max(1)
        moved = torch.zeros_like(found).index_add_(0, nearest, vectors * strength[:, None])
        found = torch.where(moved.norm(dim=1, keepdim=True) > 1e-6, F.normalize(moved, dim=1), found)
    return found
