"""Augmentation of images: uint8 (B, C, H, W), C of 1 or 3."""

from collections.abc import Callable
from functools import partial
from math import log, pi, sqrt

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from netwright.data.augment import Augmentation, Mixing, Move, Moving, beside, partner
from netwright.records.batch import Geometry

SHIFT = 14  # an image moves by at most 1/14 of its size: 2 pixels of 28, as is usual for small images
HOLE = 4  # the hole's side is 1/4 of the image's: 8 of 32, DeVries & Taylor 2017 on CIFAR-100 (arXiv:1708.04552)
TURN = 15.0  # degrees to either side: Ciresan et al. 2010 on digits (arXiv:1003.0358), who use 7.5 if 1 and 7 mix up
ZOOM = 0.15  # of each side, larger or smaller: the same authors' 15 to 20 %
CROP = 0.5  # least share of the area to keep: at ImageNet's 0.08 small images lose their content
ASPECT = 4 / 3  # of a crop's sides, at most: Szegedy et al. 2014
GRAIN = 16.0  # of 255: the most noise, twice what is invisible
LIGHT = 0.2  # of the whole range (brightness), of their own (contrast, saturation): half of Chen's for CIFAR-10
HUE = 0.05  # of a full turn around the grey axis, also half of theirs: labels stay true without their second loss

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def _flip(x: Tensor, generator: Generator) -> Move:
    """Half of the images mirrored, left for right."""
    return _mirrored(x, -1, generator)


def _flip_vertical(x: Tensor, generator: Generator) -> Move:
    """Half of the images upside down."""
    return _mirrored(x, -2, generator)


def _mirrored(x: Tensor, axis: int, generator: Generator) -> Move:
    chosen = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
    sides = torch.ones(len(x), 2)
    sides[:, -1 - axis] -= 2 * chosen.flatten().float()  # axis -1 is x, -2 is y
    return _move(lambda t: torch.where(chosen.to(t.device), t.flip(axis), t), torch.diag_embed(sides))


def _shift(x: Tensor, generator: Generator) -> Move:
    """Each image moved by its own few pixels; the border is filled with its reflection."""
    height, width = x.shape[2:]
    most = max(1, min(height, width) // SHIFT)
    if min(height, width) <= most:
        return _move(lambda t: t, torch.eye(2).repeat(len(x), 1, 1))
    down, right = torch.randint(0, 2 * most + 1, (2, len(x), 1, 1), generator=generator)
    middles = torch.cat([right - most, down - most], 1).flatten(1) * torch.tensor([2 / width, 2 / height])

    def moved(t: Tensor) -> Tensor:
        if t.shape[2:] != (height, width):
            return _sampled(t, torch.eye(2).repeat(len(t), 1, 1), middles, "nearest")
        rows, channels = t.shape[:2]
        padded = F.pad(t, (most, most, most, most), mode="reflect")
        planes = torch.arange(rows * channels).view(rows, channels, 1) * (height + 2 * most)
        starts = (planes + torch.arange(height) + down) * (width + 2 * most) + right  # of each line in the flat tensor
        lines = padded.reshape(-1).unfold(0, width, 1)
        return lines.index_select(0, starts.reshape(-1).to(t.device)).view(t.shape)

    return _move(moved, torch.eye(2).repeat(len(x), 1, 1), middles)


def _rotate(x: Tensor, generator: Generator) -> Move:
    """Each image rotated around its center, by up to TURN degrees either way."""
    return _sampling(turn(x, _between(len(x), generator) * TURN), torch.zeros(len(x), 2))


def turn(x: Tensor, degrees: Tensor) -> Tensor:
    """(B, 2, 2) that rotates each image counterclockwise around its center by its own angle (B,)."""
    angle, ratio = degrees * (pi / 180), x.shape[2] / x.shape[3]
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos, -sin * ratio, sin / ratio, cos], 1).view(-1, 2, 2)


