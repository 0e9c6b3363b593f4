"""Everyday corruptions of pictures: uint8 (B, C, H, W), C of 1 or 3.

Levels are the first, the third and the fifth of the benchmark for pictures of 32 pixels by Hendrycks and Dietterich
2019, arXiv:1903.12261: people recognize the things at all of them.
"""

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional as F

from netwright.attacks.corruptions import Corruption
from netwright.data.augment import beside
from netwright.data.augment.images import turned
from netwright.kinds.picture_files import opened
from netwright.records.schema import Block

SIDE = 32  # pixels of the pictures that blurs are meant for; larger ones are blurred in proportion
FADED = 3.0  # spreads of a Gaussian, beyond which it is nearly 0


def _noise(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """Gaussian noise, its spread as a share of white: a dark room."""
    drawn = torch.randn(x.shape, generator=beside(x, generator), device=x.device)
    return _pixels(x + 255 * level * drawn)


def _blur(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """A Gaussian blur, its spread in pixels of a picture of SIDE pixels: a shaking hand."""
    spread = level * max(1.0, min(x.shape[2:]) / SIDE)
    half = min(int(FADED * spread) + 1, min(x.shape[2:]) - 1)  # a reflection is narrower than the picture
    weights = (-(torch.arange(-half, half + 1, device=x.device) / spread).square() / 2).exp()
    weights = (weights / weights.sum()).expand(x.shape[1], 1, 1, -1)
    padded = F.pad(x.float(), (half, half, half, half), mode="reflect") if half else x.float()
    rows = F.conv2d(padded, weights, groups=x.shape[1])
    return _pixels(F.conv2d(rows, weights.mT, groups=x.shape[1]))


def _contrast(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """Each picture pulled to its own mean, up to a share of its contrast: fog."""
    mean = x.float().mean((1, 2, 3), keepdim=True)
    return _pixels(mean + level * (x - mean))


def _brightness(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """Each picture brighter or darker by a share of white: another lamp."""
    signs = torch.randint(2, (len(x), 1, 1, 1), generator=generator).to(x.device) * 2 - 1
    return _pixels(x + 255 * level * signs)


def _rotation(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """Each picture turned left or right by an angle in degrees: a camera held askew."""
    return turned(x, level * (torch.randint(2, (len(x),), generator=generator) * 2 - 1))


def _jpeg(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """Each picture saved as JPEG, at a quality of 1 to 100: sent by a messenger."""
    saved = np.stack([_saved(pixels, int(level)) for pixels in x.cpu().numpy()])
    return torch.from_numpy(saved).to(x)


def _saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    """(C, H, W) uint8 after compression."""
    file = BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(file, "jpeg", quality=quality)
    with opened(file.getvalue()) as image:
        return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def _pixels(x: Tensor) -> Tensor:
    return x.round().clamp(0, 255).byte()


noise = Corruption(("pictures",), _noise, (0.04, 0.08, 0.1))
blur = Corruption(("pictures",), _blur, (0.4, 0.7, 1.0))
contrast = Corruption(("pictures",), _contrast, (0.75, 0.4, 0.15))
brightness = Corruption(("pictures",), _brightness, (0.05, 0.15, 0.3))
# Theirs turns nothing. A tilt of 15 degrees is what augmentation calls harmless: half of it, and twice as much.
rotation = Corruption(("pictures",), _rotation, (7.5, 15.0, 30.0), moves=True)
jpeg = Corruption(("pictures",), _jpeg, (80, 58, 40))
