"""The contract of a change of training rows."""

import torch
from torch import Generator, Tensor

from netwright.data.augment import Augmentation, Mixing, Moving, family_of, moves


def check_augmentation(change: Augmentation | Mixing | Moving, x: Tensor, low: float, high: float) -> None:
    """Keeps shape, type, padding and missing cells; depends on the generator alone; leaves `x` unchanged.

    `x` are rows as the field encodes them, with padding or missing cells if it can have some; `low` and `high` are the
    bounds of whole numbers (`changes` keeps others within them).
    """
    before = x.clone()
    first, again, other = (change(x, Generator().manual_seed(seed)) for seed in (1, 1, 2))
    _expect(torch.equal(_filled(x), _filled(before)), "the input itself was changed")
    _expect(
        first.shape == x.shape and first.dtype == x.dtype,
        f"{x.dtype} {tuple(x.shape)} became {first.dtype} {tuple(first.shape)}",
    )
    _expect(torch.equal(_filled(first), _filled(again)), "the same generator gave another change")
    _expect(not torch.equal(_filled(first), _filled(x)), "nothing was changed")
    _expect(not torch.equal(_filled(first), _filled(other)), "another generator gave the same change")
    if not x.is_floating_point():
        _expect(low <= int(first.min()) and int(first.max()) <= high, f"values leave [{low:g}, {high:g}]")
    elif not moves(change):
        _expect(bool((first.isnan() >= x.isnan()).all()), "missing cells were filled")
    elif x.ndim == 3:
        _expect(bool(first[x.isnan().all(2).all(1)].isnan().all()), "a series without values got some")
    if family_of(change) == "text":
        _expect(torch.equal(first == 0, x == 0), "padding was changed, or words became padding")
    single = change(x[:1], Generator().manual_seed(3))
    _expect(single.shape == x[:1].shape, "a batch of one row is refused")


def _filled(x: Tensor) -> Tensor:
    """Comparable: NaN equals nothing."""
    return x.nan_to_num(nan=-12345.0) if x.is_floating_point() else x


def _expect(holds: bool, claim: str) -> None:
    if not holds:
        raise AssertionError(claim)
