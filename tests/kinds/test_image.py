import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image as PIL

from netwright.kinds.image import Image
from netwright.kinds.picture_files import MAX_PIXELS
from netwright.records.errors import DataError, Unreadable

GENERATOR = np.random.default_rng(0)


def file(image: PIL.Image, form: str = "png", exif: PIL.Exif | None = None) -> bytes:
    content = BytesIO()
    if exif:
        image.save(content, form, exif=exif)
    else:
        image.save(content, form)
    return content.getvalue()


def color(width: int = 10, height: int = 6) -> PIL.Image:
    return PIL.fromarray(GENERATOR.integers(0, 256, (height, width, 3), dtype=np.uint8))


def column(*images: PIL.Image) -> pl.Series:
    return pl.Series([file(image) for image in images])


def bomb(side: int = 30_000) -> bytes:
    """A PNG that says it has side x side pixels, and holds none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_pixels_come_as_they_stand_in_the_file():
    image = color()
    (encoded,) = Image.learn("photo", column(image)).encode(column(image))
    assert np.array_equal(encoded.permute(1, 2, 0).numpy(), np.asarray(image))


def test_paths_and_bytes_encode_alike(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(file(color()))
    paths = pl.Series([str(path)])
    assert Image.matches(paths)
    field = Image.learn("photo", paths)
    assert torch.equal(field.encode(paths), field.encode(pl.Series([path.read_bytes()])))


def test_grey_pictures_have_one_channel_however_they_are_stored():
    grey = PIL.fromarray(GENERATOR.integers(0, 256, (8, 8), dtype=np.uint8))
    field = Image.learn("photo", column(grey, grey.convert("RGB"), grey.convert("RGBA")))
    assert field.channels == 1
    encoded = field.encode(column(grey, grey.convert("RGB")))
    assert torch.equal(encoded[0], encoded[1])
    assert field.describe() == "images 8 x 8, grey"


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr"])
def test_any_mode_is_read(mode: str):
    image = PIL.new("L", (8, 8), 255)
    if mode == "I;16":
        image = PIL.fromarray(np.full((8, 8), 65535, dtype=np.uint16))
    elif mode == "I":
        image = PIL.fromarray(np.full((8, 8), 65535, dtype=np.int32))
    elif mode == "F":
        image = PIL.fromarray(np.full((8, 8), 255, dtype=np.float32))
    else:
        image = image.convert("RGB").convert(mode)
    cells = pl.Series([file(image, "tiff" if mode in ("CMYK", "I", "F", "YCbCr") else "png")])
    assert Image.learn("photo", cells).encode(cells).unique().tolist() == [255]


def test_transparent_pixels_become_white():
    image = PIL.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert Image.learn("photo", column(image)).encode(column(image)).unique().tolist() == [255]


def test_pictures_stand_as_their_exif_data_say():
    exif = PIL.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    cells = pl.Series([file(color(16, 8), "jpeg", exif)])
    field = Image.learn("photo", cells)
    assert (field.width, field.height) == (8, 16)


def test_pictures_of_mixed_sizes_are_stretched_to_one_between():
    cells = column(color(30, 30), color(40, 38), color(50, 60), color(41, 41))
    field = Image.learn("photo", cells)
    assert field.encode(cells).shape == (4, 3, 40, 40)
    assert field.describe() == "images 40 x 40, color, stretched from 30 x 30, 40 x 38, 50 x 60 and others"


def test_large_pictures_are_made_smaller_and_keep_their_proportions():
    cells = column(color(800, 400))
    field = Image.learn("photo", cells)
    assert (field.width, field.height) == (224, 112)


def test_the_user_chooses_the_size():
    cells = column(color(), color())
    assert Image.learn("photo", cells, "12").encode(cells).shape == (2, 3, 12, 12)
    assert Image.learn("photo", cells, "16x12").encode(cells).shape == (2, 3, 12, 16)
    with pytest.raises(DataError, match="column 'photo': the detail of image must be the size, not 'big'") as error:
        Image.learn("photo", cells, "big")
    assert error.value.remedy == "write for example photo=image:64, or photo=image:64x48 for 64 wide and 48 high."


def test_unreadable_pictures_are_named_with_their_reasons(tmp_path: Path):
    whole = file(color(64, 64), "jpeg")
    gone = str(tmp_path / "gone.jpg")
    field = Image.learn("photo", pl.Series([whole]))
    with pytest.raises(Unreadable) as error:
        field.encode(pl.Series([whole, whole[: len(whole) // 2], b"", b"no image", None, bomb()]))
    assert list(error.value.bad) == [1, 2, 3, 4, 5]
    assert error.value.problem.startswith(
        "column 'photo': 5 of 6 images cannot be read; the first is the one at position 1: "
    )
    assert error.value.remedy == "repair or remove these images."
    reasons = error.value.bad
    assert "truncated" in reasons[1]
    assert reasons[2] == "the file is empty"
    assert reasons[3] == "it is not an image of a known format (JPEG, PNG, GIF and 7 more)"
    assert reasons[4] == "the cell is empty"
    assert reasons[5] == f"it has more than {MAX_PIXELS:,} pixels"
    assert error.value.encoded[0][0].any()
    assert not error.value.encoded[0][1:].any()
    with pytest.raises(
        Unreadable, match=r"1 of 1 image cannot be read; the first is '.*gone.jpg': there is no such file"
    ):
        field.encode(pl.Series([gone]))


def test_a_picture_above_the_limit_is_refused_from_its_header():
    field = Image.learn("photo", column(color()))
    with pytest.raises(Unreadable, match="it has 9,000 x 9,000 pixels, more than 80,000,000 in all"):
        field.encode(pl.Series([bomb(9_000)]))


def test_unreadable_pictures_do_not_hinder_learning_unless_all_are():
    assert Image.learn("photo", pl.Series([b"", file(color(12, 8)), b"no image"])).width == 12
    with pytest.raises(
        DataError, match="none of 2 images can be read; the first is the one at position 0: the file is"
    ):
        Image.learn("photo", pl.Series([b"", b"no image"]))


def test_many_pictures_encode_in_order():
    images = [PIL.new("L", (8, 8), i) for i in range(200)]
    cells = column(*images)
    assert Image.learn("photo", cells).encode(cells)[:, 0, 0, 0].tolist() == list(range(200))


@pytest.mark.parametrize("layout", [(0, 1, 2, 3), (0, 3, 1, 2)])
def test_byte_arrays_pass_through_in_either_layout(layout: tuple[int, ...]):
    values = GENERATOR.integers(0, 256, (4, 8, 10, 3), dtype=np.uint8)
    cells = pl.Series(np.ascontiguousarray(values.transpose(layout)))
    assert Image.matches(cells)
    assert np.array_equal(Image.learn("x", cells).encode(cells).permute(0, 2, 3, 1).numpy(), values)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (0, 16), (-3, 5), (0, 4095)])
def test_float_arrays_are_taken_to_bytes(low: float, high: float):
    values = np.linspace(low, high, 64, dtype=np.float32).reshape(1, 8, 8)
    field = Image.learn("x", pl.Series(values))
    encoded = field.encode(pl.Series(values))
    assert (int(encoded.min()), int(encoded.max())) == (0, 255)
    assert torch.equal(encoded.flatten(), encoded.flatten().sort().values)


def test_arrays_of_another_size_are_resized():
    field = Image.learn("x", pl.Series(np.full((3, 8, 8), 0.5, np.float32)))
    assert field.encode(pl.Series(np.full((2, 16, 16), 0.5, np.float32))).shape == (2, 1, 8, 8)


def test_missing_arrays_are_unreadable():
    cells = pl.Series([[[1, 2], [3, 4]], None], dtype=pl.Array(pl.UInt8, (2, 2)))
    with pytest.raises(
        Unreadable, match="1 of 2 images cannot be read; the first is the one at position 1: the cell is"
    ):
        Image.learn("x", cells).encode(cells)


def test_brightness_is_learned_for_each_channel():
    field = Image.learn("photo", column(PIL.new("RGB", (8, 8), (255, 0, 51)), PIL.new("RGB", (8, 8), (255, 0, 153))))
    assert field.mean == pytest.approx((1, 0, 0.4))
    assert field.std == pytest.approx((1 / 255, 1 / 255, 0.2))


def test_show_gives_a_picture_or_the_reason():
    field = Image.learn("photo", column(color()))
    assert field.show(file(color()), torch.ones(3, 6, 10)).startswith(
        '<img alt="the one at position 0" src="data:image/png;base64,'
    )
    assert field.show("<b>.png") == "<span>&#x27;&lt;b&gt;.png&#x27;: there is no such file</span>"


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([0, 250], dtype=np.uint16), (0, 255)),
        (np.array([7, 3000], dtype=np.uint16), (0, 4095)),
        (np.array([7, 9000], dtype=np.uint16), (0, 16383)),
        (np.array([7, 30000], dtype=np.uint16), (0, 65535)),
        (np.array([0, 100000], dtype=np.int32), (0, 100000)),
        (np.array([-1024, 3071], dtype=np.int32), (-1024, 3071)),
        (np.array([0, 0.5], dtype=np.float32), (0, 1)),
        (np.array([-2000, 1000], dtype=np.float32), (-2000, 1000)),
        (np.array([np.nan, 200], dtype=np.float32), (0, 255)),
    ],
)
def test_files_of_more_than_eight_bits_keep_their_contrast(values: np.ndarray, levels: tuple[float, float]):
    picture = np.repeat(values, 32).reshape(8, 8)
    cells = pl.Series([file(PIL.fromarray(picture), "tiff")])
    field = Image.learn("photo", cells)
    assert (field.black, field.white, field.deep) == (*levels, True)
    black, white = levels
    expected = np.clip((np.nan_to_num(picture.astype(np.float64)) - black) * 255 / (white - black), 0, 255)
    assert np.abs(field.encode(cells)[0, 0].numpy() - expected).max() <= 0.51


def test_a_file_of_more_bits_than_the_training_files_is_scaled_by_its_own_depth():
    field = Image.learn("photo", column(color(8, 8)))
    assert not field.deep
    deep = pl.Series([file(PIL.fromarray(np.full((8, 8), 65535, dtype=np.uint16)))])
    assert field.encode(deep).unique().tolist() == [255]


def test_pictures_that_do_not_exist_are_named_with_their_path(tmp_path: Path):
    gone = str(tmp_path / "gone.png")
    with pytest.raises(DataError) as error:
        Image.learn("photo", pl.Series([gone]))
    assert error.value.problem == (
        f"column 'photo': none of 1 image can be read; the first is {gone!r}: there is no such file"
    )
