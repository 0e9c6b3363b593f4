"""Images: files, encoded bytes, or arrays."""

from collections import Counter
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from PIL import __version__ as PILLOW
from torch import Tensor, nn

from netwright.kinds import features
from netwright.kinds.cells import NEARLY_ALL, Values, array_shape, leaf, sample
from netwright.kinds.markup import picture, shaded
from netwright.kinds.picture_files import BROKEN, header
from netwright.kinds.pictures import CHANNELS, Levels, array_size, bounds, deep_levels, pixels_of
from netwright.kinds.summaries import of_picture
from netwright.machine.quiet import without_warnings
from netwright.models.stems import pixels
from netwright.records.errors import DataError, Unreadable, counted
from netwright.records.features import ALL, Features, Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Signal
from netwright.records.threat import Reach, Way

MAX_SIDE = 224  # pixels; larger images are shrunk unless the user sets a size
MULTIPLE = 8  # sides of resized images are multiples: they can be halved three times
SQUARE = 1.25  # images of mixed sizes become square up to this ratio of the sides
ONE_SIZE = 0.9  # if this share of images has one size, it is the size
HEADERS, DECODED = 512, 256  # images to learn from: by their headers, and decoded
GREY = 2  # of 255: the most that channels differ in a grey image stored as color JPEG
INVISIBLE = 8.0  # of 255: the usual L-infinity radius for natural images
DECODER = 2  # raise it when files decode to other pixels than before: then cached files are decoded again

_FILES = r"(?i)\.(?:jpe?g|png|gif|bmp|webp|tiff?|ppm|pgm|pbm|jp2|ico|avif)$"
_ORIENTATION = 0x0112  # EXIF tag; from 5 on the sides are swapped


@final
@dataclass(frozen=True)
class Image(Field):
    """Encoded as uint8 (N, channels, height, width), 0 to 255.

    Cells are paths, the bytes of files, or arrays (H, W), (H, W, C) or (C, H, W). Other sizes are stretched to one;
    transparent pixels become white; images are rotated as their EXIF data say. Float arrays, and files of more than
    eight bits, are scaled from `black` and `white` to 0 and 255: the depth of the files, 0 and 1, 0 and 255, or the
    column's own bounds.
    """

    height: int
    width: int
    channels: int  # 1 if all training images are grey, else 3
    mean: tuple[float, ...]  # of each channel, of values in [0, 1]
    std: tuple[float, ...]
    black: float  # raw values that mean 0 and 255
    white: float
    sizes: tuple[str, ...]  # "640 x 480", seen in training, the most frequent first
    resized: bool  # whether training images were resized
    deep: bool = False  # whether files of more than eight bits use black and white; else each its own depth

    kind: ClassVar[str] = "image"
    family: ClassVar[Family] = "pictures"
    seen_as: ClassVar[str] = "image"
    decoder: ClassVar[str] = f"{DECODER}, pillow {PILLOW}"
    decided_by: ClassVar[tuple[str, ...]] = ("height", "width", "channels", "black", "white")

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Bytes, texts that end like image files, arrays of two or three dimensions that look like images."""
        if cells.dtype == pl.Binary:
            return True
        if cells.dtype == pl.String:
            paths = sample(cells)
            return len(paths) > 0 and int(paths.str.contains(_FILES).sum()) >= NEARLY_ALL * len(paths)
        shape = array_shape(cells)
        is_square = len(shape) == 2 and shape[0] == shape[1] > 1
        has_channels = len(shape) == 3 and (shape[2] in CHANNELS or shape[0] in CHANNELS)
        if leaf(cells.dtype) == pl.UInt8:
            return len(shape) == 2 or has_channels
        return leaf(cells.dtype).is_float() and (is_square or has_channels)

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """Size, color and brightness, from a sample. `detail` is the size: `64`, or width x height: `64x48`.

        Raises DataError if none of the sample can be read.
        """
        chosen = _read_size(name, detail)
        deep: Levels | None = None
        if size := array_size(name, cells):
            sizes = Counter({size: 1})
            black, white = bounds(cells)
        else:
            sizes = _sizes(name, sample(cells, HEADERS))
            deep = deep_levels(sample(cells, DECODED))
            black, white = deep or (0.0, 255.0)
        height, width = chosen or _usual_size(sizes)
        decoded, bad = pixels_of(sample(cells, DECODED), (height, width), 3, (black, white) if size else deep)
        readable = np.delete(decoded, list(bad), axis=0)
        if not len(readable):
            which = sample(cells, DECODED)
            first = f"; the first is {_title(which[0])}: {bad[0]}" if bad else ""
            raise DataError(
                f"column {name!r}: none of {counted(len(decoded), 'image')} can be read{first}",
                remedy="check the paths and the files.",
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
            deep=deep is not None,
            resized=set(sizes) != {(height, width)},
        )

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, channels, height, width) uint8. Raises Unreadable for broken, missing and far too large images."""
        encoded, bad = pixels_of(cells, (self.height, self.width), self.channels, self._levels(cells))
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

    @classmethod
    def way(cls, fields: tuple[Self, ...], reach: Reach) -> Way:
        """Every pixel, from black to white."""
        (field,) = fields
        return Way(torch.tensor(reach.unit(field.name, field.low, field.high, field.reach)), field.low, field.high)

    def describe(self) -> str:
        """`images 28 x 28, grey`, width first, as usual."""
        text = f"images {self.width} x {self.height}, {'grey' if self.channels == 1 else 'color'}"
        others = ", ".join(self.sizes)
        return (
            f"{text}, stretched from {others}{' and others' if len(self.sizes) == 3 else ''}" if self.resized else text
        )

    @classmethod
    def features(cls, fields: tuple[Self, ...], cells: Tensor, most: int = ALL) -> Features:
        """Pixels, averaged if there are many."""
        return features.pixels(fields[0].channels, most)

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """Brightness, contrast, sharpness, tilt, colors and a coarse grid."""
        return tuple(of_picture(fields[0].name, cells))

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The image as the network sees it, tinted by its attribution (channels, height, width)."""
        cells = pl.Series([cell] if cell is None or isinstance(cell, str | bytes) else np.asarray(cell)[None])
        encoded, bad = pixels_of(cells, (self.height, self.width), self.channels, self._levels(cells))
        return shaded(f"{_title(cell)}: {bad[0]}") if bad else picture(encoded[0], attribution, _title(cell))

    def _levels(self, cells: pl.Series) -> Levels | None:
        return (self.black, self.white) if self.deep or array_shape(cells) else None


def _brightness(images: Values) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and spread of each channel, in [0, 1], from the counts of values: as floats, 224 x 224 took 300 MB."""
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
    """(height, width) from `64` or `64x48`; None if there is no detail."""
    if not detail:
        return None
    sides = detail.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise DataError(
            f"column {name!r}: the detail of image must be the size, not {detail!r}",
            remedy=f"write for example {name}=image:64, or {name}=image:64x48 for 64 wide and 48 high.",
        )
    return int(sides[-1]), int(sides[0])


def _sizes(name: str, cells: pl.Series) -> Counter[tuple[int, int]]:
    """The count of each (height, width), from the headers."""
    found: Counter[tuple[int, int]] = Counter()
    with without_warnings():
        for cell in cells:
            try:
                with header(cell) as file:
                    width, height = file.size
                    is_turned = file.getexif().get(_ORIENTATION, 1) >= 5
                    found[(width, height) if is_turned else (height, width)] += 1
            except BROKEN:
                continue  # counted and reported when the column is encoded
    return found


def _usual_size(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """The size of nearly all images, or one in between; no side above MAX_SIDE."""
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
