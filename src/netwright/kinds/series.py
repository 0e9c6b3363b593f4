"""Sensor and time series: several channels measured step by step."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.kinds import features
from netwright.kinds.cells import Values, array_shape, leaf, read_longest, refuse_cells, refuse_missing, robust, stacked
from netwright.kinds.markup import figure, polylines, shaded, share
from netwright.kinds.padded import padded
from netwright.kinds.summaries import of_steps
from netwright.models.sequences import row_lengths
from netwright.models.stems import steps
from netwright.records.errors import DataError, counted
from netwright.records.features import ALL, Features, Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Odd, Signal
from netwright.records.threat import Reach, Way

MOST_SERIES = 0.995  # share of training series that are read in full, if a few are far longer than the rest
FAR_LONGER = 1.5  # times the length of the rest
LONGEST = 4096  # steps read at most by default: longer series need windows
INVISIBLE = 0.1  # of the smallest channel's robust scale


@final
@dataclass(frozen=True)
class Series(Field):
    """Encoded as float32 (N, longest, channels) in the channels' own units; NaN if missing and after the end.

    Cells are structs of equally long lists (a channel each), lists of numbers (one channel), or arrays (T, channels).
    """

    channels: tuple[str, ...]
    centers: tuple[float, ...]  # median of each channel
    scales: tuple[float, ...]  # factor of each channel to a spread of about one
    longest: int  # steps; longer series are cut, in prediction too
    shortest: int  # in training
    cut: float  # share of training series that are longer
    gaps: float  # share of values missing before the end of their series

    kind: ClassVar[str] = "series"
    family: ClassVar[Family] = "steps"
    seen_as: ClassVar[str] = "series"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Lists of numbers, structs of them, and float arrays (T, channels) that are not square like images."""
        if isinstance(cells.dtype, pl.Struct):
            return all(isinstance(f.dtype, pl.List) and leaf(f.dtype).is_numeric() for f in cells.dtype.fields)
        if isinstance(cells.dtype, pl.List):
            return not isinstance(cells.dtype.inner, pl.List) and leaf(cells.dtype).is_numeric()
        shape = array_shape(cells)
        return len(shape) == 2 and shape[0] != shape[1] and leaf(cells.dtype).is_float()

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """Channels, their scale, and the length. `detail` is the greatest length in steps."""
        chosen = read_longest(cls.kind, name, detail)
        channels = _channels(name, cells)
        lengths = _lengths(cells)
        longest = chosen or _usual_longest(lengths)
        values = _encode(cells, channels, longest)
        finite = [column[np.isfinite(column)].astype(np.float64) for column in np.moveaxis(values, 2, 0)]
        scaling = [robust(column) if len(column) else (0.0, 0.0) for column in finite]
        present = np.concatenate(finite)
        if not len(present):
            raise DataError(f"column {name!r} has no values in any series", remedy=f"remove the column {name!r}.")
        scales = tuple(scale for _, scale in scaling)
        return cls(
            name=name,
            low=float(present.min()),
            high=float(present.max()),
            reach=INVISIBLE / max(scales) if any(scales) else 0.0,
            channels=channels,
            centers=tuple(center for center, _ in scaling),
            scales=scales,
            longest=longest,
            shortest=int(lengths.min()),
            cut=float((lengths > longest).mean()),
            gaps=_share_missing(values),
        )

    def channel_names(self) -> tuple[str, ...]:
        """The channels."""
        return self.channels

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, longest, channels) float32. Raises DataError if channels are missing."""
        if cells.dtype == pl.Null:
            return torch.full((len(cells), self.longest, len(self.channels)), torch.nan)
        channels = _channels(self.name, cells)
        if isinstance(cells.dtype, pl.Struct):
            absent = [channel for channel in self.channels if channel not in channels]
            if absent:
                raise DataError(
                    f"column {self.name!r}: the series have no channel {absent[0]!r}",
                    remedy=f"give all channels: {', '.join(self.channels)}.",
                )
        elif len(channels) != len(self.channels):
            raise DataError(
                f"column {self.name!r}: the series have {counted(len(channels), 'channel')}, not {len(self.channels)}",
                remedy=f"give the channels {', '.join(self.channels)}.",
            )
        return refuse_missing(self, cells, torch.from_numpy(_encode(cells, self.channels, self.longest)))

    def lengths(self, encoded: Tensor) -> Tensor | None:
        """Up to the last step with a value."""
        return row_lengths(~encoded.isnan().all(2))

    def odd(self, cells: pl.Series) -> tuple[Odd, ...]:
        """Series that are cut."""
        there = cells.is_not_null()
        steps = pl.Series([0] * len(cells), dtype=pl.Int64).scatter(there.arg_true(), _lengths(cells))
        return (Odd(f"are longer than {counted(self.longest, 'step')}: cut", steps > self.longest),)

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """Scaled and clipped channels: a sequence."""
        field = fields[0]
        return steps(field.centers, field.scales, field.longest, recipe, may_miss=field.gaps > 0)

    @classmethod
    def way(cls, fields: tuple[Self, ...], reach: Reach) -> Way:
        """Every value, each channel by its own scale: noise as a sensor has it."""
        (field,) = fields
        own = [INVISIBLE / scale if scale else 0.0 for scale in field.scales]
        unit = [reach.unit(field.name, field.low, field.high, one) for one in own]
        return Way(torch.tensor(unit), field.low, field.high)

    def describe(self) -> str:
        """`series of 7 to 29 steps of 12 channels`."""
        lengths = f"{self.shortest} to {self.longest}" if self.shortest < self.longest else f"{self.longest}"
        parts = [f"series of {lengths} steps of {counted(len(self.channels), 'channel')}"]
        if self.cut:
            parts.append(f"{share(self.cut)} longer and cut")
        if self.gaps:
            parts.append(f"{share(self.gaps)} of the values missing")
        return ", ".join(parts) + f", values {figure(self.low)} to {figure(self.high)}"

    @classmethod
    def features(cls, fields: tuple[Self, ...], cells: Tensor, most: int = ALL) -> Features:
        """Mean, spread, ends of each channel, and the length."""
        return features.statistics(cells)

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """Length, gaps, mean, spread and ends of each channel."""
        return tuple(of_steps(fields[0].name, cells, fields[0].channels))

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """A line for each channel, on a background shaded by the attribution (longest, channels) of each step."""
        if cell is None:
            return shaded("missing")
        if isinstance(cell, dict):
            struct = pl.Struct({channel: pl.List(pl.Float32) for channel in self.channels})
            cells = pl.Series([cell], dtype=struct, strict=False)
        else:
            cells = pl.Series(np.asarray(cell)[None])
        return polylines(self.encode(cells)[0], attribution, self.channels)


def _channels(name: str, cells: pl.Series) -> tuple[str, ...]:
    """The names of the channels. Raises DataError for cells that are not series."""
    if isinstance(cells.dtype, pl.Struct) and Series.matches(cells):
        return tuple(channel.name for channel in cells.dtype.fields)
    if isinstance(cells.dtype, pl.List) and Series.matches(cells):
        return (name,)
    shape = array_shape(cells)
    if len(shape) in (1, 2) and leaf(cells.dtype).is_numeric():
        return tuple(f"{name} {i}" for i in range(shape[1])) if len(shape) == 2 else (name,)
    raise refuse_cells(Series.kind, name, cells, "lists of numbers, structs of such lists, or arrays (steps, channels)")


def _lengths(cells: pl.Series) -> NDArray[np.int64]:
    """Steps of each series that is not missing."""
    present = cells.drop_nulls()
    if shape := array_shape(cells):
        return np.full(len(present), shape[0])
    lists = present.struct.unnest().get_columns() if isinstance(cells.dtype, pl.Struct) else [present]
    return np.stack([column.list.len().fill_null(0).to_numpy() for column in lists]).max(0).astype(np.int64)


def _usual_longest(lengths: NDArray[np.int64]) -> int:
    if not len(lengths):
        return 1
    greatest, usual = int(lengths.max()), int(np.quantile(lengths, MOST_SERIES, method="lower"))
    return max(1, min(usual if greatest > FAR_LONGER * usual else greatest, LONGEST))


def _encode(cells: pl.Series, channels: tuple[str, ...], longest: int) -> Values:
    """(N, longest, channels) float32."""
    if isinstance(cells.dtype, pl.Struct):
        values = np.stack([_padded(cells.struct.field(channel), longest) for channel in channels], axis=2)
    elif isinstance(cells.dtype, pl.List):
        values = _padded(cells, longest)[:, :, None]
    else:
        arrays, rows = stacked(cells)
        values = np.full((len(cells), longest, len(channels)), np.nan, dtype=np.float32)
        values[rows, : arrays.shape[1]] = arrays.reshape(*arrays.shape[:2], len(channels))[:, :longest]
    np.copyto(values, np.nan, where=np.isinf(values))
    return values


def _padded(lists: pl.Series, longest: int) -> Values:
    heads = lists.list.head(longest).cast(pl.List(pl.Float32))
    lengths = heads.list.len().fill_null(0).to_numpy()
    return padded(heads.filter(lengths > 0).explode().to_numpy(), lengths, longest, blank=np.nan)


def _share_missing(values: Values) -> float:
    """Among the values before the end of their series."""
    has_values = np.asarray(~np.isnan(values).all(axis=2))
    is_inside = np.maximum.accumulate(has_values[:, ::-1], axis=1)[:, ::-1]
    return float(np.isnan(values[is_inside]).mean()) if is_inside.any() else 0.0
