"""Pictures in files and arrays as pixels of one size."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import polars as pl
import torch
from PIL import Image as PIL
from PIL import ImageOps
from torch import nn

from netwright.kinds.cells import Values, array_shape, leaf, refuse_cells, stacked
from netwright.kinds.picture_files import BROKEN, content_of, deep_values, opened, reason
from netwright.machine.quiet import without_warnings

DEPTHS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # white in files of 8 to 16 bits: cameras of 12 bits fill 16
MOST_DEEP = 64  # files of more than eight bits, that are decoded to see which values they use
BRIGHT = 128  # a float column with a greatest value from this to 255 holds pixels of 0 to 255
BLOCK = 16  # images that a thread takes at once: a block of large ones is enough for many threads
CHANNELS = (1, 3, 4)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as pillow makes color grey


Levels = tuple[float, float]
"""The raw values that mean black and white."""


def pixels_of(
    cells: pl.Series, size: tuple[int, int], channels: int, levels: Levels | None
) -> tuple[Values, dict[int, str]]:
    """(N, channels, *size) uint8, zeros if a cell cannot be read, and the reasons by position.

    `levels` count for arrays, and for files of more than eight bits; None: each file's own.
    """
    if array_shape(cells):
        return _of_arrays(cells, size, channels, levels or bounds(cells))
    out = np.zeros((len(cells), channels, *size), dtype=np.uint8)
    blocks = [range(start, min(start + BLOCK, len(cells))) for start in range(0, len(cells), BLOCK)]

    def fill(rows: range) -> list[tuple[int, str]]:
        return list(_fill(out, cells, rows, levels))

    with without_warnings():
        if len(blocks) == 1:
            return out, dict(fill(blocks[0]))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return out, dict(chain.from_iterable(threads.map(fill, blocks)))


def _fill(out: Values, cells: pl.Series, rows: range, levels: Levels | None) -> Iterable[tuple[int, str]]:
    """Decodes some rows in place; yields the unreadable ones, with the reason."""
    _, channels, height, width = out.shape
    for row, cell in zip(rows, cells[rows.start : rows.stop], strict=True):
        try:
            out[row] = _decode(cell, "L" if channels == 1 else "RGB", (width, height), levels)
        except BROKEN as error:
            yield row, reason(error)


def _decode(cell: str | bytes | None, mode: str, size: tuple[int, int], levels: Levels | None) -> Values:
    """(channels, height, width) uint8 of one file, as a person sees it. `size` is (width, height)."""
    shown = _open(cell, mode, max(size), levels)
    if shown.size != size:
        shown = shown.resize(size, PIL.Resampling.BILINEAR)
    return np.atleast_3d(np.asarray(shown)).transpose(2, 0, 1)


def _open(cell: str | bytes | None, mode: str, side: int, levels: Levels | None) -> PIL.Image:
    """One file as a person sees it, in its own proportions; both sides are above `side` if they are in the file."""
    content = content_of(cell)
    with opened(content) as file:
        if (values := deep_values(content, file)) is not None:
            return _flattened(_shown(values, levels), mode)
        if min(file.size) > 2 * side:
            file.draft(mode, (2 * side, 2 * side))  # JPEG decodes to a half, a quarter, an eighth several times faster
        ImageOps.exif_transpose(file, in_place=True)  # copying each image took a seventh of the time for small ones
        return _flattened(file, mode)


def deep_levels(cells: pl.Series) -> Levels | None:
    """Black and white of files of more than eight bits, by the values that they use; None if there are none.

    Whole numbers fill one of DEPTHS: a microscope of 12 bits writes 0 to 4095 into 16. Floats as in arrays.
    """
    spans, whole = list[Levels](), True
    with without_warnings():
        for cell in cells:
            try:
                content = content_of(cell)
                with opened(content) as file:
                    if (values := deep_values(content, file)) is not None:
                        whole &= values.dtype.kind in "iu"
                        values = values[..., :3] if values.ndim == 3 else values[np.isfinite(values)]
                        spans += [(float(values.min()), float(values.max()))] if values.size else []
            except BROKEN:
                continue  # reported when the column is encoded
            if len(spans) == MOST_DEEP:
                break
    if not spans:
        return None
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    depth = next((depth for depth in DEPTHS if high <= depth), None)
    return (0.0, depth) if whole and low >= 0 and depth else _levels(low, high)


def _scaled(values: Values, levels: Levels) -> Values:
    """uint8 from any numbers."""
    black, white = levels
    return ((np.nan_to_num(values) - black) * (255 / (white - black))).clip(0, 255).round().astype(np.uint8)


def _shown(values: Values, levels: Levels | None) -> PIL.Image:
    """A picture of more than eight bits, or of floats, as one of bytes. Opacity is of 65535."""
    own = 65535.0 if values.dtype.kind in "iu" else 1.0 if np.nan_to_num(values).max() <= 1 else 255.0
    black_and_white = levels or (0.0, own)
    if values.ndim == 2:
        return PIL.fromarray(_scaled(values.astype(np.float32), black_and_white))
    possible = np.arange(1 << 16)  # a table takes no floats for each of 80 million pixels
    colors = _scaled(possible, black_and_white)[values[..., :3]]
    return PIL.fromarray(np.concatenate([colors, _scaled(possible, (0.0, 65535.0))[values[..., 3:]]], axis=2))


def _flattened(image: PIL.Image, mode: str) -> PIL.Image:
    """Without transparency or palette: in mode "L" or "RGB"."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = PIL.new("RGBA", image.size, "white")
        image = PIL.alpha_composite(ground, image)
    return image if image.mode == mode else image.convert(mode)


