"""The doctor on forecasts: healthy trainings are not called sick, and sick ones are."""

from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import netwright as nw
from netwright.models.guards import network_of
from netwright.records.finding import Finding
from netwright.records.run import Run
from netwright.training.adopt import adopt
from netwright.training.fit import fit

STEPS = 500
SETTINGS = {
    "epochs": 6, "width": 16, "activation": "relu", "precision": "fp32", "kernels": "torch", "compile": "never",
    "threads": 1, "adapt": False,
}  # fmt: skip


def _frame(*, is_shuffled: bool = False) -> pl.DataFrame:
    """A day and noise, perhaps in random order, and a column of another scale."""
    random, hours = np.random.default_rng(0), np.arange(STEPS)
    load = 20 + 5 * np.sin(hours * 2 * np.pi / 24) + random.normal(size=STEPS)
    times = [datetime(2024, 1, 1) + timedelta(hours=int(hour)) for hour in hours]
    wide = 1e6 * (load + random.normal(size=STEPS))
    return pl.DataFrame({"at": times, "load": random.permutation(load) if is_shuffled else load, "wide": wide})


def _trained(folder: Path, frame: pl.DataFrame, **settings: object) -> Run:
    words = {**SETTINGS, **settings}
    return nw.train(frame, target="load", time="at", task="forecasting:6,lags=48", settings=words, folder=folder)


def _loud(run: Run) -> list[Finding]:
    report = nw.diagnose(run)
    assert not any("bug" in check.skipped for check in report.checks)
    return [finding for finding in report.findings if finding.severity != "note"]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _trained(tmp_path_factory.mktemp("forecast") / "run", _frame())


def test_a_healthy_forecast_is_not_called_sick(healthy: Run) -> None:
    assert not _loud(healthy)


def test_a_rate_a_thousand_times_too_high_is_named_though_the_start_was_kept(tmp_path: Path) -> None:
    (found,) = _loud(_trained(tmp_path / "run", _frame(), lr=0.5))
    assert (found.code, found.severity) == ("NW331", "error")
    assert "since it kept what came before an epoch" in found.summary


def test_values_in_random_order_are_no_better_than_a_constant(tmp_path: Path) -> None:
    (found,) = _loud(_trained(tmp_path / "run", _frame(is_shuffled=True)))
    assert (found.code, found.severity) == ("NW346", "error") and "the constant model" in found.summary


@pytest.mark.parametrize("bias", [0.0, -20.0])
def test_dead_units_beside_the_fit_are_named(healthy: Run, bias: float) -> None:
    network = network_of(healthy.task, healthy.schema, healthy.recipe, healthy.train)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "body" in name and name.endswith("bias"):
                weight += bias
    loaders = [list(part.batches(64, seed=None)) for part in (healthy.train, healthy.valid)]
    run = adopt(network, healthy.task, *loaders, recipe=healthy.recipe, build=lambda: deepcopy(network))
    training = fit(run)
    while True:
        try:
            next(training)
        except StopIteration as end:
            run = end.value
            break
    assert [finding.code for finding in _loud(run)] == (["NW303"] if bias else [])
