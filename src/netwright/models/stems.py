"""First modules: they scale or embed encoded columns, and return a vector, a map or a sequence.

All scaling is here, so encoded values stay in the units people know. Every module works row by row, reads NaN as
missing, and passes gradients to float inputs. New weights are drawn from torch's generator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from netwright.models import NUMBER_EMBEDDINGS
from netwright.models.dropout import Dropout
from netwright.models.sequences import row_lengths
from netwright.models.stem import Stem
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal
from netwright.resolve import resolve

CLIP = 3.0  # where the smooth clip bends values, in robust scales: Holzmueller et al. 2024, arXiv:2407.04491
FAR = 1e6  # robust scales; beyond it squares overflow float32
PIECE_WIDTH = 16  # of a number's piecewise embedding, as TabM uses: Gorishniy et al. 2024, arXiv:2410.24210
NUMBERS_WIDTH = 4096  # most units of all numbers together: with many columns, each gets a narrower part
ALL_PIECES = 8192  # pieces of all columns together; bounds memory: a step builds (batch, columns, pieces)
FREQUENCIES, WAVES_WIDTH, FREQUENCY_SPREAD = 16, 3, 0.1  # of the periodic embedding, arXiv:2407.04491, table A.1
ONE_HOT = 64  # a category with up to this many indexes is one-hot, as in TabM: no worse than embeddings in trials
CATEGORY_WIDTH, MANY_WIDTH = 8, 32  # of embedded categories, with up to MANY values and with more
MANY = 1000
TOKEN_WIDTH = 128  # of embedded words: a vocabulary of 30,000 stays below 4 million weights
FEW_TOKENS = 512  # letters and other small alphabets are embedded as wide as the trunk
FEWEST_TOKENS, NARROW = 32, 32  # a few symbols span no more dimensions than there are symbols


@dataclass(frozen=True)
class NumberColumn:
    """What a stem must know about a column of numbers: scaled values are (x - center) * scale."""

    center: float
    scale: float
    knots: tuple[float, ...]  # ascending quantiles in the column's own units
    may_miss: bool  # whether training rows had missing cells


def numbers(columns: Sequence[NumberColumn], recipe: Recipe) -> tuple[Stem, Signal]:
    """(B, columns) float, NaN if missing, to a vector: scaled, clipped, embedded by `recipe.embedding`."""
    embed: Callable[[Sequence[NumberColumn], Recipe], tuple[nn.Module, int]]
    embed = resolve("embedding", recipe.embedding, NUMBER_EMBEDDINGS)
    embedding, width = embed(columns, recipe)
    gaps = [i for i, column in enumerate(columns) if column.may_miss]
    return Numbers(columns, embedding, width, gaps), Signal("vector", len(columns) * width + len(gaps))


def plain(columns: Sequence[NumberColumn], recipe: Recipe) -> tuple[nn.Module, int]:
    """One unit for each column: its scaled, clipped value."""
    return Plain(), 1


def piecewise(columns: Sequence[NumberColumn], recipe: Recipe) -> tuple[nn.Module, int]:
    """A piecewise-linear function of each number for each unit, bent at quantiles."""
    width = max(1, min(PIECE_WIDTH, NUMBERS_WIDTH // len(columns)))
    most = max(2, ALL_PIECES // len(columns))
    knots = [[(k - c.center) * c.scale for k in _thinned(c.knots, most)] for c in columns]
    return Piecewise(knots, width), width


def periodic(columns: Sequence[NumberColumn], recipe: Recipe) -> tuple[nn.Module, int]:
    """Each number's scaled value and a few learned waves of it."""
    return Periodic(len(columns)), 1 + WAVES_WIDTH


def categories(sizes: Sequence[int], recipe: Recipe) -> tuple[Stem, Signal]:
    """(B, columns) integers, each below its column's size and 0 for unseen, to a vector."""
    module = Categories(sizes)
    return module, Signal("vector", module.width)


def dates(scales: Sequence[float], features: int, recipe: Recipe) -> tuple[Stem, Signal]:
    """(B, columns, features) float to a vector. The first feature is scaled and clipped, the rest are in [-1, 1]."""
    return Dates(scales), Signal("vector", len(scales) * (features + 1))


