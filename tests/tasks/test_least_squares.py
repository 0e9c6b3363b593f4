import torch

from netwright.tasks.least_squares import Windows, least_squares

GENERATOR = torch.Generator().manual_seed(0)


def _windows(count: int = 400, covariates: int = 0, noise: float = 0.1) -> tuple[Windows, torch.Tensor]:
    """The future is the last value plus twice the one before, plus the covariates."""
    past = torch.randn(count, 2, 6, generator=GENERATOR, dtype=torch.float64)
    shared = torch.randn(count, covariates, generator=GENERATOR, dtype=torch.float64)
    weights = torch.randn(2, covariates, 3, generator=GENERATOR, dtype=torch.float64)
    future = (past[..., -1:] + 2 * past[..., -2:-1]).expand(-1, -1, 3) + torch.einsum("ns,csa->nca", shared, weights)
    future = future + noise * torch.randn(future.shape, generator=GENERATOR, dtype=torch.float64)
    return Windows(past, shared, future, torch.ones(count, 2, dtype=torch.float64)), weights


def test_the_weights_that_made_the_data_are_found() -> None:
    windows, _ = _windows()
    fit = least_squares(windows, 1, (0.1, 0.5, 0.9))
    assert torch.allclose(fit.past[-2:], torch.tensor([[2.0], [1.0]], dtype=torch.float64).expand(2, 3), atol=0.05)
    assert torch.allclose(fit.errors[:, 1], torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(fit.errors[:, 2], torch.full((3,), 0.128, dtype=torch.float64), atol=0.04)


def test_each_target_has_its_own_weights_of_covariates() -> None:
    windows, weights = _windows(covariates=2)
    fit = least_squares(windows, 1, (0.1, 0.5, 0.9))
    assert torch.allclose(fit.beside, weights, atol=0.05)
    assert torch.allclose(fit(windows.past, windows.shared), windows.future, atol=0.6)


def test_missing_steps_count_as_usual_and_few_windows_still_give_a_forecast() -> None:
    windows, _ = _windows(12)
    windows.future[:, 0, 1] = torch.nan
    fit = least_squares(windows, 2, (0.1, 0.5, 0.9))
    assert all(bool(x.isfinite().all()) for x in (fit.past, fit.bias, fit.errors))
