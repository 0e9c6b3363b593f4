import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from netwright.data.augment import partner
from netwright.data.augment.images import (
    GRAIN,
    blur,
    color,
    crop,
    cutmix,
    cutout,
    flip,
    flip_vertical,
    grain,
    mixup,
    rotate,
    shift,
    turned,
    zoom,
)


def _pictures(count: int = 64, height: int = 28, width: int = 20) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=_seed())


def _smooth(height: int, width: int) -> Tensor:
    """Pictures whose neighbouring pixels are alike, as where a pixel is sampled between two."""
    coarse = torch.rand(16, 1, 4, 4, generator=_seed()) * 255
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 255).round().byte()


def _seed(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize(("change", "axis"), [(flip, -1), (flip_vertical, -2)])
def test_flips_mirror_half_of_the_pictures_and_keep_the_others(change: object, axis: int) -> None:
    x = _pictures(400)
    flipped = change(x, _seed())  # type: ignore[operator]
    kept = (flipped == x).flatten(1).all(1)
    mirrored = (flipped == x.flip(axis)).flatten(1).all(1)
    assert (kept ^ mirrored).all()
    assert 160 < int(mirrored.sum()) < 240  # four standard deviations around 200


def test_shift_moves_each_picture_by_its_own_few_pixels() -> None:
    height, width = 28, 20
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = torch.stack([rows, columns]).to(torch.uint8).expand(64, 2, height, width).contiguous()
    moved = shift(x, _seed()).int()
    down = moved[:, 0, 14, 10] - 14
    right = moved[:, 1, 14, 10] - 10
    assert set(down.tolist()) == {-1, 0, 1} == set(right.tolist())
    inner = moved[:, :, 2:-2, 2:-2] - x[:, :, 2:-2, 2:-2].int()
    assert (inner[:, 0] == down[:, None, None]).all()
    assert (inner[:, 1] == right[:, None, None]).all()


def test_a_turn_by_right_angles_moves_pixels_exactly() -> None:
    x = _pictures(4, 16, 16)
    for quarters in range(4):
        assert torch.equal(turned(x, torch.full((4,), 90.0 * quarters)), x.rot90(quarters, (2, 3)))


@pytest.mark.parametrize("degrees", [10.0, -33.0])
def test_a_turn_equals_the_reference_pixel_by_pixel(degrees: float) -> None:
    """Bilinear, written out: where each output pixel's center was before the turn, in pixels, not in shares."""
    x = _smooth(21, 29)
    height, width = x.shape[2:]
    angle = torch.tensor(degrees).deg2rad()
    y, z = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    from_z = angle.cos() * z - angle.sin() * y + (width - 1) / 2
    from_y = angle.sin() * z + angle.cos() * y + (height - 1) / 2
    inside = (from_y >= 0) & (from_y <= height - 1) & (from_z >= 0) & (from_z <= width - 1)
    top, left = from_y.floor().clamp(0, height - 2).long(), from_z.floor().clamp(0, width - 2).long()
    down, right = from_y - top, from_z - left
    expected = sum(
        x[:, 0, top + a, left + b] * (down if a else 1 - down) * (right if b else 1 - right)
        for a in (0, 1)
        for b in (0, 1)
    )
    found = turned(x, torch.full((len(x),), degrees))[:, 0].float()
    assert inside.float().mean() > 0.5
    assert (found - expected)[:, inside].abs().max() <= 0.51  # of rounding to a whole pixel value


def test_rotations_stay_within_fifteen_degrees() -> None:
    arrow = torch.zeros(300, 1, 61, 61)
    arrow[:, :, 29:32, 50] = 255  # 20 pixels right of the middle
    y, z = _middle(rotate(arrow.byte(), _seed()))
    degrees = torch.atan2(30 - y, z - 30).rad2deg()
    assert degrees.abs().max() < 15.5
    assert degrees.max() > 12 and degrees.min() < -12
    assert abs(degrees.mean()) < 2  # the standard error is 0.5


def test_zoom_scales_each_side_by_up_to_fifteen_percent() -> None:
    corner = torch.zeros(300, 1, 61, 61)
    corner[:, :, 49:52, 49:52] = 255  # 20 pixels from the middle
    for places in _middle(zoom(corner.byte(), _seed())):
        factor = (places - 30) / 20
        assert factor.max() < 1.17 and factor.min() > 0.85
        assert factor.std() > 0.05


def test_crops_show_parts_of_the_picture_enlarged() -> None:
    ramp = torch.arange(200, dtype=torch.uint8).expand(100, 1, 200, 200).contiguous()
    cropped = crop(ramp, _seed())
    width = (cropped[:, 0, 100, 199].int() - cropped[:, 0, 100, 0].int()) / 199
    assert width.max() <= 1
    assert width.min() > 0.6  # the square root of half, narrower by the square root of 4/3
    assert width.std() > 0.05


def _middle(x: Tensor) -> tuple[Tensor, Tensor]:
    """The center of mass of each picture."""
    mass = x[:, 0].float()
    places = torch.arange(x.shape[2]).float()
    return ((mass.sum(2) @ places) / mass.sum((1, 2)), (mass.sum(1) @ places) / mass.sum((1, 2)))


def test_cutout_fills_one_square_with_the_mean() -> None:
    x = _pictures()
    changed = (cutout(x, _seed()) != x).any(1)
    assert (changed.flatten(1).sum(1) <= 5 * 5).all()
    assert (changed.flatten(1).sum(1) > 0).any()


def test_grain_has_no_direction_and_a_bounded_spread() -> None:
    added = grain(torch.full((64, 3, 28, 28), 128, dtype=torch.uint8), _seed()).float() - 128
    spreads = added.flatten(1).std(1)
    assert spreads.max() < GRAIN * 1.05 and spreads.min() < GRAIN / 4
    assert abs(added.mean()) < 0.2


def test_blur_keeps_the_mean_and_lowers_the_contrast() -> None:
    x = _pictures()
    blurred = blur(x, _seed()).float()
    assert (blurred.mean((1, 2, 3)) - x.float().mean((1, 2, 3))).abs().max() < 3
    assert (blurred.flatten(1).std(1) <= x.float().flatten(1).std(1) + 0.1).all()
    flat = torch.full((4, 1, 9, 9), 77, dtype=torch.uint8)
    assert torch.equal(blur(flat, _seed()), flat)


def test_color_leaves_grey_pictures_grey() -> None:
    grey = (_pictures()[:, :1] // 2 + 64).expand(-1, 3, -1, -1).contiguous()
    changed = color(grey, _seed()).int()
    assert (changed.amax(1) - changed.amin(1)).max() <= 1
    assert changed.float().mean((1, 2, 3)).std() > 10


def test_color_changes_pictures_without_color_in_brightness_and_contrast() -> None:
    x = _smooth(12, 12) // 2 + 64
    changed = color(x, _seed()).float()
    for before, after in zip(x.float(), changed, strict=True):
        slope = ((before - before.mean()) * (after - after.mean())).mean() / before.var(correction=0)
        assert 0.79 < slope < 1.21
        assert ((before - before.mean()) * slope - (after - after.mean())).abs().max() < 1.1  # a straight line


def test_mixup_is_the_sum_of_two_pictures_by_their_shares() -> None:
    x = _pictures()
    mixed, share = mixup.mix(x, _seed())
    own = share[:, None, None, None]
    assert (mixed - (own * x + (1 - own) * partner(x))).abs().max() <= 0.501
    assert 0.35 < share.mean() < 0.65 and share.min() >= 0 and share.max() <= 1


def test_cutmix_takes_as_many_pixels_as_it_says() -> None:
    x = torch.arange(64, dtype=torch.uint8)[:, None, None, None].expand(64, 1, 28, 20).contiguous()
    mixed, share = cutmix.mix(x, _seed())
    own = (mixed == x).float().mean((1, 2, 3))
    assert torch.allclose(own, share, atol=1e-6)
    assert ((mixed == x) | (mixed == partner(x))).all()
    assert 0.4 < share.mean() < 0.8 and share.std() > 0.15
