from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from netwright.records.errors import RecipeError
from netwright.records.frames import Raw
from netwright.tasks.windows import LEVELS, Windows, cut, latest

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1)


def _raw(count: int, step: timedelta = HOUR, left_out: range = range(0)) -> Raw:
    rows = [k for k in range(count) if k not in left_out]
    times = pl.Series("at", [START + step * k for k in rows])
    return Raw(pl.DataFrame({"y": [float(k) for k in rows]}), ("y",), None, times)


def test_a_detail_says_horizon_lags_season_and_quantiles() -> None:
    assert Windows.read("") == Windows(24)
    assert Windows.read("96") == Windows(96)
    found = Windows.read("96,lags=336,season=24,quantiles=0.1/0.5/0.9")
    assert found == Windows(96, 336, 24, (0.1, 0.5, 0.9))
    assert found.levels != LEVELS


@pytest.mark.parametrize("detail", ["0", "x", "3,lag=2", "3,lags=", "3,quantiles=0.1/0.9", "3,quantiles=0.5/0.1", "-4"])
def test_other_details_are_refused(detail: str) -> None:
    with pytest.raises(RecipeError, match="forecasting"):
        Windows.read(detail)


@pytest.mark.parametrize(
    ("step", "season"),
    [(HOUR, 24), (HOUR / 4, 96), (HOUR * 24, 7), (HOUR * 168, 52), (HOUR * 2, 12), (HOUR * 24 * 3, 1)],
)
def test_the_season_is_that_of_the_time_stamps_and_the_past_is_many_seasons(step: timedelta, season: int) -> None:
    frames = cut(_raw(4000, step), Windows(5))
    past, ahead = frames.arrays["past"], frames.arrays["y"]
    assert ahead.shape[1] == season + 5
    assert past.shape[1] == min(512, max(10, 14 * season))


def test_short_data_shorten_the_past() -> None:
    assert cut(_raw(200), Windows(5)).arrays["past"].shape[1] == 40
    assert cut(_raw(50), Windows(5)).arrays["y"].shape[1] == 1 + 5  # no season in 10 steps
    with pytest.raises(RecipeError, match="season=24 is longer than the 10 lags"):
        cut(_raw(50), Windows(5, season=24))


def test_windows_are_views_of_one_array() -> None:
    frames = cut(_raw(3000), Windows(24))
    for array in frames.arrays.values():
        low, high = np.lib.array_utils.byte_bounds(array)
        assert high - low <= 3000 * 4 < array.nbytes
    assert np.shares_memory(frames.arrays["past"], frames.arrays["y"])


def test_without_times_rows_are_in_order_and_the_last_of_each_series_are_the_latest() -> None:
    series = pl.Series("shop", ["a"] * 30 + ["b"] * 40)
    frames = cut(Raw(pl.DataFrame({"y": range(70)}), ("y",), series), Windows(4, 10))
    assert frames.order is not None
    assert frames.order.tolist() == [*range(10, 27), *range(10, 37)]
    past = frames.arrays["past"][frames.table["past"].to_numpy()][:, :, 0]
    assert past[16].tolist() == list(range(16, 26)) and past[17].tolist() == list(range(30, 40))
    names = latest(Raw(pl.DataFrame({"y": range(70)}), (), series), ("y",), Windows(2, 10)).names
    assert names is not None and names.columns == ["row", "step", "shop"]


def test_no_window_crosses_a_gap() -> None:
    whole, broken = (cut(_raw(1000, left_out=gap), Windows(4, 20)) for gap in (range(0), range(500, 510)))
    assert whole.notes == ()
    assert broken.notes == ("1 gap between time stamps: no window crosses one",)
    past = broken.arrays["past"][broken.table["past"].to_numpy()]
    assert (np.diff(past[:, :, 0], axis=1) == 1).all()
    assert len(whole.table) - len(broken.table) == 10 + 23


def test_uneven_times_make_each_row_a_step_and_say_so() -> None:
    workdays = [START + timedelta(k) for k in range(700) if k % 7 < 5]
    raw = Raw(pl.DataFrame({"y": range(500)}), ("y",), None, pl.Series("at", workdays))
    frames = cut(raw, Windows(5, 10))
    assert len(frames.table) == 500 - 14
    assert "not evenly spaced" in frames.notes[0]


def test_spans_hold_what_is_predicted_and_blocks_are_as_long() -> None:
    frames = cut(_raw(300), Windows(6, 20))
    assert frames.spans[0].tolist() == [20, 26]
    assert (np.diff(frames.spans, axis=1) == 6).all()
    assert frames.blocks().tolist() == (frames.spans[:, 0] // 6).tolist()


def test_answers_follow_each_series_with_its_own_times() -> None:
    months = pl.date_range(START, datetime(2024, 12, 1), "1mo", eager=True)
    times = pl.concat([months, months[:9]]).rename("month")
    series = pl.Series("shop", ["a"] * 12 + ["b"] * 9)
    raw = Raw(pl.DataFrame({"y": [float(k) for k in range(21)]}), (), series, times)
    frames = latest(raw, ("y",), Windows(2, 10))
    assert frames.names is not None
    assert frames.names["shop"].to_list() == ["a", "a", "b", "b"]
    assert [str(day) for day in frames.names["month"]] == ["2025-01-01", "2025-02-01", "2024-10-01", "2024-11-01"]
    past = frames.arrays["past"][:, :, 0]
    assert past[0].tolist() == list(range(2, 12))
    assert np.isnan(past[1, 0]) and past[1, 1:].tolist() == list(range(12, 21))
    assert "1 series with fewer than 10 unbroken steps at the end: less is known" in frames.notes


def test_columns_that_are_not_used_are_named() -> None:
    raw = _raw(200)
    table = raw.table.with_columns(warm=pl.lit(1.0))
    assert "columns not used: warm" in cut(Raw(table, ("y",), None, raw.times), Windows(4)).notes[0]
