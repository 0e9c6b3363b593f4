from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from netwright.records.errors import DataError
from netwright.records.frames import Raw
from netwright.tasks.clock import EACH_ROW, Step
from netwright.tasks.grid import Grid, Placed, spread

START = datetime(2024, 1, 1)


def _raw(hours: list[float], shops: list[str] | None = None) -> Raw:
    times = pl.Series("at", [START + timedelta(hours=hour) for hour in hours])
    owners = None if shops is None else pl.Series("shop", shops)
    return Raw(pl.DataFrame({"y": range(len(hours))}), ("y",), owners, times)


def test_rows_without_times_count_within_their_series() -> None:
    raw = Raw(pl.DataFrame({"y": range(5)}), ("y",), pl.Series("shop", ["a", "a", "b", "b", "b"]))
    placed = Placed.of(raw)
    assert placed.step == EACH_ROW and placed.positions.tolist() == [0, 1, 0, 1, 2]
    assert placed.starts.tolist() == [0, 2]


def test_a_longer_hole_ends_a_stretch_and_a_shorter_one_is_empty_cells() -> None:
    placed = Placed.of(_raw([*range(10), 13, 14, *range(30, 40)]))
    starts, lengths = placed.stretches(5)
    assert starts.tolist() == [0, 12] and lengths.tolist() == [15, 10]
    grid = Grid.of(placed, 5, lambda lengths: np.where(lengths < 12, 4, 0))
    assert grid.size == 29 and grid.first.tolist() == [0, 19]
    assert grid.cells[[9, 10, 12]].tolist() == [9, 13, 19]
    found = spread(grid.cells, grid.size, [np.arange(22, dtype=np.float32)], 1)[:, 0]
    assert np.flatnonzero(np.isnan(found)).tolist() == [10, 11, 12, 15, 16, 17, 18]


def test_rows_closer_than_a_step_are_averaged_and_counted() -> None:
    raw = _raw([*range(20), 20, 20.2, *range(21, 40)])
    placed = Placed.of(raw)
    assert placed.notes == ("1 row at the same step of 1 hour as the row before: averaged",)
    cells = placed.positions - placed.positions[0]
    found = spread(cells, 40, [np.array([np.nan, *range(1, 41)], np.float32)], 1)[:, 0]
    assert found[20] == 20.5 and np.isnan(found[0])


def test_a_step_is_unknown_only_if_all_its_rows_are() -> None:
    one = np.array([1, np.nan, np.nan, np.nan, 5], np.float32)
    found = spread(np.array([0, 0, 1, 1, 2]), 4, [one, one * 2], 2)
    assert found[:, 0].tolist()[:1] == [1] and np.isnan(found[[1, 3]]).all() and found[2].tolist() == [5, 10]


def test_new_rows_that_have_other_steps_are_refused() -> None:
    hourly = Step("second", 3600.0)
    assert Placed.of(_raw([0.0]), hourly).positions.shape == (1,)
    with pytest.raises(DataError, match=r"1 day apart in 'at', but this run learned steps of 1 hour"):
        Placed.of(_raw([24.0 * k for k in range(30)]), hourly)
    with pytest.raises(DataError, match="1 minute apart"):
        Placed.of(_raw([k / 60 for k in range(300)]), hourly)


def test_a_training_whose_rows_were_steps_takes_new_rows_as_steps() -> None:
    placed = Placed.of(_raw([24.0 * k for k in range(30)]), EACH_ROW)
    assert placed.positions.tolist() == list(range(30))