def turned(x: Tensor, degrees: Tensor) -> Tensor:
    """The rotated images; corners are reflections."""
    return _sampled(x, turn(x, degrees), torch.zeros(len(x), 2))


def _zoom(x: Tensor, generator: Generator) -> Move:
    """Both sides of each image stretched or shrunk, each by up to ZOOM; borders are filled with reflections."""
    factors = (_between((len(x), 2), generator) * log(1 + ZOOM)).exp()
    return _sampling(torch.diag_embed(factors), torch.zeros(len(x), 2))


def _crop(x: Tensor, generator: Generator) -> Move:
    """A part of each image, from CROP of its area to all of it, stretched to the old size.

    The random resized crop of Szegedy et al. 2014, arXiv:1409.4842, section 6, with larger parts.
    """
    area = CROP + (1 - CROP) * torch.rand(len(x), generator=generator)
    stretch = (_between(len(x), generator) * log(ASPECT) / 2).exp()
    sides = torch.stack([area.sqrt() * stretch, area.sqrt() / stretch], 1).clamp(max=1)
    return _sampling(torch.diag_embed(sides), _between((len(x), 2), generator) * (1 - sides))


def _sampling(matrices: Tensor, middles: Tensor) -> Move:
    """By the nearest pixels' mean; maps by the nearest pixel."""
    moved, nearest = (partial(_sampled, matrices=matrices, middles=middles, mode=m) for m in ("bilinear", "nearest"))
    return _move(moved, matrices, middles, nearest)


def _move(
    pictures: Callable[[Tensor], Tensor],
    matrices: Tensor,
    middles: Tensor | None = None,
    maps: Callable[[Tensor], Tensor] | None = None,
) -> Move:
    middles = torch.zeros(len(matrices), 2) if middles is None else middles
    each = maps or pictures
    return Move(pictures, Geometry(torch.cat([matrices, middles[:, :, None]], 2), lambda t: each(t[:, None])[:, 0]))


def _sampled(x: Tensor, matrices: Tensor, middles: Tensor, mode: str = "bilinear") -> Tensor:
    """The source of each output pixel: (B, 2, 2) and (B, 2), in (x, y) from -1 to 1 as in `affine_grid`."""
    where = torch.cat([matrices, middles[:, :, None]], 2).to(x.device)
    grid = F.affine_grid(where, [*x.shape], align_corners=False)
    return _pixels(F.grid_sample(x.float(), grid, mode, padding_mode="reflection", align_corners=False))


