"""Picture files: the one place that opens them, with a fixed list of formats, bounded, and only regular files."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from struct import error as StructError
from typing import IO, Any

import numpy as np
from PIL import Image as PIL
from PIL import ImageOps
from PIL.ImageFile import ImageFile

from netwright.kinds.cells import Values
from netwright.records.errors import listed
from netwright.records.paths import open_regular, real

# Only raster images: pillow starts Ghostscript for EPS, whatever the file is called, and rare decoders have bugs.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "ICO")
MAX_PIXELS = 80_000_000  # of a file, from its header: decoded they take 240 MB; pillow itself warns at 89 million
MAX_BYTES = 8 * MAX_PIXELS  # of a file: four channels of 16 bits, not compressed
BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, OverflowError, MemoryError,
    StructError, PIL.DecompressionBombError,
)  # fmt: skip  # what pillow's decoders raise on broken files
TIFF = (b"II*\0", b"MM\0*")  # the first bytes, in either byte order
UNREAD = "16-bit grey with opacity (PNG can hold it)"
DEEP_COLOR = ("RGB", "RGBX", "RGBA")  # pillow keeps the higher byte of each of their 16-bit values

_DEEP_GREY = "LA;16B"  # pillow's raw mode of 16-bit grey with opacity, in mode RGBA
_HIGH_TO_LOW = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


def content_of(cell: str | bytes | None) -> bytes:
    """The bytes of a file, given by its path or as they are. Raises OSError or ValueError."""
    if cell is None:
        raise ValueError("the cell is empty")
    if isinstance(cell, str):
        with open_regular(real(cell)) as file:
            cell = file.read(MAX_BYTES + 1)
    if not cell:
        raise ValueError("the file is empty")
    if len(cell) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES / 1e6:,.0f} MB")
    return cell


def opened(content: bytes) -> ImageFile:
    """An image whose header was read, and checked. Raises BROKEN."""
    return _opened(BytesIO(content))


@contextmanager
def header(cell: str | bytes | None) -> Generator[ImageFile]:
    """An image of which only the header is read. Raises BROKEN."""
    if isinstance(cell, str):
        with open_regular(real(cell)) as file, _opened(file) as image:
            yield image
    else:
        with opened(content_of(cell)) as image:
            yield image


def is_picture(path: str) -> bool:
    """Whether a file starts like an image."""
    try:
        with header(path):
            return True
    except BROKEN:
        return False


@cache
def _formats() -> tuple[str, ...]:
    PIL.init()
    return tuple(name for name in FORMATS if name in PIL.OPEN)  # AVIF is missing in some builds


def _opened(content: IO[bytes]) -> ImageFile:
    """Checked by its header, before anything is decoded."""
    try:
        image = PIL.open(content, formats=_formats())
    except PIL.UnidentifiedImageError:
        content.seek(0)
        if content.read(4) in TIFF:  # pillow says the same of a form that it lacks as of a file that is none
            raise ValueError(f"it is TIFF, but broken or in a form that is not read, such as {UNREAD}") from None
        raise
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"it has {width:,} x {height:,} pixels, more than {MAX_PIXELS:,} in all")
    return image


def reason(error: BaseException) -> str:
    """Why a picture cannot be read, in words."""
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case PIL.UnidentifiedImageError():
            return f"it is not an image of a known format ({listed(FORMATS, 3)})"
        case PIL.DecompressionBombError():
            return f"it has more than {MAX_PIXELS:,} pixels"
        case PermissionError():
            return "there is no permission to read it"
        case OSError(strerror=str(text)):
            return text
        case _:
            return str(error) or type(error).__name__


def deep_values(content: bytes, file: PIL.Image) -> Values | None:
    """The values of a picture of more than eight bits, or of floats, as a person sees it: (H, W) or (H, W, C).

    None for other pictures, which are left as they are.
    """
    if file.mode.startswith(("I", "F")):
        return np.asarray(ImageOps.exif_transpose(file))
    if file.mode not in DEEP_COLOR or not isinstance(file, ImageFile):
        return None
    if not file.tile or _raw_mode(file.tile[0].args)[-3:] not in _HIGH_TO_LOW:
        return None
    if "a" in _raw_mode(file.tile[0].args):  # colors multiplied by their opacity: high and low bytes go together
        return None
    if _raw_mode(file.tile[0].args) == _DEEP_GREY:
        return _deep_grey(content)
    low = opened(content)
    low.tile = [tile._replace(args=_with_raw_mode(tile.args, _low(_raw_mode(tile.args)))) for tile in low.tile]
    high_bytes, low_bytes = (np.asarray(ImageOps.exif_transpose(image)) for image in (file, low))
    channels = 3 if file.mode == "RGBX" else high_bytes.shape[2]
    return (high_bytes[..., :channels].astype(np.uint16) << 8) | low_bytes[..., :channels]


def _raw_mode(args: Any) -> str:  # Any: of pillow's decoders, each with its own arguments
    raw = args[0] if isinstance(args, tuple) and args else args
    return raw if isinstance(raw, str) else ""


def _low(raw: str) -> str:
    """The raw mode with which pillow keeps the lower byte: that of the other byte order."""
    return raw[:-3] + _HIGH_TO_LOW[raw[-3:]]


def _with_raw_mode(args: Any, raw: str) -> Any:
    return (raw, *args[1:]) if isinstance(args, tuple) else raw


def _deep_grey(content: bytes) -> Values:
    """(H, W, 4): grey three times, and opacity. The two values of a pixel have as many bytes as four of 8 bits."""
    whole = opened(content)
    whole.tile = [tile._replace(args=_with_raw_mode(tile.args, "RGBA")) for tile in whole.tile]
    parts = np.asarray(ImageOps.exif_transpose(whole)).astype(np.uint16)  # high and low byte of grey, then of opacity
    return ((parts[..., 0::2] << 8) | parts[..., 1::2])[..., [0, 0, 0, 1]]