def tokens(size: int, longest: int, recipe: Recipe) -> tuple[Stem, Signal]:
    """(B, T) integers below `size`, 0 for padding on the right, to a sequence of embeddings."""
    widest = NARROW if size <= FEWEST_TOKENS else recipe.width if size <= FEW_TOKENS else TOKEN_WIDTH
    width = min(recipe.width, widest)
    return Tokens(size, width, recipe.dropout), Signal("sequence", width, (longest,))


def steps(
    centers: Sequence[float], scales: Sequence[float], longest: int, recipe: Recipe, *, may_miss: bool
) -> tuple[Stem, Signal]:
    """(B, T, channels) float, NaN if missing and after the end, to a sequence of scaled, clipped values.

    With gaps in training (`may_miss`), each channel is followed by a unit that marks missing values.
    """
    width = len(centers) * (2 if may_miss else 1)
    return Steps(centers, scales, may_miss), Signal("sequence", width, (longest,))


def pixels(mean: Sequence[float], std: Sequence[float], size: tuple[int, int], recipe: Recipe) -> tuple[Stem, Signal]:
    """(B, C, H, W) of 0 to 255 to a standardized map; `mean` and `std` for each channel, of values in [0, 1]."""
    return Pixels(mean, std), Signal("map", len(mean), size)


def encoded(shape: tuple[int, ...], recipe: Recipe) -> tuple[Stem, Signal]:
    """Columns that are already encoded: (T, W) is a sequence, (C, H, W) a map, the rest is flattened to a vector."""
    if len(shape) == 2:
        return WholeSequence(), Signal("sequence", shape[1], (shape[0],))
    if len(shape) == 3:
        return Floats(), Signal("map", shape[0], shape[1:])
    return Flat(), Signal("vector", int(torch.Size(shape).numel()))


def smooth_clip(x: Tensor) -> Tensor:
    """Nearly x around zero, never beyond +-CLIP: x / sqrt(1 + (x / CLIP)^2), arXiv:2407.04491, section 3."""
    return x * torch.rsqrt(1 + (x / CLIP).square())


