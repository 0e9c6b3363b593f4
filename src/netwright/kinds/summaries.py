"""Rows of images, texts and steps as a few columns that a person can name."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.kinds.padded import FIRST, UNKNOWN
from netwright.records.features import Numbers, Summary, moments

WORDS = 100  # the most frequent; a few thousand texts are enough to know their shares well
CHANNELS = 16  # of a series; symbols of an alphabet
GRID = 6  # cells a side to which images are averaged: shows classifiers what is where
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def of_picture(name: str, cells: Tensor) -> Iterator[Summary]:
    """Brightness, contrast, sharpness, tilt, colors and a coarse grid."""
    pixels = torch.cat([F.adaptive_avg_pool2d(part.float() / 255, _sides(part)) for part in cells.split(64)])
    grey = pixels[:, 0] if pixels.shape[1] == 1 else torch.einsum("nchw,c->nhw", pixels, torch.tensor(LUMA))
    across, down = grey.diff(dim=2).abs().mean((1, 2)), grey.diff(dim=1).abs().mean((1, 2))
    flat = grey.flatten(1)
    contrast = flat.std(1)
    named = {
        "brightness": flat.mean(1),
        "contrast": contrast,
        "sharpness": (across + down) / (contrast + 0.01),  # relative to contrast: blur lowers it, dimming does not
        "tilt in degrees": _tilt(grey),
    }
    if pixels.shape[1] == 3:
        named |= {color: pixels[:, place].mean((1, 2)) - flat.mean(1) for place, color in enumerate(("red", "blue"))}
    for what, values in named.items():
        yield Summary(f"{what} of {name}", name, values.numpy())
    for values in F.adaptive_avg_pool2d(grey, (GRID, GRID)).flatten(1).T:
        yield Summary("", name, values.numpy())


def _sides(cells: Tensor) -> tuple[int, int]:
    return min(cells.shape[-2], 64), min(cells.shape[-1], 64)  # enough for a summary, and cheap for large images


def _tilt(grey: Tensor) -> Tensor:
    """Angle of the main axis of what differs from the border, -90 to 90, counterclockwise; NaN for discs."""
    border = torch.cat([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], dim=1).median(1).values
    mass = (grey - border[:, None, None]).abs()
    total = mass.sum((1, 2)).clamp(min=1e-6)
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in grey.shape[1:]), indexing="ij")
    x = x - (mass * x).sum((1, 2), keepdim=True) / total[:, None, None]
    y = (mass * y).sum((1, 2), keepdim=True) / total[:, None, None] - y
    xx, yy, xy = ((mass * part).sum((1, 2)) / total for part in (x * x, y * y, x * y))
    long = torch.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy).clamp(min=1e-6)
    angle = torch.rad2deg(0.5 * torch.atan2(2 * xy, xx - yy))
    return torch.where(long > 0.1, angle, torch.nan)  # rounder shapes have no direction


def of_text(name: str, cells: Tensor, vocabulary: Sequence[str]) -> Iterator[Summary]:
    """Length, unknown words and frequent words in each row."""
    x = cells.numpy()
    length = (x > 0).sum(1)
    yield Summary(f"words in {name}", name, length.astype(np.float32))
    yield Summary(f"share of unknown words in {name}", name, _share((x == UNKNOWN).sum(1), length))
    yield from _held(name, x, vocabulary)


def of_names(name: str, cells: Tensor, vocabulary: Sequence[str]) -> Iterator[Summary]:
    """Length and frequent items of each list."""
    x = cells.numpy()
    yield Summary(f"items in {name}", name, (x > 0).sum(1).astype(np.float32))
    yield from _held(name, x, vocabulary)


def of_symbols(name: str, cells: Tensor, alphabet: str) -> Iterator[Summary]:
    """Length and shares of symbols."""
    x = cells.numpy()
    length = (x > 0).sum(1)
    yield Summary(f"length of {name}", name, length.astype(np.float32))
    for place, symbol in enumerate(alphabet[:CHANNELS]):
        yield Summary(f"share of {symbol!r} in {name}", name, _share((x == FIRST + place).sum(1), length))


def of_steps(name: str, cells: Tensor, channels: Sequence[str]) -> Iterator[Summary]:
    """Length, gaps, mean, spread and ends of each channel."""
    known = ~cells.isnan()
    steps = torch.arange(1, cells.shape[1] + 1)
    yield Summary(f"length of {name}", name, (known.any(2) * steps).amax(1).float().numpy())
    for place, channel in enumerate(channels[:CHANNELS]):
        x, is_known = cells[:, :, place], known[:, :, place]
        of = f"{channel} of {name}" if channel != name else name
        yield Summary(f"share of gaps in {of}", name, _share((known.any(2) & ~is_known).sum(1), known.any(2).sum(1)))
        yield from moments(of, name, x, is_known)


def _held(name: str, x: Numbers, vocabulary: Sequence[str]) -> Iterator[Summary]:
    """For each of the first words whether a row has it."""
    for place, word in enumerate(vocabulary[:WORDS]):
        holds = (x == FIRST + place).any(1).astype(np.int8)
        yield Summary(name, name, holds, (f"without {word!r}", f"with {word!r}"))


def _share(part: Any, whole: Any) -> Numbers:
    return (np.asarray(part) / np.maximum(np.asarray(whole), 1)).astype(np.float32)
