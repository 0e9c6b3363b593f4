import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image as PIL

from netwright.kinds.image import Image
from netwright.kinds.mask import Mask
from netwright.kinds.picture_files import MAX_BYTES, content_of, deep_values, header, is_picture, opened
from netwright.records.errors import DataError
from netwright.records.paths import spelled

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
GENERATOR = np.random.default_rng(0)


def png(values: np.ndarray) -> bytes:
    """A PNG of 16-bit grey and opacity or colors, (H, W, 2, 3 or 4): pillow cannot write one."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, order: str, turned: int = 1) -> bytes:
    """An uncompressed TIFF of 16-bit RGB, or grey and opacity, in either byte order, with its orientation."""
    height, width, channels = values.shape
    pixels = values.astype(f"{order}u2").tobytes()
    count = 10 + (channels == 2)
    strip = 8 + 2 + count * 12 + 4 + 6
    bits, of_color = (strip - 6, 2) if channels == 3 else (16 | 16 << 16, 1)  # two of them stand in the entry itself
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, bits), (259, 3, 1, 1), (262, 3, 1, of_color),
        (273, 4, 1, strip), (274, 3, 1, turned), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(pixels)),
        *[(338, 3, 1, 2)] * (channels == 2),
    ]  # fmt: skip
    content = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    for tag, kind, count, value in entries:
        form = f"{order}HHIHH" if kind == 3 and count == 1 else f"{order}HHII"
        content += struct.pack(form, tag, kind, count, *((value, 0) if form.endswith("HH") else (value,)))
    return content + struct.pack(f"{order}I3H", 0, 16, 16, 16) + pixels


def test_an_eps_file_is_no_picture_whatever_its_name(tmp_path: Path):
    (tmp_path / "x.png").write_bytes(EPS)
    assert not is_picture(str(tmp_path / "x.png"))
    with pytest.raises(DataError, match="it is not an image of a known format"):
        Image.learn("photo", pl.Series([EPS]))
    with pytest.raises(DataError, match="it is not an image of a known format"):
        Mask.learn("mask", pl.Series([EPS]))


@pytest.mark.parametrize("channels", [3, 4])
def test_colors_of_16_bits_keep_both_bytes(channels: int):
    values = GENERATOR.integers(0, 1 << 16, (5, 7, channels), dtype=np.uint16)
    with opened(png(values)) as image:
        found = deep_values(png(values), image)
    assert found is not None and np.array_equal(found, values)


def test_grey_of_16_bits_with_opacity_keeps_both_bytes():
    values = GENERATOR.integers(0, 1 << 16, (5, 7, 2), dtype=np.uint16)
    with opened(png(values)) as image:
        found = deep_values(png(values), image)
    assert found is not None and np.array_equal(found, values[..., [0, 0, 0, 1]])


@pytest.mark.parametrize("order", ["<", ">"])
def test_colors_of_16_bits_in_tiff_keep_both_bytes_and_are_turned(order: str):
    values = GENERATOR.integers(0, 1 << 16, (5, 7, 3), dtype=np.uint16)
    content = tiff(values, order, turned=3)
    with opened(content) as image:
        found = deep_values(content, image)
    assert found is not None and np.array_equal(found, values[::-1, ::-1])


@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_of_16_bits_with_opacity_in_tiff_is_an_error_that_names_it(order: str, tmp_path: Path):
    content = tiff(GENERATOR.integers(0, 1 << 16, (5, 7, 2), dtype=np.uint16), order)
    (tmp_path / "x.tiff").write_bytes(content)
    for cell in (content, str(tmp_path / "x.tiff")):
        with pytest.raises(DataError, match="in a form that is not read, such as 16-bit grey with opacity"):
            Image.learn("photo", pl.Series([cell]))


def test_colors_of_8_bits_are_left_to_pillow():
    content = BytesIO()
    PIL.new("RGB", (4, 4), "red").save(content, "png")
    with opened(content.getvalue()) as image:
        assert deep_values(content.getvalue(), image) is None


def test_dark_colors_of_12_bits_in_files_of_16_fill_the_range():
    values = np.zeros((8, 8, 3), np.uint16)
    values[:, 4:] = (4095, 2048, 1024)
    cells = pl.Series([png(values)])
    field = Image.learn("photo", cells)
    assert (field.black, field.white, field.deep, field.channels) == (0, 4095, True, 3)
    assert field.encode(cells)[0, :, 0, 7].tolist() == [255, 128, 64]


def test_dark_grey_of_12_bits_with_opacity_fills_the_range_and_is_white_where_it_is_transparent():
    values = np.full((8, 8, 2), 65_535, np.uint16)
    values[:, 2:, 0] = (0, 1024, 2048, 3072, 4094, 4095)
    values[:, :2] = 0
    cells = pl.Series([png(values)])
    field = Image.learn("photo", cells)
    assert (field.black, field.white, field.deep, field.channels) == (0, 4095, True, 1)
    assert field.encode(cells)[0, 0, 0].tolist() == [255, 255, 0, 64, 128, 191, 255, 255]


def test_transparent_colors_of_16_bits_become_white():
    values = np.full((8, 8, 4), 30_000, np.uint16)
    values[..., 3] = 0
    cells = pl.Series([png(values)])
    assert Image.learn("photo", cells).encode(cells).unique().tolist() == [255]


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name, what in (("pipe.png", "a pipe"), ("zero.png", "a device")):
        assert not is_picture(str(tmp_path / name))
        with pytest.raises(DataError, match=f"it is {what}, not a regular file"):
            Image.learn("photo", pl.Series([str(tmp_path / name)]))


def test_a_file_larger_than_any_picture_is_not_read_to_its_end(tmp_path: Path):
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match=f"more than {MAX_BYTES / 1e6:,.0f} MB"):
        content_of(str(tmp_path / "x.png"))


def test_a_name_that_is_not_utf8_is_opened_by_its_spelling(tmp_path: Path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png")
    PIL.new("L", (4, 6)).save(path)
    with header(spelled(path)) as image:
        assert image.size == (4, 6)
    assert content_of(spelled(path)) == Path(path).read_bytes()