@final
class Numbers(Stem):
    """Fills gaps, scales, embeds, and uses a learned vector if a number is missing."""

    def __init__(self, columns: Sequence[NumberColumn], embedding: nn.Module, width: int, gaps: Sequence[int]) -> None:
        super().__init__()
        self.center = _constant(self, "center", [c.center for c in columns])
        self.scale = _constant(self, "scale", [c.scale for c in columns])
        self.gaps = _buffer(self, "gaps", torch.tensor(gaps, dtype=torch.int64))
        self.embedding = embedding
        self.missing = nn.Parameter(torch.zeros(len(columns), width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, columns) to (B, columns * width + columns with gaps)."""
        missing = x.isnan()
        scaled = _scaled(torch.where(missing, self.center, x), self.center, self.scale)
        embedded = torch.where(missing[..., None], self.missing, self.embedding(scaled)).flatten(1)
        return torch.cat([embedded, missing[:, self.gaps].to(embedded.dtype)], dim=1) if len(self.gaps) else embedded


@final
class Plain(nn.Module):
    """Smoothly clipped values."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, columns) scaled to (B, columns, 1)."""
        return smooth_clip(x)[..., None]


@final
class Piecewise(nn.Module):
    """Piecewise-linear encoding and a linear layer for each column, plus a plain linear layer.

    Gorishniy et al. 2022, arXiv:2203.05556, section 3.2, without activation and with a linear shortcut, as in TabM
    (arXiv:2410.24210). The pieces' weights start at zero: training starts with a linear model of each number and bends
    it where that helps.
    """

    def __init__(self, knots: Sequence[Sequence[float]], width: int) -> None:
        super().__init__()
        pieces = max(1, max(len(column) for column in knots) - 1)
        starts, slopes = torch.zeros(len(knots), pieces), torch.zeros(len(knots), pieces)
        for row, column in enumerate(knots):  # pieces that a column lacks keep slope 0, so they are always 0
            edges = torch.tensor(column, dtype=torch.float64)
            starts[row, : max(0, len(edges) - 1)] = edges[:-1].float()
            slopes[row, : max(0, len(edges) - 1)] = (1 / edges.diff()).float().nan_to_num(posinf=0.0)
        self.starts = _buffer(self, "starts", starts)
        self.slopes = _buffer(self, "slopes", slopes)
        self.linear = nn.Parameter(torch.empty(len(knots), width).uniform_(-1, 1))
        self.bias = nn.Parameter(torch.empty(len(knots), width).uniform_(-1, 1))
        self.bends = nn.Parameter(torch.zeros(len(knots), pieces, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, columns) scaled to (B, columns, width)."""
        shares = ((x[..., None] - self.starts) * self.slopes).clamp(0, 1)  # how far x is through each piece
        bent = torch.bmm(shares.transpose(0, 1), self.bends).transpose(0, 1)
        return smooth_clip(x)[..., None] * self.linear + self.bias + bent


@final
class Periodic(nn.Module):
    """The value and a linear layer of learned cosines of it: PBLD, arXiv:2407.04491, section 3."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.randn(columns, FREQUENCIES) * FREQUENCY_SPREAD)
        self.phase = nn.Parameter(torch.empty(columns, FREQUENCIES).uniform_(-torch.pi, torch.pi))
        self.weight = nn.Parameter(torch.randn(columns, FREQUENCIES, WAVES_WIDTH) * FREQUENCIES**-0.5)
        self.bias = nn.Parameter(torch.zeros(columns, WAVES_WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """(B, columns) scaled to (B, columns, 1 + WAVES_WIDTH)."""
        x = smooth_clip(x)[..., None]
        waves = torch.cos(2 * torch.pi * self.frequency * x + self.phase)
        return torch.cat([x, torch.bmm(waves.transpose(0, 1), self.weight).transpose(0, 1) + self.bias], dim=-1)


@final
class Categories(Stem):
    """A unit for each value of small columns, and one table for all columns of a width.

    Index 0, unseen, is a zero vector in both: it says nothing until rare values in training teach it.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        small = [i for i, size in enumerate(sizes) if size <= ONE_HOT]
        middle = [i for i, size in enumerate(sizes) if ONE_HOT < size <= MANY]
        large = [i for i, size in enumerate(sizes) if size > MANY]
        parts: list[nn.Module] = []
        if small:
            parts.append(OneHot(small, [sizes[i] for i in small]))
        if middle:
            parts.append(Lookup(middle, [sizes[i] for i in middle], CATEGORY_WIDTH))
        if large:
            parts.append(Lookup(large, [sizes[i] for i in large], MANY_WIDTH))
        self.parts = nn.ModuleList(parts)
        self.width = sum(sizes[i] - 1 for i in small) + CATEGORY_WIDTH * len(middle) + MANY_WIDTH * len(large)

    def lookup(self, x: Tensor) -> Tensor:
        """(B, columns) indexes to (B, width)."""
        return x if x.is_floating_point() else torch.cat([part(x.long()) for part in self.parts], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, columns) indexes, or the result of `lookup`, to (B, width)."""
        return self.lookup(x)


@final
class OneHot(nn.Module):
    """A unit for each index but 0, for some columns, side by side."""

    def __init__(self, columns: Sequence[int], sizes: Sequence[int]) -> None:
        super().__init__()
        self.columns = _constant(self, "columns", list(columns))
        column = [i for i, size in zip(columns, sizes, strict=True) for _ in range(1, size)]
        self.column = _constant(self, "column", column)
        self.index = _constant(self, "index", [k for size in sizes for k in range(1, size)])

    def forward(self, x: Tensor) -> Tensor:
        """(B, columns) int64 to (B, sum of sizes - 1)."""
        return (x[:, self.column] == self.index).to(torch.get_default_dtype())


@final
class Lookup(nn.Module):
    """Embeddings of some columns from one table."""

    def __init__(self, columns: Sequence[int], sizes: Sequence[int], width: int) -> None:
        super().__init__()
        offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.columns = _constant(self, "columns", list(columns))
        self.offsets = _buffer(self, "offsets", offsets)
        self.table = _embedding(sum(sizes), width)
        with torch.no_grad():
            self.table.weight[offsets] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, columns) int64 to (B, len(columns) * width)."""
        return self.table(x[:, self.columns] + self.offsets).flatten(1)


@final
class Dates(Stem):
    """Days scaled and clipped, phases unchanged, and a unit that says whether the date is missing."""

    def __init__(self, scales: Sequence[float]) -> None:
        super().__init__()
        self.scale = _constant(self, "scale", list(scales))

    def forward(self, x: Tensor) -> Tensor:
        """(B, columns, features) to (B, columns * (features + 1))."""
        missing = x.isnan()
        x = torch.where(missing, 0.0, x)
        days = smooth_clip(_scaled(x[..., :1], 0.0, self.scale[:, None]))
        return torch.cat([days, x[..., 1:], missing[..., :1].to(x.dtype)], dim=-1).flatten(1)


@final
class Tokens(Stem):
    """Embeds tokens."""

    is_sequence: ClassVar[bool] = True

    def __init__(self, size: int, width: int, dropout: float) -> None:
        super().__init__()
        self.table = _embedding(size, width)
        self.dropout = Dropout(dropout)

    def lookup(self, x: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, width)."""
        return x if x.is_floating_point() else self.table(x.int() if x.dtype != torch.int64 else x)

    def lengths(self, x: Tensor) -> Tensor:
        """(B,): tokens up to the last that is not 0."""
        return row_lengths(x != 0)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) tokens, or the result of `lookup`, to (B, T, width), and the lengths (B,)."""
        return self.dropout(self.lookup(x)), lengths


@final
class Steps(Stem):
    """Scales and clips each channel, and fills gaps with the median."""

    is_sequence: ClassVar[bool] = True

    def __init__(self, centers: Sequence[float], scales: Sequence[float], may_miss: bool) -> None:
        super().__init__()
        self.center = _constant(self, "center", list(centers))
        self.scale = _constant(self, "scale", list(scales))
        self.may_miss = may_miss

    def lengths(self, x: Tensor) -> Tensor:
        """(B,): steps up to the last with a value."""
        return row_lengths(~x.isnan().all(2))

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, channels) to (B, T, width), and the lengths (B,)."""
        missing = x.isnan()
        x = smooth_clip(_scaled(torch.where(missing, self.center, x), self.center, self.scale))
        return (torch.cat([x, missing.to(x.dtype)], dim=2) if self.may_miss else x), lengths


@final
class Pixels(Stem):
    """Standardizes each channel, in the memory layout that is fastest for convolutions."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        factor = 1 / (255 * torch.tensor(std, dtype=torch.float64))
        shift = -torch.tensor(mean, dtype=torch.float64) * 255 * factor
        self.factor = _buffer(self, "factor", factor.float()[:, None, None])
        self.shift = _buffer(self, "shift", shift.float()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) uint8 or float, 0 to 255, to the same shape, channels last in memory."""
        x = x.contiguous(memory_format=torch.channels_last)  # bytes move faster than floats
        return x.to(self.factor.dtype) * self.factor + self.shift


@final
class Floats(Stem):
    """Encoded values as floats."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return self.lookup(x)


@final
class Flat(Stem):
    """Encoded values of any shape as a vector of floats."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) to (B, width)."""
        return self.lookup(x.reshape(len(x), -1))


@final
class WholeSequence(Stem):
    """Encoded sequences, all of full length."""

    is_sequence: ClassVar[bool] = True

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, width) and the lengths (B,)."""
        return self.lookup(x), lengths


def _scaled(x: Tensor, center: Tensor | float, scale: Tensor) -> Tensor:
    return ((x - center) * scale).clamp(-FAR, FAR)


def _buffer(module: nn.Module, name: str, values: Tensor) -> Tensor:
    """A constant that moves with the module. It is not a weight and comes from the schema, so it is not saved."""
    module.register_buffer(name, values, persistent=False)
    return values


def _constant(module: nn.Module, name: str, values: Sequence[float]) -> Tensor:
    return _buffer(module, name, torch.tensor(values))


def _embedding(size: int, width: int) -> nn.Embedding:
    """Rows with a norm of about one, for any width."""
    table = nn.Embedding(size, width)
    nn.init.normal_(table.weight, std=width**-0.5)
    return table


def _thinned(knots: tuple[float, ...], most: int) -> tuple[float, ...]:
    """At most `most` pieces: evenly chosen knots, including both ends."""
    pieces = len(knots) - 1
    return knots if pieces <= most else tuple(knots[round(i * pieces / most)] for i in range(most + 1))
