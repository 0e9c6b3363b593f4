"""Rows of any kind of data as a few columns that a person can name: the ground on which groups of rows are compared."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from netwright.kinds.padded import FIRST, UNKNOWN
from netwright.records.batch import Examples
from netwright.records.schema import Block, Schema

WORDS = 100  # the most frequent ones: those whose shares are known well from some thousand texts
CHANNELS = 16  # of a series; symbols of an alphabet
GRID = 6  # sides to which pictures are averaged: what is where, for classifiers
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Summary:
    """A number or a category of each row."""

    name: str  # "age", "brightness of image"; empty for what only classifiers look at
    column: str  # of the data
    values: Numbers  # (rows,) float32, NaN where missing; positions in `labels` where there are some
    labels: tuple[str, ...] = ()
    is_date: bool = False  # days since 1970


def summaries(schema: Schema, examples: Examples, rows: Numbers) -> list[Summary]:
    """Of some encoded rows. Numbers and categories are taken as they are; dates as days.

    Pictures by brightness, contrast, sharpness, tilt, colors and a coarse grid; texts by length, unknown words and the
    frequent words they hold; series by the mean, spread and ends of each channel.
    """
    index = torch.from_numpy(np.asarray(rows, np.int64))
    found = list[Summary]()
    for number, block in enumerate(schema.blocks):
        found += of_block(block, examples.column(number, index).cpu())
    return found


def of_block(block: Block, cells: Tensor) -> list[Summary]:
    """Of one block's encoded cells."""
    return [*_OF_KIND.get(block.fields[0].kind, _tensor)(block, cells)]


def take(columns: list[Summary], rows: Numbers) -> list[Summary]:
    """Some of the rows."""
    return [replace(c, values=c.values[rows]) for c in columns]


def matrix(columns: list[Summary]) -> Numbers:
    """(rows, columns) float32 for classifiers."""
    return np.stack([c.values.astype(np.float32) for c in columns], axis=1)


def _numbers(block: Block, cells: Tensor) -> Iterator[Summary]:
    for place, field in enumerate(block.fields):
        yield Summary(field.name, field.name, cells[:, place].numpy())


def _categories(block: Block, cells: Tensor) -> Iterator[Summary]:
    for place, field in enumerate(block.fields):
        labels = ("rare or unseen", "missing", *getattr(field, "values", ()))
        yield Summary(field.name, field.name, cells[:, place].numpy(), labels)


def _dates(block: Block, cells: Tensor) -> Iterator[Summary]:
    for place, field in enumerate(block.fields):
        days = cells[:, place, 0].double().numpy() + getattr(field, "origin", 0.0)
        yield Summary(field.name, field.name, days, is_date=True)


def _image(block: Block, cells: Tensor) -> Iterator[Summary]:
    name = block.fields[0].name
    pixels = torch.cat([F.adaptive_avg_pool2d(part.float() / 255, _sides(part)) for part in cells.split(64)])
    grey = pixels[:, 0] if pixels.shape[1] == 1 else torch.einsum("nchw,c->nhw", pixels, torch.tensor(LUMA))
    across, down = grey.diff(dim=2).abs().mean((1, 2)), grey.diff(dim=1).abs().mean((1, 2))
    flat = grey.flatten(1)
    contrast = flat.std(1)
    named = {
        "brightness": flat.mean(1),
        "contrast": contrast,
        "sharpness": (across + down) / (contrast + 0.01),  # of the contrast there is: blur lowers it, dimming does not
        "tilt in degrees": _tilt(grey),
    }
    if pixels.shape[1] == 3:
        named |= {color: pixels[:, place].mean((1, 2)) - flat.mean(1) for place, color in enumerate(("red", "blue"))}
    for what, values in named.items():
        yield Summary(f"{what} of {name}", name, values.numpy())
    for values in F.adaptive_avg_pool2d(grey, (GRID, GRID)).flatten(1).T:
        yield Summary("", name, values.numpy())


def _sides(cells: Tensor) -> tuple[int, int]:
    return min(cells.shape[-2], 64), min(cells.shape[-1], 64)  # enough for a summary, and cheap for large pictures


