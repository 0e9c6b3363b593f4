"""A few numbers for each picture: brightness, contrast, detail and noise."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from netwright.checks.data.encoded import Column, encoded, readable
from netwright.checks.data.unlike import Floats
from netwright.checks.evidence import DataEvidence
from netwright.data.split import Rows
from netwright.records.schema import Field

BLOCK = 1 << 20  # pixels measured at once: 4 MB a plane bounds memory and fits caches
FAST_PIXELS = 10_000_000  # measured by a fast check: under a second
TAIL = 0.01  # share of a picture's pixels outside of its range, at each end: specks
LEAST_SIDE = 16  # pixels: in smaller pictures an edge looks like noise and like blur
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R 601, as everywhere else
ROUNDING = 1 / 12  # variance that rounding to whole levels adds to each pixel
LAPLACIAN = 20  # sum of the squared weights of the Laplacian: its factor for the variance of white noise
SMOOTHEST = 1 / 16  # of `detail`: a Laplacian over twice the distance is four times as large in a smooth picture
CALM = 0.1  # share of places assumed flat when noise is measured: a quarter was all texture in 41 of 70,000 garments
MIDDLE = 128  # the level of pixels without data in a JPEG decoder
CALMEST = 0.12566  # quantile CALM of the absolute value of a standard normal number


@dataclass(frozen=True, eq=False)
class Pictures:
    """Numbers of the pictures of one column, one for each examined row, all in grey levels 0 to 255."""

    column: str
    side: int  # pixels, the shorter one
    rows: Rows
    span: Floats  # greatest minus least level, in the channel with the largest difference
    low: Floats  # the level that TAIL of the pixels are below
    high: Floats  # the level that TAIL of the pixels are above
    detail: Floats  # strength of the finest detail relative to that twice as coarse; SMOOTHEST if there is none
    sharpness: Floats  # variance of the Laplacian divided by that of the levels
    noise: Floats  # standard deviation of noise in the calmest tenth of the picture
    cut: Floats  # share of the height, from below, in one middle grey


def measured(evidence: DataEvidence) -> tuple[Pictures, ...]:
    """The pictures of each column, as the network sees them. Raises Skip if there is no such column."""
    return tuple(_measured(evidence, field, column) for field, column in encoded(evidence, "pictures"))


def _measured(evidence: DataEvidence, field: Field, column: Column) -> Pictures:
    channels, height, width = column(torch.zeros(0, dtype=torch.int64)).shape[1:]
    pixels = height * width
    rows = readable(evidence, max(1, FAST_PIXELS // pixels))
    blocks = [_numbers(block) for block in _blocks(column, rows, max(1, BLOCK // (pixels * channels)))]
    numbers = np.concatenate(blocks, axis=1) if blocks else np.zeros((7, 0))
    return Pictures(field.name, min(height, width), rows, *numbers)


def _blocks(column: Column, rows: Rows, size: int) -> Iterator[Tensor]:
    for start in range(0, len(rows), size):
        yield column(torch.from_numpy(rows[start : start + size]))


def _numbers(images: Tensor) -> NDArray[np.float64]:
    """(7, B) from (B, channels, H, W) uint8."""
    flat = images.flatten(2)
    span = (flat.amax(2).int() - flat.amin(2).int()).amax(1).numpy()
    grey = images[:, 0] if images.shape[1] == 1 else torch.einsum("bchw,c->bhw", images.float(), LUMA).round().byte()
    low, high = _range(grey)
    texture = np.zeros((3, len(grey)))
    if min(grey.shape[1:]) >= LEAST_SIDE:
        plane = grey.float()
        texture = np.stack([*_detail(plane), _noise(plane)])
    return np.stack([span, low, high, *texture, _cut(grey)]).astype(np.float64)


def _range(grey: Tensor) -> NDArray[np.uint8]:
    pixels = grey.flatten(1).numpy()
    tail = int(TAIL * pixels.shape[1])
    places = [tail, pixels.shape[1] - 1 - tail]
    return np.partition(pixels, places, axis=1)[:, places].T


def _detail(plane: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Variance of the Laplacian divided by that of the picture at half its size, and by that of the levels.

    Both exclude what rounding adds and do not depend on contrast. The first hardly depends on the subject: the spectra
    of pictures look alike at all scales (Field 1987), and blur removes the finest one. The variance of the Laplacian as
    a measure of focus is from Pech-Pacheco et al. 2000.
    """
    fine = (_laplacian(plane) - LAPLACIAN * ROUNDING).clamp(min=0)
    coarse = (_laplacian(avg_pool2d(plane[:, None], 2)[:, 0]) - LAPLACIAN * ROUNDING / 4).clamp(min=0)
    levels = plane.var((1, 2), correction=0)
    return ((fine + SMOOTHEST) / (coarse + 1)).numpy(), ((fine + SMOOTHEST) / (levels + 1)).numpy()


def _laplacian(plane: Tensor) -> Tensor:
    """Its variance in each picture."""
    around = plane[:, :-2, 1:-1] + plane[:, 2:, 1:-1] + plane[:, 1:-1, :-2] + plane[:, 1:-1, 2:]
    return (4 * plane[:, 1:-1, 1:-1] - around).var((1, 2), correction=0)


def _noise(plane: Tensor) -> NDArray[np.float32]:
    """Immerkaer 1996: the residual of a mask that ignores planes and straight edges, here in the calmest tenth."""
    rows = plane[:, :-2] - 2 * plane[:, 1:-1] + plane[:, 2:]
    left = (rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]).abs_().flatten(1)
    return (left.kthvalue(max(1, int(CALM * prod(left.shape[1:]))), 1).values / (6 * CALMEST)).numpy()


def _cut(grey: Tensor) -> NDArray[np.float32]:
    """The share of the height, from below, with the grey that decoders use for missing data."""
    last = grey[:, -1:, -1:]
    same = (grey == last).all(2).flip(1).int().cumprod(1).sum(1)
    return (same / grey.shape[1] * ((last.int() - MIDDLE).abs() <= 1).flatten()).numpy()
