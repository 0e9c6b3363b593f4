import numpy as np
import pytest
import torch
from torch import Tensor

from netwright.simple_models.kernel import fit
from netwright.simple_models.patches import QUARTERS, TYPICAL, patches
from netwright.simple_models.wanted import Wanted


def striped(count: int, height: int = 32, width: int = 32) -> tuple[Tensor, np.ndarray]:
    """Noisy stripes, upright or lying, at any phase: no pixel tells the class."""
    generator = np.random.default_rng(0)
    lies = np.arange(count) % 2
    phase = generator.uniform(0, 2 * np.pi, (count, 1, 1))
    down, right = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    along = np.where(lies[:, None, None] == 1, down, right)
    pixels = 128 + 60 * np.sin(along + phase) + generator.normal(size=along.shape) * 20
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))[:, None], lies


def test_the_direction_of_stripes_is_learned_from_few_pictures() -> None:
    pictures, lies = striped(120)
    x = patches(pictures.__getitem__, 120)
    answer = fit(x[:60], Wanted.classes(lies[:60], 2))
    assert answer is not None
    assert (answer(x[60:]).argmax(1).numpy() == lies[60:]).mean() == 1


@pytest.mark.parametrize("shape", [(2, 2, 1), (8, 8, 1), (5, 40, 3), (200, 90, 3)])
def test_pictures_of_any_size_have_as_many_columns(shape: tuple[int, int, int]) -> None:
    height, width, channels = shape
    pictures = torch.randint(0, 255, (12, channels, height, width), generator=torch.Generator().manual_seed(0))
    x = patches(pictures.byte().__getitem__, 12)
    assert x.shape == (12, TYPICAL * QUARTERS**2)
    assert np.isfinite(x).all()


def test_blank_pictures_have_finite_columns() -> None:
    assert np.isfinite(patches(torch.zeros(5, 3, 16, 16, dtype=torch.uint8).__getitem__, 5)).all()


def test_brightness_and_contrast_change_little() -> None:
    pictures, _ = striped(40)
    plain, dim = patches(pictures.__getitem__, 40), patches((pictures // 2 + 20).__getitem__, 40)
    assert np.corrcoef(plain.ravel(), dim.ravel())[0, 1] > 0.99