def _cutout(x: Tensor, generator: Generator) -> Tensor:
    """A square of each image replaced by the image's mean color; it may extend beyond the border.

    DeVries and Taylor 2017, arXiv:1708.04552.
    """
    rows, _, height, width = x.shape
    side = max(1, min(height, width) // HOLE)
    top = torch.randint(-(side // 2), height - side // 2, (rows, 1), generator=generator)
    left = torch.randint(-(side // 2), width - side // 2, (rows, 1), generator=generator)
    mean = x.float().mean((2, 3), keepdim=True).to(x.dtype)
    return torch.where(_box(x, top, left, top + side, left + side), mean, x)


def _box(x: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """(B, 1, H, W): whether a pixel is in the box of its image; edges are (B, 1)."""
    y, z = torch.arange(x.shape[2]), torch.arange(x.shape[3])
    inside = ((y >= top) & (y < bottom))[:, None, :, None] & ((z >= left) & (z < right))[:, None, None, :]
    return inside.to(x.device)


def _grain(x: Tensor, generator: Generator) -> Tensor:
    """Gaussian noise in each value; each image draws its spread, up to GRAIN."""
    spread = GRAIN * torch.rand(len(x), 1, 1, 1, generator=generator)
    drawn = torch.randn(x.shape, generator=beside(x, generator), device=x.device)
    return _pixels(drawn.mul_(spread.to(x.device)).add_(x))


def _blur(x: Tensor, generator: Generator) -> Tensor:
    """Each image blended with its means over 3 x 3 pixels, weighted 1 2 1, in a random share.

    A smaller blur than that of Chen et al. 2020, arXiv:2002.05709, appendix A.
    """
    if min(x.shape[2:]) < 2:
        return x
    sharp = x.float()
    wide = F.pad(sharp, (1, 1, 1, 1), mode="reflect")
    lines = wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]  # by hand: 8 times as fast as a convolution
    smooth = (lines[..., :-2] + 2 * lines[..., 1:-1] + lines[..., 2:]) / 16
    return _pixels(sharp.lerp_(smooth, torch.rand(len(x), 1, 1, 1, generator=generator).to(x.device)))


def _color(x: Tensor, generator: Generator) -> Tensor:
    """Random brightness and contrast; in color also saturation, and hues turned around the grey axis.

    As Chen et al. 2020, arXiv:2002.05709, appendix A, at half the strength and in one linear step: hues are turned in
    RGB, not in HSV.
    """
    rows, channels = x.shape[:2]
    brightness, contrast, saturation, hue = _between((4, rows, 1, 1), generator)
    matrix = torch.eye(channels).expand(rows, -1, -1) * (1 + LIGHT * contrast)
    if channels == 3:
        grey = torch.tensor(_LUMA).expand(3, 3)
        share = 1 + LIGHT * saturation
        matrix = matrix @ (share * torch.eye(3) + (1 - share) * grey) @ _turned_hues(2 * pi * HUE * hue)
    matrix = matrix.to(x.device)
    flat = x.flatten(2).float()
    middle = flat.mean((1, 2), keepdim=True)  # contrast is relative to the image's own mean
    offset = middle * (1 - matrix.sum(2, keepdim=True)) + (255 * LIGHT * brightness).to(x.device)
    return _pixels(torch.baddbmm(offset, matrix, flat)).view_as(x)


def _turned_hues(angle: Tensor) -> Tensor:
    """(B, 3, 3): rotations around the grey axis (1, 1, 1), by Rodrigues' formula; `angle` is (B, 1, 1) in radians."""
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / sqrt(3)
    return angle.cos() * torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) / 3


def _mixup(x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Each image blended with another in a uniformly drawn share, and their targets too.

    Zhang et al. 2017, arXiv:1710.09412, with a share for each image and alpha of 1, theirs for CIFAR-10.
    """
    share = torch.rand(len(x), generator=generator)
    own = share[:, None, None, None].to(x.device)
    return _pixels(torch.lerp(partner(x).float(), x.float(), own)), share


def _cutmix(x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """A box of another image pasted into each image; targets are mixed by area.

    Yun et al. 2019, arXiv:1905.04899, with a box for each image.
    """
    height, width = x.shape[2:]
    part = (1 - torch.rand(len(x), 1, generator=generator)).sqrt() / 2  # half the box's side, in image sides
    y, z = torch.rand(2, len(x), 1, generator=generator)
    top, bottom = ((edge * height).round().clamp(0, height) for edge in (y - part, y + part))
    left, right = ((edge * width).round().clamp(0, width) for edge in (z - part, z + part))
    share = 1 - ((bottom - top) * (right - left) / (height * width)).squeeze(1)
    return torch.where(_box(x, top, left, bottom, right), partner(x), x), share


def _between(shape: int | tuple[int, ...], generator: Generator) -> Tensor:
    """Uniform from -1 to 1."""
    return torch.rand(shape, generator=generator) * 2 - 1


def _pixels(x: Tensor) -> Tensor:
    """The nearest values that a pixel can have; overwrites x."""
    return x.round_().clamp_(0, 255).byte()


flip = Moving(_flip)
flip_vertical = Moving(_flip_vertical)
shift = Moving(_shift)
rotate = Moving(_rotate)
zoom = Moving(_zoom)
crop = Moving(_crop)
cutout = Augmentation("pictures", _cutout)
grain = Augmentation("pictures", _grain)
blur = Augmentation("pictures", _blur)
color = Augmentation("pictures", _color)
mixup = Mixing(_mixup)
cutmix = Mixing(_cutmix)
