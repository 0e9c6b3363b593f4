"""What the columns hold: one Field for each input column, learned from training rows only."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, ClassVar, Literal, Self

import polars as pl
import torch
from torch import Tensor, nn

from netwright.records.errors import DataError
from netwright.records.features import ALL, Features, Matrix, Summary, moments, scaled, side_by_side
from netwright.records.recipe import Recipe
from netwright.records.threat import FIXED, Reach, Way

Form = Literal["vector", "map", "sequence"]
Family = Literal["numbers", "labels", "dates", "text", "symbols", "pictures", "steps", ""]
"""How a person sees the cells, whatever their kind; empty for none of these."""
THINGS = {"text": "texts", "symbols": "sequences", "pictures": "pictures", "steps": "series"}


@dataclass(frozen=True)
class Signal:
    """The shape of what flows between modules, without the batch.

    vector    (B, width)                        modules are called as m(x)
    map       (B, width, *size), size = (H, W)  m(x)
    sequence  (B, T, width), size = (longest T seen in training,)   m(x, lengths) with lengths (B,) int64, at least 1

    A sequence module also returns (x, lengths), with the lengths of its output. Padding is on the right; its values
    are undefined.
    """

    form: Form
    width: int
    size: tuple[int, ...] = ()

    def __str__(self) -> str:
        return " x ".join(str(n) for n in (self.width, *self.size)) + f" {self.form}"


@dataclass(frozen=True)
class Odd:
    """Cells of new rows that are not read as training read its own."""

    claim: str  # what they are, and what becomes of them: "are not numbers: read as missing"
    cells: pl.Series  # which: a mask
    is_lost: bool = False  # whether nothing of them reaches the network


@dataclass(frozen=True)
class Field(ABC):
    """One column, read into tensors that mean the same to people and to the network.

    Encoded values are raw (pixels 0 to 255, numbers in their own units). Scaling belongs to the network's stem, so
    attacks and explanations see what a person sees.
    """

    name: str
    low: float  # bounds of the encoded values; missing numbers are NaN and within bounds
    high: float
    reach: float  # a change too small to matter to a person, in encoded units; 0 if no change is small
    role: Literal["input", "target"] = field(default="input", kw_only=True)
    """In an input, missing is a value; in a target, missing and unseen cells are unreadable."""

    kind: ClassVar[str]  # the key in KINDS
    family: ClassVar[Family] = ""
    is_input: ClassVar[bool] = True  # whether a network can take such a column; only such kinds are recognized
    joins: ClassVar[bool] = False  # columns of this kind are joined into one tensor (B, columns, ...)
    decoder: ClassVar[str] = ""  # if cells may be paths of files: the version of what reads them, else empty
    decided_by: ClassVar[tuple[str, ...]] = ()  # attributes that, with the decoder, decide how a file is encoded
    seen_as: ClassVar[str]  # what is printed after a column's name: "number", "text"

    @staticmethod
    @abstractmethod
    def matches(cells: pl.Series) -> bool:
        """Whether raw cells look like this kind. The first match in the order of KINDS wins."""

    @classmethod
    @abstractmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """A field from training cells. `detail` is what the user wrote after the kind: `--kind photo=image:64`."""

    def lengths(self, encoded: Tensor) -> Tensor | None:
        """(B,) int64, at least 1: steps of each row before its padding; None if the kind has no steps."""
        return None

    def channel_names(self) -> tuple[str, ...]:
        """Names of what each step measures, if steps have several numbers."""
        return ()

    def known_tokens(self) -> tuple[str, ...]:
        """The words or symbols of encoded tokens from 2 on (0 is padding, 1 unknown), if it has any."""
        return ()

    @abstractmethod
    def encode(self, cells: pl.Series) -> Tensor:
        """A whole column at once, vectorized: (N, *shape). Compact types: uint8 pixels, int tokens, float32 numbers.

        Unseen categories and missing values are encoded as such. Raises `Unreadable` if cells cannot be read.
        """

    def odd(self, cells: pl.Series) -> tuple[Odd, ...]:
        """New cells that are unreadable, unseen, cut, or written otherwise than in training; none by default."""
        return ()

    @property
    def as_written(self) -> bool:
        """Whether the cells of a text file must stay text until this field reads them."""
        return False

    @classmethod
    @abstractmethod
    def stem(cls, fields: tuple[Any, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:  # Any: final classes say Self
        """The first module: scales or embeds the encoded tensor. One field, or all joined fields of the kind."""

    def decode(self, encoded: Tensor) -> pl.Series:
        """Cells of encoded rows, in the form of answers. Raises DataError if the kind cannot be written."""
        raise DataError(f"cannot write columns of kind {self.kind}", remedy="choose another kind of target.")

    def said(self, encoded: Tensor) -> str:
        """An encoded cell in words, as plain text: whoever shows it escapes it. By default only its size."""
        return f"{self.seen_as} of {' x '.join(map(str, encoded.shape)) or 1} values"

    def contrasted(self, before: Tensor, after: Tensor) -> tuple[str, str]:
        """Two encoded cells in words; if these are the same, the second says by how much values changed at most."""
        said, now = self.said(before), self.said(after)
        if said != now:
            return said, now
        most = float((after.float() - before.float()).abs().nan_to_num().max())
        return said, f"values changed by at most {most:.6g}; the column ranges from {self.low:.6g} to {self.high:.6g}"

    @classmethod
    def way(cls, fields: tuple[Any, ...], reach: Reach) -> Way:
        """How an adversary can change encoded rows of a block; by default not at all."""
        return FIXED

    @classmethod
    def features(cls, fields: tuple[Any, ...], cells: Tensor, most: int = ALL) -> Features:
        """Columns of a block for simple models, about `most`, learned from encoded training cells.

        By default the values, flattened and scaled.
        """
        return scaled(cells)

    @classmethod
    def summary(cls, fields: tuple[Any, ...], cells: Tensor) -> tuple[Summary, ...]:
        """Encoded rows of a block as a few columns that a person can name; drift and audits compare them.

        By default the mean, spread, least and greatest of each row's values.
        """
        flat = cells.flatten(1).float()
        return tuple(moments(fields[0].name, fields[0].name, flat, ~flat.isnan()))

    @abstractmethod
    def describe(self) -> str:
        """What was learned, in a few words: `numbers 17 to 90, 3 % missing`."""

    @abstractmethod
    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """A cell as escaped HTML for reports, shaded by its attribution if there is one."""


@dataclass(frozen=True)
class Block:
    """Fields that share one input tensor of the network."""

    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """The column's name, or the kind's plural if columns are joined."""
        return self.fields[0].name if len(self.fields) == 1 else f"{len(self.fields)} x {self.fields[0].seen_as}"

    def encode(self, table: pl.DataFrame) -> Tensor:
        """(N, *shape) for one field that does not join, (N, columns, *shape) for fields that do."""
        if not self.fields[0].joins:
            return self.fields[0].encode(table[self.fields[0].name])
        return torch.stack([field.encode(table[field.name]) for field in self.fields], dim=1)

    def features(self, cells: Tensor, most: int = ALL) -> Features:
        """This block's columns for simple models."""
        return type(self.fields[0]).features(self.fields, cells, most)

    def summary(self, cells: Tensor) -> tuple[Summary, ...]:
        """This block's rows as a few columns that a person can name."""
        return type(self.fields[0]).summary(self.fields, cells)

    def way(self, reach: Reach) -> Way:
        """How an adversary can change this block's tensor."""
        return type(self.fields[0]).way(self.fields, reach)

    def stem(self, recipe: Recipe) -> tuple[nn.Module, Signal]:
        """The module that takes this block's tensor."""
        return type(self.fields[0]).stem(self.fields, recipe)


