import torch

from netwright.models.history import History

LAGS, AHEAD = 12, 4


def _history(*roles: str, channels: tuple[int, ...] = (1,)) -> History:
    return History(roles, channels, LAGS, AHEAD, 4, ((10.0,), (2.0,)))  # type: ignore[arg-type]  # roles of the test


def test_a_window_is_scaled_by_itself_and_missing_steps_are_its_mean() -> None:
    x = torch.arange(12.0)[None, :, None] + 100
    x[0, 3] = torch.nan
    past, middle, spread, shared = _history("past")(x)
    known = torch.tensor([k for k in range(12) if k != 3], dtype=torch.float32) + 100
    assert torch.allclose(middle.squeeze(), (known.mean() - 10) / 2)
    assert torch.allclose(spread.squeeze(), known.std(correction=0) / 2, atol=1e-4)
    assert past[0, 0, 3] == 0 and shared.shape == (1, 0)


def test_the_spread_of_a_series_with_one_known_value_is_a_guess_from_its_level() -> None:
    small, large = torch.full((1, 12, 1), torch.nan), torch.full((1, 12, 1), torch.nan)
    small[0, -1], large[0, -1] = 0.1, 1000.0
    history = _history("past")
    spreads = [float(history(x)[2]) for x in (small, large)]
    assert 0.01 < spreads[0] < 0.1 and 0.8 < spreads[1] <= 1.0


def test_a_past_that_was_cut_after_its_last_known_step_is_read_like_the_whole() -> None:
    whole = torch.arange(12.0)[None, :, None]
    whole[:, 9:] = torch.nan
    history = _history("past")
    for one, other in zip(history(whole[:, :9]), history(whole), strict=True):
        assert torch.equal(one, other)


def test_covariates_are_scaled_by_training_rows_and_those_known_ahead_reach_the_last_step() -> None:
    history = _history("past", "others", "known", channels=(1, 2, 1))
    generator = torch.Generator().manual_seed(0)
    others = torch.randn(50, LAGS, 2, generator=generator) * 7 + 3
    known = torch.randn(50, LAGS + AHEAD, 1, generator=generator) * 100
    past = torch.randn(50, LAGS, 1, generator=generator)
    history.learn((past, others, known))
    shared = history(past, others, known)[3]
    assert shared.shape == (50, history.width)
    assert abs(float(shared.mean())) < 0.1 and abs(float(shared.std()) - 1) < 0.1
    changed = known.clone()
    changed[:, -1] += 50
    moved = (history(past, others, changed)[3] != shared).any(0)
    assert int(moved.sum()) == 1
    others[:, -1, 0] = torch.nan
    assert bool(history(past, others, known)[3].isfinite().all())


def test_the_calendar_is_read_at_the_first_step_ahead_with_overtones() -> None:
    history = _history("past", "calendar", channels=(1, 2))
    angle = torch.linspace(0, 3, LAGS + AHEAD)
    calendar = torch.stack([angle.sin(), angle.cos()], 1)[None]
    shared = history(torch.zeros(1, LAGS, 1), calendar)[3][0]
    expected = [f(angle[LAGS] * wave) for wave in (1, 2, 3) for f in (torch.cos, torch.sin)]
    assert torch.allclose(shared, torch.stack(expected), atol=1e-5)
