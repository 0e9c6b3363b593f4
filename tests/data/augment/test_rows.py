"""Changes of series, texts and tables."""

import pytest
import torch
from torch import Generator, Tensor

from netwright.data.augment.series import MOVE, channel_dropout, jitter, move, stretch, time_mask, window
from netwright.data.augment.table import LOST, category_dropout, noise, number_dropout
from netwright.data.augment.text import DROPPED, REPLACED, SWAPPED, word_dropout, word_noise, word_swap


def _seed(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def _clocks(steps: int = 60, length: int = 40, count: int = 200) -> Tensor:
    """Series whose values are their own steps, padded behind the end."""
    x = torch.arange(float(steps)).expand(count, steps)[:, :, None].repeat(1, 1, 2)
    x[:, length:] = torch.nan
    return x


def _lengths(x: Tensor) -> Tensor:
    return (~x.isnan().all(2)).sum(1)


def test_moved_series_keep_their_length_and_their_order() -> None:
    moved = move(_clocks(), _seed())
    assert (_lengths(moved) == 40).all()
    by = moved[:, 20, 0] - 20
    assert set(by.tolist()) == set(range(-4, 5))
    assert (moved[:, 5:35, 0] == torch.arange(5, 35) + by[:, None]).all()


def test_stretched_series_run_evenly_from_the_same_start() -> None:
    stretched = stretch(_clocks(), _seed())
    lengths = _lengths(stretched)
    assert lengths.min() == 36 and lengths.max() == 44
    for row, length in zip(stretched[:, :, 0], lengths.tolist(), strict=True):
        exact = (torch.arange(length) + 0.5) * 40 / length - 0.5
        assert (row[:length] - exact).abs().max() <= 1.5


def test_stretched_series_do_not_outgrow_the_longest() -> None:
    assert _lengths(stretch(_clocks(40, 40), _seed())).max() == 40


def test_windows_are_runs_of_the_series() -> None:
    cut = window(_clocks(), _seed())
    lengths = _lengths(cut)
    assert lengths.min() == 36 and lengths.max() == 40
    start = cut[:, 0, 0]
    assert start.max() > 0 and (start + lengths <= 40).all()
    assert (cut[:, :36, 0] == start[:, None] + torch.arange(36)).all()


def test_a_mask_blanks_a_run_of_steps_to_the_mean() -> None:
    x = torch.randn(100, 50, 3, generator=_seed())
    masked = time_mask(x, _seed())
    changed = (masked != x).all(2)
    assert changed.sum(1).max() <= MOVE * 50 and changed.sum(1).min() >= 1
    assert (changed.int().diff(dim=1).abs().sum(1) <= 2).all()
    row = int(changed.sum(1).argmax())
    assert torch.allclose(masked[row][changed[row]], x[row].mean(0).expand(int(changed[row].sum()), 3))


def test_dropped_channels_are_flat_and_their_gaps_stay() -> None:
    x = torch.randn(400, 20, 4, generator=_seed())
    x[:, 5, 1] = torch.nan
    dropped = channel_dropout(x, _seed())
    flat = (dropped.nan_to_num() - dropped.nanmean(1, keepdim=True)).abs()[:, 10:].amax(1) < 1e-6
    assert flat.float().mean() == pytest.approx(0.1, abs=0.03)
    assert torch.equal(dropped.isnan(), x.isnan())


def test_noise_is_small_beside_the_spread_and_leaves_missing_numbers() -> None:
    x = torch.randn(500, 2, generator=_seed()) * torch.tensor([1.0, 1000.0])
    x[3, 0] = torch.nan
    added = noise(x, _seed()) - x
    assert added[3, 0].isnan() and not added[3, 1].isnan()
    assert added[:, 1].std() == pytest.approx(50, rel=0.2)
    assert noise(torch.tensor([[5.0]]), _seed()).item() == 5.0
    series = x[:, None].repeat(1, 3, 1)
    assert (jitter(series, _seed()) - series)[:, :, 1].std() == pytest.approx(50, rel=0.2)


def test_some_cells_are_dropped() -> None:
    missing = number_dropout(torch.ones(1000, 10), _seed()).isnan().float().mean()
    unseen = (category_dropout(torch.full((1000, 10), 3, dtype=torch.int32), _seed()) == 0).float().mean()
    assert missing == pytest.approx(LOST, abs=0.01) and unseen == pytest.approx(LOST, abs=0.01)


def test_words_are_dropped_replaced_and_swapped_as_often_as_said() -> None:
    x = torch.arange(2, 22, dtype=torch.int16).expand(1000, 20).contiguous()
    dropped, replaced, swapped = (change(x, _seed()) for change in (word_dropout, word_noise, word_swap))
    assert (dropped == 1).float().mean() == pytest.approx(DROPPED, abs=0.01)
    assert (replaced != x).float().mean() == pytest.approx(REPLACED * 0.95, abs=0.01)  # 1 of 20 drew itself
    assert (swapped != x).float().mean() == pytest.approx(SWAPPED, abs=0.02)
    assert torch.equal(swapped.sort(1).values, x)
    assert (swapped - x).abs().max() == 1
