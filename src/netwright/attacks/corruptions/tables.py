"""Everyday corruptions of tables: numbers, categories and dates, (B, columns, ...).

Levels are shares of cells: one in a hundred, as a careful person gets wrong; one in twenty; one in five, as in a form
that nobody checked. For missing cells they are larger, since a row is often sent without a whole part.
"""

import math

import polars as pl
import torch
from torch import Generator, Tensor

from netwright.attacks.corruptions import Corruption, missing, some
from netwright.kinds.category import ABSENT, UNSEEN
from netwright.records.schema import Block

DIGITS = 6  # significant digits of a number that people type


def _missing_cells(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """A share of cells is missing."""
    lost = some(x.flatten(2)[..., 0] if x.ndim > 2 else x, level, generator)
    return torch.where(lost.reshape(*lost.shape, *[1] * (x.ndim - 2)), missing(block, x), x)


def _digit_slips(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """A share of numbers with a decimal point one place off, or two neighboring digits swapped."""
    slipped, (row, column) = x.clone(), some(x, level, generator).cpu().nonzero(as_tuple=True)
    ways = torch.rand(len(row), generator=generator).tolist()
    for place, field in enumerate(block.fields):
        here = (column == place).nonzero()[:, 0]
        typed = field.decode(x[row[here].to(x.device), place]).to_list()
        cells = [slip(number, ways[k]) for k, number in zip(here.tolist(), typed, strict=True)]
        if cells:
            slipped[row[here].to(x.device), place] = field.encode(pl.Series(field.name, cells, pl.Float64)).to(x)
    return slipped


def slip(number: float, way: float) -> float:
    """A number typed wrongly; `way` in [0, 1) says how: ten times as much, a tenth, or two digits swapped.

    A whole number stays whole: no tenth. Missing numbers, and those whose digits are all alike, stay as they are.
    """
    if not math.isfinite(number):
        return number
    if way < 1 / 2:
        return number * 10 if way < 1 / 4 or number == round(number) else number / 10
    text = f"{number:.0f}" if number == round(number) else f"{number:.{DIGITS}g}"
    digits = list(text.partition("e")[0])
    pairs = [k for k in range(len(digits) - 1) if digits[k].isdigit() and digits[k + 1].isdigit()]
    pairs = [k for k in pairs if digits[k] != digits[k + 1]]
    if not pairs:
        return number
    k = pairs[int((2 * way - 1) * len(pairs))]
    digits[k : k + 2] = digits[k + 1], digits[k]
    return float("".join(digits) + "e" + (text.partition("e")[2] or "0"))


def _mistyped_categories(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """A share of categories written as nobody wrote them in training: read as unseen. Missing ones stay missing."""
    return x.masked_fill(some(x, level, generator) & (x != ABSENT), UNSEEN)


missing_cells = Corruption(("numbers", "labels", "dates"), _missing_cells, (0.05, 0.15, 0.3))
digit_slips = Corruption(("numbers",), _digit_slips, (0.01, 0.05, 0.2))
mistyped_categories = Corruption(("labels",), _mistyped_categories, (0.01, 0.05, 0.2))
