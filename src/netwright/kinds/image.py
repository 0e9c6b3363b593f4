"""Pictures: files, encoded bytes, or arrays."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from math import sqrt
from struct import error as StructError
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from PIL import Image as PIL
from PIL import ImageOps
from PIL import __version__ as PILLOW
from torch import Tensor, nn

from netwright.kinds import features
from netwright.kinds.cells import NEARLY_ALL, Values, array_shape, leaf, refuse_cells, sample, stacked
from netwright.kinds.markup import counted, picture, shaded
from netwright.kinds.summaries import of_picture
from netwright.machine.quiet import without_warnings
from netwright.models.stems import pixels
from netwright.records.errors import DataError, Unreadable
from netwright.records.features import ALL, Features, Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Signal

MAX_PIXELS = 80_000_000  # of a file, read from its header: decoded it takes 240 MB; pillow's own alarm is at 89 million
MAX_SIDE = 224  # pixels; larger pictures are made smaller unless the user says so
MULTIPLE = 8  # sides of resized pictures: three halvings without a rest
SQUARE = 1.25  # ratio of the sides up to which pictures of mixed sizes become square
ONE_SIZE = 0.9  # share of pictures of one size that makes it the size
HEADERS, DECODED = 512, 256  # pictures whose size is read, and that are decoded, to learn from
GREY = 2  # of 255: how far channels may stand apart in a grey picture stored as color JPEG
BRIGHT = 128  # a float column whose greatest value is from here to 255 holds pixels of 0 to 255
INVISIBLE = 8.0  # of 255: the usual L-infinity radius for natural pictures
BLOCK = 16  # pictures a thread takes at once: a block of large ones is enough for many threads
DECODER = 1  # grows when files come out with other pixels than before: what was kept of them is decoded again

_FILES = r"(?i)\.(?:jpe?g|png|gif|bmp|webp|tiff?|ppm|pgm|pbm|jp2|ico|avif)$"
_CHANNELS = (1, 3, 4)
_ORIENTATION = 0x0112  # EXIF tag; from 5 on the sides are swapped
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as pillow makes color grey
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, OverflowError, MemoryError,
    StructError, PIL.DecompressionBombError,
)  # fmt: skip  # what pillow's decoders raise on broken files


@final
@dataclass(frozen=True)
class Image(Field):
    """Encoded as uint8 (N, channels, height, width), 0 to 255.

    Cells are paths, the bytes of files, or arrays (H, W), (H, W, C) or (C, H, W). Other sizes are stretched to one;
    transparent pixels become white; pictures stand as their EXIF data say. Float arrays between `black` and `white`
    (0 and 1, or 0 and 255, or the column's own bounds where it keeps to neither) are taken to 0 to 255.
    """

    height: int
    width: int
    channels: int  # 1 where all training pictures are grey, else 3
    mean: tuple[float, ...]  # of each channel, of values in [0, 1]
    std: tuple[float, ...]
    black: float  # raw array values that mean 0 and 255
    white: float
    sizes: tuple[str, ...]  # "640 x 480", seen in training, the most frequent first
    resized: bool  # whether training pictures had to be

    kind: ClassVar[str] = "image"
    family: ClassVar[Family] = "pictures"
    seen_as: ClassVar[str] = "image"
    decoder: ClassVar[str] = f"{DECODER}, pillow {PILLOW}"
    decided_by: ClassVar[tuple[str, ...]] = ("height", "width", "channels")

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Bytes, texts that end like image files, arrays of two or three dimensions that are like pictures."""
        if cells.dtype == pl.Binary:
            return True
        if cells.dtype == pl.String:
            paths = sample(cells)
            return len(paths) > 0 and int(paths.str.contains(_FILES).sum()) >= NEARLY_ALL * len(paths)
        shape = array_shape(cells)
        is_square = len(shape) == 2 and shape[0] == shape[1] > 1
        has_channels = len(shape) == 3 and (shape[2] in _CHANNELS or shape[0] in _CHANNELS)
        if leaf(cells.dtype) == pl.UInt8:
            return len(shape) == 2 or has_channels
        return leaf(cells.dtype).is_float() and (is_square or has_channels)

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """Size, color and brightness, from a sample. `detail` is the size: `64`, or width x height: `64x48`.

        Raises DataError where none of the sample can be read.
        """
        chosen = _read_size(name, detail)
        black, white = 0.0, 255.0
        if size := _array_size(name, cells):
            sizes = Counter({size: 1})
            black, white = _bounds(cells)
        else:
            sizes = _sizes(name, sample(cells, HEADERS))
        height, width = chosen or _usual_size(sizes)
        decoded, bad = _encode(sample(cells, DECODED), (height, width), 3, black, white)
        readable = np.delete(decoded, list(bad), axis=0)
        if not len(readable):
            reason = next(iter(bad.values()), "there is no image")
            raise DataError(
                f"column {name!r}: none of {counted(len(decoded), 'image')} can be read; the first: {reason}",
                remedy="check the files.",
            )
        is_grey = int(np.ptp(readable, axis=1).max()) <= GREY
        mean, std = _brightness(readable[:, :1] if is_grey else readable)
        return cls(
            name=name,
            low=0.0,
            high=255.0,
            reach=INVISIBLE,
            height=height,
            width=width,
            channels=len(mean),
            mean=mean,
            std=std,
            black=black,
            white=white,
            sizes=tuple(f"{w} x {h}" for (h, w), _ in sizes.most_common(3)),
            resized=set(sizes) != {(height, width)},
        )

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, channels, height, width) uint8. Raises Unreadable for broken, missing and far too large pictures."""
        encoded, bad = _encode(cells, (self.height, self.width), self.channels, self.black, self.white)
        if bad:
            first = min(bad)
            raise Unreadable(
                f"column {self.name!r}: {len(bad):,} of {counted(len(cells), 'image')} cannot be read; "
                f"the first is {_title(cells[first], first)}: {bad[first]}",
                "repair or remove these images.",
                (torch.from_numpy(encoded),),
                dict(sorted(bad.items())),
            )
        return torch.from_numpy(encoded)

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """Standardized pixels: a map."""
        field = fields[0]
        return pixels(field.mean, field.std, (field.height, field.width), recipe)

    def describe(self) -> str:
        """`images 28 x 28, grey`, width first as people say it."""
        text = f"images {self.width} x {self.height}, {'grey' if self.channels == 1 else 'color'}"
        others = ", ".join(self.sizes)
        return (
            f"{text}, stretched from {others}{' and others' if len(self.sizes) == 3 else ''}" if self.resized else text
        )

    @classmethod
    def features(cls, fields: tuple[Self, ...], cells: Tensor, most: int = ALL) -> Features:
        """Pixels, averaged where there are many."""
        return features.pixels(fields[0].channels, most)

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """Brightness, contrast, sharpness, tilt, colors and a coarse grid."""
        return tuple(of_picture(fields[0].name, cells))

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The picture as the network sees it, tinted by its attribution (channels, height, width)."""
        cells = pl.Series([cell] if cell is None or isinstance(cell, str | bytes) else np.asarray(cell)[None])
        encoded, bad = _encode(cells, (self.height, self.width), self.channels, self.black, self.white)
        return shaded(f"{_title(cell)}: {bad[0]}") if bad else picture(encoded[0], attribution, _title(cell))


