import numpy as np
import polars as pl
import pytest
import torch

from netwright.attacks.corruptions import corrupted
from netwright.kinds.image import Image
from netwright.records.batch import Batch
from netwright.records.schema import Schema

DARK, LIGHT = 80, 160


def pictures(side: int = 16, channels: int = 3) -> tuple[Schema, Batch]:
    """Half dark, half light."""
    pixels = np.full((6, side, side, channels), DARK, dtype=np.uint8)
    pixels[:, :, side // 2 :] = LIGHT
    pixels[0, 0, 0] = range(channels)  # in color, if they are
    cells = pl.Series("photo", pixels if channels > 1 else pixels[..., 0])
    field = Image.learn("photo", cells)
    return Schema((field,)), Batch((field.encode(cells),), (), torch.arange(6))


def after(name: str, severity: int, side: int = 16, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    schema, batch = pictures(side, channels)
    found = corrupted(schema, batch, name, severity, torch.Generator().manual_seed(0))
    return batch.inputs[0].float()[1:], found.inputs[0].float()[1:]


def test_noise_has_the_stated_spread():
    before, x = after("noise", 2)
    assert float((x - before).std()) == pytest.approx(0.08 * 255, rel=0.05)


def test_contrast_is_around_the_mean_of_each_picture():
    _, x = after("contrast", 2)
    assert x.unique().tolist() == [104.0, 136.0]  # 120 -+ 0.4 * 40


def test_brightness_goes_up_or_down():
    before, x = after("brightness", 2)
    assert (x - before).unique().tolist() == [-38.0, 38.0]


def test_a_blur_is_a_gaussian():
    _, x = after("blur", 3)
    weights = np.exp(-(np.arange(-4, 5.0) ** 2) / 2)
    weights /= weights.sum()
    profile = [DARK + (LIGHT - DARK) * weights[4 - (k - 7) + 1 :].sum() for k in (5, 6, 7)]
    assert x[0, 0, 8, 5:8].tolist() == pytest.approx(profile, abs=1.0)


def test_larger_pictures_are_blurred_over_more_pixels():
    small, large = (after("blur", 3, side)[1] for side in (32, 64))
    assert small[0, 0, 9].unique().numel() < large[0, 0, 9].unique().numel()


def test_a_picture_of_one_pixel_is_not_blurred():
    before, x = after("blur", 3, side=2)
    assert x.shape == before.shape


@pytest.mark.parametrize("channels", [1, 3])
def test_compressed_pictures_are_nearly_the_same(channels: int):
    before, x = after("jpeg", 1, side=20, channels=channels)  # the edge is inside a block of 8 pixels
    assert 0 < float((x - before).abs().mean()) < 3


def test_pictures_are_turned_either_way_by_the_stated_angle():
    _, x = after("rotation", 3, side=32)
    corners = {(float(p[0, 2, 16]), float(p[0, 29, 16])) for p in x}
    assert len(corners) == 2  # the edge leans left or right