def _of_arrays(cells: pl.Series, size: tuple[int, int], channels: int, levels: Levels) -> tuple[Values, dict[int, str]]:
    arrays, present = stacked(cells)
    shape = array_shape(cells)
    images = arrays[:, None] if len(shape) == 2 else arrays
    if len(shape) == 3 and shape[2] in CHANNELS:
        images = arrays.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8:
        images = _scaled(images, levels)
    images = _as_channels(images, channels)
    if images.shape[2:] != size:
        smooth = nn.functional.interpolate(
            torch.tensor(images, dtype=torch.float32), size, mode="bilinear", antialias=True
        )
        images = smooth.round().clamp(0, 255).byte().numpy()
    if present.all():
        return np.ascontiguousarray(images).copy() if not images.flags.writeable else np.ascontiguousarray(images), {}
    out = np.zeros((len(cells), channels, *size), dtype=np.uint8)
    out[present] = images
    return out, {int(row): "the cell is empty" for row in np.flatnonzero(~present)}


def _as_channels(images: Values, channels: int) -> Values:
    """(N, 1, 3 or 4, H, W) as grey or color; transparent pixels become white."""
    if images.shape[1] == 4:
        share = images[:, 3:].astype(np.float32) / 255
        images = (images[:, :3] * share + 255 * (1 - share)).round().astype(np.uint8)
    if images.shape[1] == 1 or images.shape[1] == channels:
        return np.repeat(images, channels, axis=1) if images.shape[1] < channels else images
    return np.tensordot(images, _LUMA, axes=(1, 0)).round().astype(np.uint8)[:, None]


def viewer(column: pl.Series) -> Callable[[pl.Series, int], PIL.Image | None]:
    """Shows one cell (a series of one) as a person sees it, in color and proportion, with no side above the limit.

    None if the cell cannot be read. `column` decides which values are black and white.
    """
    levels = bounds(column) if array_shape(column) else deep_levels(column)

    def view(cell: pl.Series, side: int) -> PIL.Image | None:
        try:
            with without_warnings():  # of pillow: a file is either read or reported as unreadable
                if size := array_size(cell.name, cell):
                    arrays, bad = _of_arrays(cell, size, 3, levels or bounds(cell))
                    image = None if bad else PIL.fromarray(arrays[0].transpose(1, 2, 0))
                else:
                    image = _open(cell[0], "RGB", side, levels)
        except BROKEN:
            return None
        if image is not None:
            image.thumbnail((side, side))
        return image

    return view


def array_size(name: str, cells: pl.Series) -> tuple[int, int] | None:
    """(height, width) of a column of arrays; None for files and bytes. Raises DataError for anything else."""
    shape = array_shape(cells)
    if cells.dtype == pl.String or cells.dtype == pl.Binary:
        return None
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in CHANNELS):
        return shape[0], shape[1]
    if len(shape) == 3 and shape[0] in CHANNELS:
        return shape[1], shape[2]
    raise refuse_cells("image", name, cells, "paths, bytes of image files, or arrays (H, W), (H, W, C) or (C, H, W)")


def bounds(cells: pl.Series) -> Levels:
    """The raw values of arrays that mean black and white."""
    if leaf(cells.dtype) == pl.UInt8:
        return 0.0, 255.0
    values, _ = stacked(cells)
    if not len(values):
        return 0.0, 255.0
    return _levels(float(np.nanmin(values)), float(np.nanmax(values)))


def _levels(low: float, high: float) -> Levels:
    if low >= 0 and (high <= 1 or BRIGHT <= high <= 255):
        return 0.0, 1.0 if high <= 1 else 255.0
    return low, high if high > low else low + 1