def viewer(column: pl.Series) -> Callable[[pl.Series, int], PIL.Image | None]:
    """Shows one cell (a series of one) as a person sees it, in color and proportion, no side above so many pixels.

    None where the cell cannot be read. From `column` is learned which values of arrays are black and white.
    """
    black, white = _bounds(column) if array_shape(column) else (0.0, 255.0)

    def view(cell: pl.Series, side: int) -> PIL.Image | None:
        try:
            with without_warnings():  # of pillow: a file is either read or reported as unreadable
                if size := _array_size(cell.name, cell):
                    arrays, bad = _encode_arrays(cell, size, 3, black, white)
                    image = None if bad else PIL.fromarray(arrays[0].transpose(1, 2, 0))
                else:
                    image = _open(cell[0], "RGB", side)
        except _BROKEN:
            return None
        if image is not None:
            image.thumbnail((side, side))
        return image

    return view


def _brightness(images: Values) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and spread of each channel, in [0, 1], by how often each value comes: as floats, 224 x 224 took 300 MB."""
    counts = np.zeros((images.shape[1], 256))
    for image in images:
        for channel, plane in enumerate(image):
            counts[channel] += np.bincount(plane.ravel(), minlength=256)
    shares = counts / counts.sum(1, keepdims=True)
    values = np.arange(256) / 255
    mean = shares @ values
    std = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(1))
    return tuple(mean.tolist()), tuple(np.maximum(std, 1 / 255).tolist())


def _title(cell: object, position: int = 0) -> str:
    return repr(cell) if isinstance(cell, str) else f"the one at position {position}"


def _read_size(name: str, detail: str) -> tuple[int, int] | None:
    """(height, width) out of `64` or `64x48`; None where nothing is said."""
    if not detail:
        return None
    sides = detail.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise DataError(
            f"column {name!r}: behind image: stands the size, but {detail!r} came",
            remedy=f"write for example {name}=image:64, or {name}=image:64x48 for 64 wide and 48 high.",
        )
    return int(sides[-1]), int(sides[0])


def _array_size(name: str, cells: pl.Series) -> tuple[int, int] | None:
    """(height, width) of a column of arrays; None for files and bytes. Raises DataError for anything else."""
    shape = array_shape(cells)
    if cells.dtype == pl.String or cells.dtype == pl.Binary:
        return None
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in _CHANNELS):
        return shape[0], shape[1]
    if len(shape) == 3 and shape[0] in _CHANNELS:
        return shape[1], shape[2]
    raise refuse_cells(Image.kind, name, cells, "paths, bytes of image files, or arrays (H, W), (H, W, C) or (C, H, W)")


def _bounds(cells: pl.Series) -> tuple[float, float]:
    """The raw values that mean black and white."""
    if leaf(cells.dtype) == pl.UInt8:
        return 0.0, 255.0
    values, _ = stacked(cells)
    if not len(values):
        return 0.0, 255.0
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low >= 0 and (high <= 1 or BRIGHT <= high <= 255):
        return 0.0, 1.0 if high <= 1 else 255.0
    return low, high if high > low else low + 1


def _sizes(name: str, cells: pl.Series) -> Counter[tuple[int, int]]:
    """How often each (height, width) comes, as the headers say."""
    found: Counter[tuple[int, int]] = Counter()
    with without_warnings():
        for cell in cells:
            try:
                with PIL.open(BytesIO(cell) if isinstance(cell, bytes) else cell) as file:
                    _check_pixels(file)
                    width, height = file.size
                    is_turned = file.getexif().get(_ORIENTATION, 1) >= 5
                    found[(width, height) if is_turned else (height, width)] += 1
            except _BROKEN:
                continue  # counted and named when the column is encoded
    return found


def _usual_size(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """The size of nearly all pictures, or one between; no side above MAX_SIDE."""
    if not sizes:
        return MULTIPLE, MULTIPLE  # none can be read: `learn` says so
    most, count = sizes.most_common(1)[0]
    if count >= ONE_SIZE * sizes.total() and max(most) <= MAX_SIDE:
        return most
    heights, widths = zip(*sizes.elements(), strict=True)
    height, width = float(np.median(heights)), float(np.median(widths))
    if max(height, width) <= SQUARE * min(height, width):
        height = width = sqrt(height * width)
    factor = min(1.0, MAX_SIDE / max(height, width))
    return _multiple(height * factor), _multiple(width * factor)


def _multiple(side: float) -> int:
    return max(MULTIPLE, round(side / MULTIPLE) * MULTIPLE)


def _encode(
    cells: pl.Series, size: tuple[int, int], channels: int, black: float, white: float
) -> tuple[Values, dict[int, str]]:
    """(N, channels, *size) uint8, zeros where a cell cannot be read, and the reasons by position."""
    if array_shape(cells):
        return _encode_arrays(cells, size, channels, black, white)
    out = np.zeros((len(cells), channels, *size), dtype=np.uint8)
    blocks = [range(start, min(start + BLOCK, len(cells))) for start in range(0, len(cells), BLOCK)]

    def fill(rows: range) -> list[tuple[int, str]]:
        return list(_fill(out, cells, rows))

    with without_warnings():
        if len(blocks) == 1:
            return out, dict(fill(blocks[0]))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return out, dict(chain.from_iterable(threads.map(fill, blocks)))


def _fill(out: Values, cells: pl.Series, rows: range) -> Iterable[tuple[int, str]]:
    """Decodes some rows in place; yields those that cannot be, with the reason."""
    _, channels, height, width = out.shape
    for row, cell in zip(rows, cells[rows.start : rows.stop], strict=True):
        try:
            out[row] = _decode(cell, "L" if channels == 1 else "RGB", (width, height))
        except FileNotFoundError:
            yield row, "there is no such file"
        except _BROKEN as error:
            yield row, _reason(error)


def _decode(cell: str | bytes | None, mode: str, size: tuple[int, int]) -> Values:
    """(channels, height, width) uint8 of one file, as a person sees it. `size` is (width, height)."""
    shown = _open(cell, mode, max(size))
    if shown.size != size:
        shown = shown.resize(size, PIL.Resampling.BILINEAR)
    return np.atleast_3d(np.asarray(shown)).transpose(2, 0, 1)


def _open(cell: str | bytes | None, mode: str, side: int) -> PIL.Image:
    """One file as a person sees it, in its own proportions; both sides above `side`, if they are in the file."""
    if cell is None:
        raise ValueError("the cell is empty")
    content = _content(cell) if isinstance(cell, str) else cell
    if not content:
        raise ValueError("the file is empty")
    with PIL.open(BytesIO(content)) as file:
        _check_pixels(file)
        if min(file.size) > 2 * side:
            file.draft(mode, (2 * side, 2 * side))  # JPEG decodes to a half, a quarter, an eighth several times faster
        ImageOps.exif_transpose(file, in_place=True)  # a copy of each picture was a seventh of decoding small ones
        return _flattened(file, mode)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:  # Path(path).read_bytes() takes twice as long
        return file.read()


def _flattened(image: PIL.Image, mode: str) -> PIL.Image:
    """Without transparency, palette or more than eight bits: in mode "L" or "RGB"."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float32)
        peak = 65535.0 if image.mode.startswith("I") else 1.0 if values.max() <= 1 else 255.0
        image = PIL.fromarray(((values / peak).clip(0, 1) * 255).round().astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        ground = PIL.new("RGBA", image.size, "white")
        image = PIL.alpha_composite(ground, image)
    return image if image.mode == mode else image.convert(mode)


def _check_pixels(file: PIL.Image) -> None:
    """From the header, before anything is decoded."""
    width, height = file.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"it has {width:,} x {height:,} pixels, more than {MAX_PIXELS:,} in all")


def _reason(error: Exception) -> str:
    match error:
        case PIL.UnidentifiedImageError():
            return "it is no image that pillow knows"
        case PIL.DecompressionBombError():
            return f"it has more than {MAX_PIXELS:,} pixels"
        case _:
            return str(error) or type(error).__name__


def _encode_arrays(
    cells: pl.Series, size: tuple[int, int], channels: int, black: float, white: float
) -> tuple[Values, dict[int, str]]:
    arrays, present = stacked(cells)
    shape = array_shape(cells)
    images = arrays[:, None] if len(shape) == 2 else arrays
    if len(shape) == 3 and shape[2] in _CHANNELS:
        images = arrays.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8:
        images = ((np.nan_to_num(images) - black) * (255 / (white - black))).clip(0, 255).round().astype(np.uint8)
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
