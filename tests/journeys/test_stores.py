"""Stores: each sells units on each day, with a price that is known ahead, weather that is not, and a city."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import netwright as nw
from netwright.records.errors import DataError
from netwright.records.run import Run

FIRST = date(2023, 1, 2)
DAYS = 120
SETTINGS = {"epochs": 1, "width": 8, "precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1}
SAID = {"target": "units", "series": "store", "time": "day", "known": "price", "task": "forecasting:5,lags=28"}


def _sales(stores: list[str], days: int = DAYS, seed: int = 0) -> pl.DataFrame:
    """Half the price sells twice as much; the week has a rhythm."""
    generator, parts = np.random.default_rng(seed), list[pl.DataFrame]()
    for number, store in enumerate(stores):
        price = generator.choice([1.0, 2.0], days)
        rhythm = 1 + 0.5 * np.sin(np.arange(days) * 2 * np.pi / 7)
        parts.append(
            pl.DataFrame(
                {
                    "store": [store] * days,
                    "day": [FIRST + timedelta(k) for k in range(days)],
                    "units": generator.poisson(20 * (1 + number) * rhythm * 2 / price),
                    "price": price,
                    "sky": generator.choice(["sun", "rain"], days),
                    "city": [("Ulm", "Jena")[number % 2]] * days,
                    "note": [f"{store} on day {k}" for k in range(days)],
                }
            )
        )
    return pl.concat(parts)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("stores")
    young = _sales(["young"], 20, seed=1)
    table = pl.concat([_sales(["a", "b", "c"]), young]).sample(fraction=1, shuffle=True, seed=0)
    table.write_csv(path / "sales.csv")
    return nw.train(path / "sales.csv", settings=SETTINGS, folder=path / "run", audit=False, **SAID)


def _next(known: pl.DataFrame) -> pl.DataFrame:
    """The rows, and five more for each store with prices and nothing else."""
    last = known.group_by("store", maintain_order=True).agg(pl.col("day").max(), pl.col("city").last())
    ahead = [last.with_columns(pl.col("day") + timedelta(k + 1), price=pl.lit(1.0 + k % 2)) for k in range(5)]
    return pl.concat([known, *ahead], how="diagonal")


def test_the_run_says_what_it_sees(run: Run) -> None:
    names = [field.name for field in run.schema.inputs]
    assert names == ["past", "others", "known", "calendar", "city"]
    batch = run.train.take(run.train.rows[:2])
    shapes = sorted(tuple(x.shape[1:]) for x in batch.inputs)
    assert shapes == [(1,), (28, 1), (28, 2), (33, 1), (33, 2)]
    assert run.scores is not None and np.isfinite(run.scores["mase"].value)


def test_old_new_and_one_day_old_stores_are_forecast_with_their_prices(run: Run) -> None:
    known = pl.concat([_sales(["a", "new"]), _sales(["baby"], 1)])
    answers = nw.predict(run, _next(known))
    assert answers["store"].to_list() == ["a"] * 5 + ["baby"] * 5 + ["new"] * 5
    assert answers["day"].to_list()[:5] == [FIRST + timedelta(DAYS + k) for k in range(5)]
    assert answers["day"].to_list()[5] == FIRST + timedelta(1)
    assert answers["prediction"].is_finite().all() and (answers["prediction"] >= 0).all()
    is_next = pl.when(pl.col("units").is_null())
    cheap, dear = (
        nw.predict(run, _next(known).with_columns(price=is_next.then(one).otherwise("price"))) for one in (1.0, 2.0)
    )
    assert (cheap["prediction"] > dear["prediction"]).mean() > 0.8


def test_stores_without_their_next_prices_are_named(run: Run) -> None:
    known = _sales(["a", "b"])
    rows = _next(known)
    with pytest.raises(DataError, match="store b has no 'price' in 5 of the next 5 steps"):
        nw.predict(run, rows.filter((pl.col("store") == "a") | pl.col("units").is_not_null()))
    with pytest.raises(DataError, match="no column 'price', which this run knows ahead"):
        nw.predict(run, known.drop("price"))
    short = rows.filter(pl.col("units").is_not_null() | (pl.col("day") <= FIRST + timedelta(DAYS + 1)))
    assert nw.predict(run, short, horizon=2).height == 4


def test_scoring_other_rows_needs_no_future_rows(run: Run) -> None:
    assert nw.evaluate(run, _sales(["x"], 60, seed=3)).count == 60 - 32


def test_the_command_line_says_the_same(run: Run, tmp_path: Path, netwright: Callable) -> None:
    assert run.folder is not None
    _next(_sales(["a"])).write_csv(tmp_path / "new.csv")
    found = netwright("predict", run.folder, tmp_path / "new.csv", "--horizon", "2")
    assert found.code == 0 and found.out.splitlines()[1].split(",")[1:4] == ["1", "a", "2023-05-02"]
    bad = netwright("predict", run.folder, tmp_path / "new.csv", "--horizon", "6")
    assert bad.code != 0 and "5 steps ahead, not 6" in bad.err
