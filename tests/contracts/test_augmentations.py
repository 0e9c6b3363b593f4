"""The contract of augmentations, over every entry of their table."""

import pytest
import torch
from torch import Generator, Tensor

from netwright.data import AUGMENTATIONS
from netwright.data.augment import Augmentation, family_of
from netwright.resolve import resolve
from netwright.testing.augmentations import check_augmentation

SEED = Generator().manual_seed(0)


def _rows(family: str) -> tuple[Tensor, float, float]:
    """Encoded rows of a family of kinds, and their bounds."""
    if family == "pictures":
        return torch.randint(0, 256, (32, 3, 28, 20), dtype=torch.uint8, generator=SEED), 0, 255
    if family == "text":
        words = torch.randint(1, 30, (32, 12), dtype=torch.int16, generator=SEED)
        return words * (torch.arange(12) < torch.randint(0, 13, (32, 1), generator=SEED)), 0, 29
    if family == "labels":
        return torch.randint(0, 7, (32, 9), dtype=torch.int32, generator=SEED), 0, 6
    x = torch.randn(32, 9, generator=SEED) if family == "numbers" else torch.randn(32, 40, 3, generator=SEED)
    x[::7, 2] = torch.nan
    if family == "steps":
        x[:16, 25:] = torch.nan
        x[3] = torch.nan
    return x, 0, 0


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_fulfils_its_contract(name: str) -> None:
    change = resolve("augmentation", name, AUGMENTATIONS)
    check_augmentation(change, *_rows(family_of(change)))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 1, 1), (1, 2, 50)])
@pytest.mark.parametrize("name", [n for n, path in AUGMENTATIONS.items() if ".images:" in path])
def test_pictures_of_any_size_are_taken(name: str, shape: tuple[int, int, int]) -> None:
    x = torch.randint(0, 256, (6, *shape), dtype=torch.uint8, generator=SEED)
    changed = resolve("augmentation", name, AUGMENTATIONS)(x, Generator().manual_seed(0))
    assert (changed.shape, changed.dtype) == (x.shape, x.dtype)


def test_contract_finds_a_change_that_fills_missing_numbers() -> None:
    careless = Augmentation("numbers", lambda x, g: x.nan_to_num() + torch.rand(1, generator=g))
    with pytest.raises(AssertionError, match="missing cells were filled"):
        check_augmentation(careless, *_rows("numbers"))


def test_contract_finds_a_change_that_asks_no_generator() -> None:
    with pytest.raises(AssertionError, match="another generator gave the same change"):
        check_augmentation(Augmentation("pictures", lambda x, g: x.flip(-1)), *_rows("pictures"))


def test_contract_finds_words_in_the_padding() -> None:
    careless = Augmentation("text", lambda x, g: torch.randint(1, 30, x.shape, generator=g).to(x.dtype))
    with pytest.raises(AssertionError, match="padding was changed"):
        check_augmentation(careless, *_rows("text"))
