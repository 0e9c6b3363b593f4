"""Masks: images whose pixel values are class numbers. Targets only."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.kinds.cells import array_shape, refuse_detail, unreadable
from netwright.kinds.markup import shaded
from netwright.kinds.picture_files import BROKEN, content_of, opened, reason
from netwright.machine.quiet import without_warnings
from netwright.records.errors import DataError, counted, listed
from netwright.records.recipe import Recipe
from netwright.records.schema import Field, Signal

IGNORED = 255  # the value of pixels without a label: Pascal VOC's, and every library's since
LONGEST = 256  # pixels: longer sides are shrunk to it, so a thousand masks stay below 64 MB

_FILES = r"(?i)\.(?:png|bmp|gif|tiff?|jpe?g|webp|pgm)$"


@final
@dataclass(frozen=True)
class Mask(Field):
    """Encoded as (N, H, W) uint8 positions in `values`, 255 for ignored pixels and unreadable masks.

    Cells are grey or palette images, or arrays; 255 is ignored. If masks have only the values 0 and 255, they are black
    and white, and both are classes. `counts` are the training pixels of each value. Masks are resized to `size`
    (height, width) by the nearest pixel.
    """

    values: tuple[int, ...]
    size: tuple[int, int]
    counts: tuple[int, ...] = ()

    kind: ClassVar[str] = "mask"
    is_input: ClassVar[bool] = False
    seen_as: ClassVar[str] = "mask"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Paths that end like image files, encoded files, or arrays of two or three axes."""
        if isinstance(cells.dtype, pl.Array):
            return len(array_shape(cells)) in (2, 3)
        if cells.dtype != pl.String:
            return cells.dtype == pl.Binary
        known = cells.drop_nulls()
        return len(known) > 0 and bool(known.str.contains(_FILES).all())

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """The classes, their pixels and the (median) size. `encode` reports masks that cannot be read.

        Raises DataError if no mask can be read, or if all have only one class.
        """
        refuse_detail(cls.kind, name, detail)
        counts, sizes, reasons = np.zeros(256, dtype=np.int64), list[tuple[int, int]](), list[str]()
        for cell in _cells(cells):
            try:
                mask = _read(cell)
            except ValueError as error:
                reasons.append(str(error))
                continue
            counts += np.bincount(mask.ravel(), minlength=256)
            sizes.append((mask.shape[0], mask.shape[1]))
        if not sizes:
            first = f": the first, {reasons[0]}" if reasons else ""
            raise DataError(f"{name!r} has no readable mask{first}", remedy="choose another target.")
        present = [int(value) for value in np.flatnonzero(counts)]
        values = present if present == [0, IGNORED] else [value for value in present if value != IGNORED]
        if len(values) < 2:
            held = listed([str(value) for value in values]) or "no labelled pixel"
            raise DataError(
                f"the masks of {name!r} have only one class ({held})",
                remedy="add masks with pixels of another class.",
            )
        return cls.of(name, tuple(values), _usual(sizes), tuple(int(counts[value]) for value in values))

    @classmethod
    def of(cls, name: str, values: tuple[int, ...], size: tuple[int, int], counts: tuple[int, ...] = ()) -> Self:
        """A target column with these classes and this size."""
        return cls(name, 0.0, float(IGNORED), 0.0, values, size, counts, role="target")

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, H, W) uint8. Raises Unreadable for masks that cannot be read or have unknown values."""
        encoded = np.full((len(cells), *self.size), IGNORED, dtype=np.uint8)
        bad: dict[int, str] = {}
        for row, cell in enumerate(_cells(cells)):
            try:
                encoded[row] = self._positions(_resized(_read(cell), self.size))
            except ValueError as error:
                bad[row] = str(error)
        tensor = torch.from_numpy(encoded)
        if bad:
            raise unreadable(
                f"{cells.name!r} has no readable mask",
                next(iter(bad.values())),
                "leave these rows out, or save the masks as grey or palette images of class numbers.",
                (tensor,),
                bad,
            )
        return tensor

    def decode(self, encoded: Tensor) -> pl.Series:
        """Arrays (H, W) of the pixel values that the training masks use."""
        values = np.full(256, IGNORED, dtype=np.uint8)
        values[: len(self.values)] = self.values
        return pl.Series(self.name, values[encoded.cpu().numpy()], dtype=pl.Array(pl.UInt8, self.size))

    @classmethod
    def stem(cls, fields: tuple[Any, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """Raises DataError: masks cannot be inputs."""
        raise DataError("a mask is a target, not an input", remedy="choose the kind image.")

    def describe(self) -> str:
        """`masks 32 x 32 of 3 classes`, width first, as usual."""
        return f"masks {self.size[1]} x {self.size[0]} of {counted(len(self.values), 'class', 'classes')}"

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """Its size and its values, or why it cannot be read."""
        try:
            mask = _read(cell)
        except ValueError as error:
            return shaded(str(error))
        return shaded(f"{mask.shape[1]} x {mask.shape[0]} of {listed([str(value) for value in np.unique(mask)])}")

    def _positions(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        places = np.full(256, -1, dtype=np.int64)
        places[IGNORED] = IGNORED
        places[list(self.values)] = np.arange(len(self.values))
        found = places[mask]
        if found.min() < 0:
            raise ValueError(f"which has the value {int(mask[found < 0].min())}, unknown from training")
        return found.astype(np.uint8)


def _cells(column: pl.Series) -> Iterable[object]:
    return column.to_numpy() if isinstance(column.dtype, pl.Array) else column


def _read(cell: object) -> NDArray[np.uint8]:
    """A mask's pixel values, (H, W). Raises ValueError with what is wrong."""
    if cell is None:
        raise ValueError("which is missing")
    pixels = _opened(cell) if isinstance(cell, str | bytes) else np.asarray(cell)
    if pixels.ndim == 3 and 1 in (pixels.shape[0], pixels.shape[-1]):
        pixels = pixels.squeeze(0 if pixels.shape[0] == 1 else -1)
    if pixels.ndim != 2:
        raise ValueError("which is a color image: class numbers are grey values or palette indexes")
    if pixels.size == 0 or pixels.min() < 0 or pixels.max() > IGNORED or (pixels != np.floor(pixels)).any():
        raise ValueError("whose values are not whole numbers from 0 to 255")
    return pixels.astype(np.uint8)


def _opened(cell: str | bytes) -> NDArray[np.generic]:
    where = cell if isinstance(cell, str) else f"encoded in {len(cell)} bytes"
    try:
        with without_warnings(), opened(content_of(cell)) as image:  # of pillow: it is read, or refused
            return np.asarray(image)
    except BROKEN as error:
        raise ValueError(f"{where}, which is not a complete image ({reason(error)})") from None


def _resized(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixel nearest to each new pixel's center: class numbers cannot be averaged."""
    if mask.shape == size:
        return mask
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64) for new, old in zip(size, mask.shape, strict=True)
    )
    return mask[rows[:, None], columns]


def _usual(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """The median height and width, shrunk to LONGEST with the same aspect ratio."""
    height, width = np.median(np.array(sizes), axis=0)
    shrink = min(1.0, LONGEST / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))
