from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import netwright as nw
from netwright.records.errors import DataError

SETTINGS = {"epochs": 1, "width": 8, "precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1}
FIRST = date(2024, 1, 1)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    days = np.arange(300)
    units = 50 + 20 * np.sin(days * 2 * np.pi / 7) + np.random.default_rng(0).normal(size=300) * 3
    frame = pl.DataFrame({"day": [FIRST + timedelta(days=int(day)) for day in days], "units": units})
    frame.write_csv(tmp_path / "units.csv")
    return tmp_path / "units.csv"


def test_a_training_is_repeated_at_earlier_times_and_scored_on_what_came_next(
    table: Path, tmp_path: Path, netwright: Callable
) -> None:
    settings = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    words = ("--task", "forecasting:7", "--time", "day", "--target", "units", "--run", tmp_path / "run", "--no-audit")
    done = netwright("train", table, *words, *settings, "--origins", "3")
    assert done.code == 0, done.err
    assert "mase over 3 trainings" in done.out and "origin 2 of 3" in done.err
    run = nw.load(tmp_path / "run")
    assert run.origins is not None and run.scores is not None
    periods = run.origins.periods
    assert sum(period.scores.count for period in periods) == run.scores.count
    assert [period.train for period in periods] == sorted({period.train for period in periods})
    assert all(one.last > one.first for one in periods)
    assert periods[0].first < periods[1].first <= periods[0].last < periods[2].last == "2024-10-26"
    assert "ridge on the past" in dict(periods[0].baselines)


def test_origins_need_examples_in_order_of_time_and_enough_of_them(table: Path) -> None:
    frame = pl.DataFrame({"x": range(40), "y": ["a", "b"] * 20})
    with pytest.raises(DataError, match="no order in time"):
        nw.train(frame, target="y", settings=SETTINGS, origins=2)
    said = {"target": "units", "time": "day", "task": "forecasting:7", "settings": SETTINGS}
    with pytest.raises(DataError, match="too few for 200 origins"):
        nw.train(table, **said, audit=False, diagnose=False, origins=200)