def _tilt(grey: Tensor) -> Tensor:
    """The angle of the longest axis of what stands out from the border, -90 to 90, counterclockwise; NaN for discs."""
    border = torch.cat([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], dim=1).median(1).values
    mass = (grey - border[:, None, None]).abs()
    total = mass.sum((1, 2)).clamp(min=1e-6)
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in grey.shape[1:]), indexing="ij")
    x = x - (mass * x).sum((1, 2), keepdim=True) / total[:, None, None]
    y = (mass * y).sum((1, 2), keepdim=True) / total[:, None, None] - y
    xx, yy, xy = ((mass * part).sum((1, 2)) / total for part in (x * x, y * y, x * y))
    long = torch.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy).clamp(min=1e-6)
    angle = torch.rad2deg(0.5 * torch.atan2(2 * xy, xx - yy))
    return torch.where(long > 0.1, angle, torch.nan)  # rounder things have no direction


def _text(block: Block, cells: Tensor) -> Iterator[Summary]:
    name, x = block.fields[0].name, cells.numpy()
    length = (x > 0).sum(1)
    yield Summary(f"words in {name}", name, length.astype(np.float32))
    yield Summary(f"share of unknown words in {name}", name, _share((x == UNKNOWN).sum(1), length))
    vocabulary: tuple[str, ...] = getattr(block.fields[0], "vocabulary", ())
    for place, word in enumerate(vocabulary[:WORDS]):
        holds = (x == FIRST + place).any(1).astype(np.int8)
        yield Summary(name, name, holds, (f"without {word!r}", f"with {word!r}"))


def _sequence(block: Block, cells: Tensor) -> Iterator[Summary]:
    name, x = block.fields[0].name, cells.numpy()
    length = (x > 0).sum(1)
    yield Summary(f"length of {name}", name, length.astype(np.float32))
    alphabet: str = getattr(block.fields[0], "alphabet", "")
    for place, symbol in enumerate(alphabet[:CHANNELS]):
        yield Summary(f"share of {symbol!r} in {name}", name, _share((x == FIRST + place).sum(1), length))


def _series(block: Block, cells: Tensor) -> Iterator[Summary]:
    name, known = block.fields[0].name, ~cells.isnan()
    steps = torch.arange(1, cells.shape[1] + 1)
    yield Summary(f"length of {name}", name, (known.any(2) * steps).amax(1).float().numpy())
    channels: tuple[str, ...] = getattr(block.fields[0], "channels", ())
    for place, channel in enumerate(channels[:CHANNELS]):
        x, is_known = cells[:, :, place], known[:, :, place]
        of = f"{channel} of {name}" if channel != name else name
        yield Summary(f"share of gaps in {of}", name, _share((known.any(2) & ~is_known).sum(1), known.any(2).sum(1)))
        yield from _moments(of, name, x, is_known)


def _tensor(block: Block, cells: Tensor) -> Iterator[Summary]:
    name, flat = block.fields[0].name, cells.flatten(1).float()
    yield from _moments(name, name, flat, ~flat.isnan())


def _moments(of: str, column: str, x: Tensor, known: Tensor) -> Iterator[Summary]:
    """Mean, spread, least and greatest value of each row; NaN where it has none."""
    count = known.sum(1)
    filled = torch.where(known, x, 0.0)
    mean = filled.sum(1) / count
    spread = (((filled - mean[:, None]) * known) ** 2).sum(1).div(count).sqrt()
    least, greatest = torch.where(known, x, torch.inf).amin(1), torch.where(known, x, -torch.inf).amax(1)
    for what, values in {"mean": mean, "spread": spread, "least": least, "greatest": greatest}.items():
        yield Summary(f"{what} of {of}", column, torch.where(count > 0, values, torch.nan).numpy())


def _share(part: Any, whole: Any) -> Numbers:
    return (np.asarray(part) / np.maximum(np.asarray(whole), 1)).astype(np.float32)


_OF_KIND = {
    "number": _numbers,
    "category": _categories,
    "date": _dates,
    "image": _image,
    "text": _text,
    "sequence": _sequence,
    "series": _series,
}
