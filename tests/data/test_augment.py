import pytest
import torch
from torch import Generator, Tensor

from netwright.data import AUGMENTATIONS
from netwright.data.augment import Augmentation, cutout, flip, noise, shift
from netwright.resolve import resolve


def _pictures() -> Tensor:
    return torch.randint(0, 256, (64, 3, 28, 20), dtype=torch.uint8, generator=Generator().manual_seed(0))


def _seed(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_keep_shape_and_type_and_depend_on_the_generator(name: str) -> None:
    change = resolve("augmentation", name, AUGMENTATIONS)
    assert isinstance(change, Augmentation)
    x = _pictures() if change.kind == "image" else torch.randn(64, 5, generator=_seed())
    before = x.clone()
    first = change(x, _seed(1))
    assert first.shape == x.shape and first.dtype == x.dtype
    assert torch.equal(first, change(x, _seed(1)))
    assert not torch.equal(first, change(x, _seed(2)))
    assert torch.equal(x, before)


def test_flip_mirrors_some_pictures_and_keeps_the_others() -> None:
    x = _pictures()
    flipped = flip(x, _seed())
    kept = (flipped == x).flatten(1).all(1)
    mirrored = (flipped == x.flip(-1)).flatten(1).all(1)
    assert (kept ^ mirrored).all()
    assert 16 < int(mirrored.sum()) < 48


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


def test_cutout_fills_one_square_with_the_mean() -> None:
    x = _pictures()
    changed = (cutout(x, _seed()) != x).any(1)
    assert (changed.flatten(1).sum(1) <= 5 * 5).all()
    assert (changed.flatten(1).sum(1) > 0).any()


def test_noise_is_small_beside_the_spread_and_leaves_missing_numbers() -> None:
    x = torch.randn(500, 2, generator=_seed()) * torch.tensor([1.0, 1000.0])
    x[3, 0] = torch.nan
    added = noise(x, _seed()) - x
    assert added[3, 0].isnan() and not added[3, 1].isnan()
    assert added[:, 1].std() == pytest.approx(50, rel=0.2)
    assert noise(torch.tensor([[5.0]]), _seed()).item() == 5.0