@dataclass(frozen=True)
class Schema:
    """All input columns, in the order of the data."""

    inputs: tuple[Field, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The network's inputs: joined fields by kind, then every other field alone."""
        joined = sorted((f for f in self.inputs if f.joins), key=lambda f: f.kind)  # stable: keeps the columns' order
        groups = [Block(tuple(fields)) for _, fields in groupby(joined, key=lambda f: f.kind)]
        return (*groups, *(Block((f,)) for f in self.inputs if not f.joins))

    @property
    def things(self) -> str:
        """What a person calls the examples: pictures, texts, ...; rows if they have several columns."""
        return THINGS.get(self.inputs[0].family, "rows") if len(self.inputs) == 1 else "rows"

    def features(self, inputs: Sequence[Tensor], most: int = ALL) -> Callable[[Sequence[Tensor]], Matrix]:
        """Turns encoded columns into a matrix (N, width) for simple models; learned from encoded training rows.

        Each kind has about `most` columns.
        """
        parts = [block.features(x, most) for block, x in zip(self.blocks, inputs, strict=True)]
        return lambda columns: side_by_side([read(x) for read, x in zip(parts, columns, strict=True)])

    def encode(self, table: pl.DataFrame) -> tuple[Tensor, ...]:
        """One tensor for each block."""
        return tuple(block.encode(table) for block in self.blocks)
