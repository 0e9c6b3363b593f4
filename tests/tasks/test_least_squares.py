import torch

from netwright.tasks.least_squares import Windows, around, held_out, least_squares

GENERATOR = torch.Generator().manual_seed(0)


def _windows(count: int = 400, covariates: int = 0, noise: float = 0.1, lags: int = 6) -> tuple[Windows, torch.Tensor]:
    """The future is the last value plus twice the one before, plus the covariates."""
    past = torch.randn(count, 2, lags, generator=GENERATOR)
    shared = torch.randn(count, covariates, generator=GENERATOR)
    weights = torch.randn(2, covariates, 3, generator=GENERATOR)
    future = (past[..., -1:] + 2 * past[..., -2:-1]).expand(-1, -1, 3) + torch.einsum("ns,csa->nca", shared, weights)
    future = future + noise * torch.randn(future.shape, generator=GENERATOR)
    return Windows(past, shared, future, torch.ones(count, 2), torch.arange(count)), weights


def test_the_weights_that_made_the_data_are_found() -> None:
    windows, _ = _windows()
    fit = least_squares(windows, 1, (0.1, 0.5, 0.9))
    assert torch.allclose(fit.past[-2:], torch.tensor([[2.0], [1.0]]).expand(2, 3), atol=0.05)
    assert torch.allclose(fit.errors[:, 1], torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(fit.errors[:, 2], torch.full((3,), 0.128, dtype=torch.float64), atol=0.04)


def test_each_target_has_its_own_weights_of_covariates() -> None:
    windows, weights = _windows(covariates=2)
    fit = least_squares(windows, 1, (0.1, 0.5, 0.9))
    assert torch.allclose(fit.beside, weights, atol=0.05)
    assert torch.allclose(fit(windows.past, windows.shared), windows.future, atol=0.6)


def test_missing_steps_count_as_usual_and_few_windows_still_give_a_forecast() -> None:
    for count in (12, 2, 1):
        windows, _ = _windows(count)
        windows.future[:, 0, 1] = torch.nan
        fit = least_squares(windows, 2, (0.1, 0.5, 0.9))
        assert all(bool(x.isfinite().all()) for x in (fit.past, fit.bias, fit.errors))


def test_what_is_held_out_is_the_latest_and_shares_no_step_with_what_is_fitted() -> None:
    windows, _ = _windows(100)
    several = Windows(*(x.repeat_interleave(2, 0) for x in vars(windows).values()))  # two series at each time
    early, late = held_out(several)
    assert late.moments.tolist() == [moment for moment in range(80, 100) for _ in range(2)]
    assert int(early.moments.max()) == 80 - 3
    early, late = held_out(windows.take(slice(3)))
    assert len(early) == len(late) == 3


def test_errors_of_few_windows_are_those_on_windows_that_the_fit_has_not_seen() -> None:
    windows, _ = _windows(40, covariates=30, noise=1.0)  # more columns than windows: the fit itself has no error
    fit = least_squares(windows, 1, (0.1, 0.5, 0.9))
    seen = around((windows.future - fit(windows.past, windows.shared)).flatten(0, 1), (0.1, 0.5, 0.9))
    assert (fit.errors[:, 2] > 1.2 * seen[:, 2]).all() and (fit.errors[:, 2] > 1.0).all()
