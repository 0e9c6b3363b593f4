import torch

from netwright.models.forecaster import forecaster
from netwright.models.history import History
from netwright.records.recipe import Recipe

LEVELS = (0.1, 0.5, 0.8, 0.9)
SMALL = Recipe().edit({"width": 16, "depth": 2, "dropout": 0.0})


def _network(season: int = 4, channels: int = 1) -> torch.nn.Module:
    history = History(("past",), (channels,), 12, 5, season, ((10.0,) * channels, (2.0,) * channels))
    return forecaster(history, season, LEVELS, (), SMALL).eval()


def test_quantiles_rise_whatever_the_weights() -> None:
    network = _network(channels=3)
    with torch.no_grad():
        for weights in network.parameters():
            weights.normal_(0, 3, generator=torch.Generator().manual_seed(weights.numel()))
        outputs = network(torch.randn(20, 12, 3, generator=torch.Generator().manual_seed(0)) * 5 + 10)
    assert outputs.shape == (20, 5, 3, 4)
    assert bool((outputs.diff(dim=3) >= 0).all())


def test_an_untrained_network_repeats_the_mean_of_the_last_cycles_or_the_last_value() -> None:
    wave = torch.tensor([3.0, 9.0, 4.0, 8.0]).repeat(3)[None, :, None]
    with torch.no_grad():
        network = _network()
        torch.nn.init.zeros_(network.head.weight)  # type: ignore[arg-type]  # the head is a layer
        found = network(wave)[0, :, 0, 1] * 2 + 10
        still = _network(season=1)
        torch.nn.init.zeros_(still.head.weight)  # type: ignore[arg-type]  # the head is a layer
        last = still(wave)[0, :, 0, 1] * 2 + 10
    assert torch.allclose(found, torch.tensor([3.0, 9.0, 4.0, 8.0, 3.0]), atol=1e-4)
    assert torch.allclose(last, torch.full((5,), 8.0), atol=1e-4)


def test_a_level_and_a_scale_that_training_lacks_move_the_forecast_with_them() -> None:
    network, x = _network(), torch.randn(6, 12, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain, moved = network(x), network(x * 50 + 1000)
    assert torch.allclose((moved * 2 + 10 - 1000) / 50, plain * 2 + 10, atol=1e-3)


def test_missing_steps_and_short_windows_give_finite_forecasts() -> None:
    network, x = _network(), torch.randn(3, 12, 1, generator=torch.Generator().manual_seed(0))
    x[0, :8] = torch.nan
    x[1] = torch.nan
    x[2] = 7.0
    with torch.no_grad():
        assert bool(network(x).isfinite().all())
        assert network(x[:, :9]).shape == (3, 5, 1, 4)
