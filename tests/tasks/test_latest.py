from collections.abc import Sequence
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from netwright.records.errors import DataError
from netwright.records.frames import Frames, Raw
from netwright.records.source import Source
from netwright.tasks.clock import EACH_ROW, Step
from netwright.tasks.columns import Beside
from netwright.tasks.latest import latest
from netwright.tasks.windows import Cutting, Windows, cut

DAY = Step("second", 86_400.0)
START = date(2024, 1, 1)


def _days(shops: dict[str, list[float | None]], **columns: Sequence[object]) -> Raw:
    rows = [(shop, START + timedelta(k), value) for shop, values in shops.items() for k, value in enumerate(values)]
    table = pl.DataFrame(rows, schema={"shop": pl.String, "day": pl.Date, "y": pl.Float64}, orient="row")
    return Raw(table.select("y").with_columns(**{name: pl.Series(cells) for name, cells in columns.items()}), (),
               table["shop"], table["day"])  # fmt: skip


def _cut(beside: Beside | None = None, ahead: int = 2, lags: int = 5, step: Step = DAY) -> Cutting:
    return Cutting(Windows(ahead, lags, 1), step, beside or Beside())


def _past(frames: Frames) -> np.ndarray:
    return frames.arrays["past"][:, :, 0]


def test_each_series_ends_with_its_last_known_value_and_answers_follow_with_their_times() -> None:
    frames = latest(_days({"a": [*range(10)], "b": [1.0, 2.0, None, None], "c": [7.0]}), ("y",), _cut())
    past = _past(frames)
    assert past[0].tolist() == [5, 6, 7, 8, 9]
    assert np.isnan(past[1, :3]).all() and past[1, 3:].tolist() == [1, 2]
    assert np.isnan(past[2, :4]).all() and past[2, 4] == 7
    assert frames.names is not None and frames.names.columns == ["row", "step", "shop", "day"]
    assert frames.names["shop"].to_list() == ["a", "a", "b", "b", "c", "c"]
    days = [str(day)[5:] for day in frames.names["day"]]
    assert days == ["01-11", "01-12", "01-03", "01-04", "01-02", "01-03"]
    assert frames.spans[:, 0].tolist() == [9, 11, 14]
    assert frames.notes == ("2 series with most of the last 5 steps unknown: less is seen",)


def test_a_hole_before_the_end_stays_unknown_steps() -> None:
    raw = _days({"a": [*range(12)]})
    assert raw.times is not None
    keep = ~pl.Series(range(12)).is_in([8, 9])
    frames = latest(Raw(raw.table.filter(keep), (), raw.owners.filter(keep) if raw.owners is not None else None,
                        raw.times.filter(keep)), ("y",), _cut())  # fmt: skip
    past = _past(frames)[0]
    assert past[[0, 3, 4]].tolist() == [7, 10, 11] and np.isnan(past[1:3]).all()


def test_future_rows_hold_what_is_known_ahead() -> None:
    price = [float(k) for k in range(8)] + [10.0 + k for k in range(5)]
    beside = Beside(others=("price",), known=("price",), cycles=("day of week",))
    shops = {"a": [0.0, 1, 2, 3, 4, 5, None, None], "b": [1.0, 2.0, 3.0, None, None]}
    frames = latest(_days(shops, price=price), ("y",), _cut(beside))
    known = frames.arrays["known"][:, :, 0]
    assert known[0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert np.isnan(known[1, :2]).all() and known[1, 2:].tolist() == [10, 11, 12, 13, 14]
    assert frames.arrays["others"][0, :, 0].tolist() == [1, 2, 3, 4, 5]
    assert frames.arrays["calendar"].shape == (2, 7, 2)
    sunday = frames.arrays["calendar"][0, 5]  # January 7: the first step of a
    assert sunday == pytest.approx([np.sin(-2 * np.pi / 7), np.cos(2 * np.pi / 7)], abs=1e-6)


def test_next_steps_that_lack_a_known_column_are_refused_by_series_column_and_number() -> None:
    beside = Beside(known=("price", "sky"), labels=(("sky", ("rain", "sun")),))
    shops = {"a": [0.0, 1.0, 2.0, None, None], "b": [1.0, 2.0, None, None]}
    full: dict[str, Sequence[object]] = {"price": [1.0] * 9, "sky": ["sun"] * 9}
    assert latest(_days(shops, **full), ("y",), _cut(beside)).arrays["known"].shape == (2, 7, 3)
    lost = full | {"sky": ["sun"] * 8 + [None]}
    with pytest.raises(DataError, match="shop b has no 'sky' in 1 of the next 2 steps") as caught:
        latest(_days(shops, **lost), ("y",), _cut(beside))
    assert "--horizon" in caught.value.remedy and "empty 'y'" in caught.value.remedy
    assert latest(_days(shops, **lost), ("y",), _cut(beside), asked=1).arrays["known"].shape == (2, 7, 3)
    with pytest.raises(DataError, match="shop a has no 'price' in 3 of the next 5 steps; 2 series lack such steps"):
        latest(_days(shops, **full), ("y",), _cut(beside, ahead=5))
    with pytest.raises(DataError, match="no column 'sky', which this run knows ahead"):
        latest(_days(shops, price=[1.0] * 9), ("y",), _cut(beside))


def test_series_that_are_known_only_ahead_are_left_out_and_data_without_a_value_refused() -> None:
    frames = latest(_days({"a": [None, None], "b": [1.0, None], "c": [None]}), ("y",), _cut())
    assert frames.names is not None and frames.names["shop"].unique().to_list() == ["b"]
    assert "2 series without a value of y left out" in frames.notes
    with pytest.raises(DataError, match="no row has a value of y"):
        latest(_days({"a": [None, None]}), ("y",), _cut())
    with pytest.raises(DataError, match="the data have no column 'z'"):
        latest(_days({"a": [1.0]}), ("z",), _cut())


@pytest.mark.parametrize("origin", [8, 31, 60, 77])
def test_a_prediction_sees_what_training_saw_at_the_same_step(origin: int) -> None:
    """With a hole, a step of two rows (a clock change), labels, a column known ahead, and the calendar."""
    generator = np.random.default_rng(0)
    steps = [k for k in range(90) if k not in (40, 41, 70)]
    steps.insert(steps.index(50), 50)
    hours = pl.Series("at", [datetime(2024, 10, 25) + timedelta(hours=k) for k in steps])  # 50: October 27, 2:00
    table = pl.DataFrame(
        {
            "y": generator.normal(size=len(steps)),
            "warm": generator.normal(size=len(steps)),
            "sky": generator.choice(["sun", "rain"], len(steps)),
            "price": generator.normal(size=len(steps)),
        }
    )
    frames = cut(Raw(table, ("y",), None, hours, Source(known=("price",))), Windows(4, 8))
    assert frames.order is not None and list(frames.arrays) == ["past", "others", "known", "calendar", "y"]
    (window,) = np.flatnonzero(frames.order - frames.order[0] == origin - 8)
    is_future = pl.Series([k >= origin for k in steps])
    known = pl.Series([k < origin + 4 for k in steps])
    table = table.with_columns(
        y=pl.when(~is_future).then("y"), warm=pl.when(~is_future).then("warm"), sky=pl.when(~is_future).then("sky")
    )
    now = latest(Raw(table.filter(known), (), None, hours.filter(known)), ("y",), Cutting.read(frames.found))
    for name, array in now.arrays.items():
        before = frames.arrays[name][frames.table[name][int(window)]]
        assert array[0].tobytes() == np.ascontiguousarray(before).tobytes(), name


def test_columns_of_a_series_stand_beside_its_window() -> None:
    cells: Sequence[object] = ["Ulm", "Ulm", "Jena", None]
    frames = latest(
        _days({"a": [1.0, 2.0], "b": [None], "c": [3.0]}, city=cells), ("y",), _cut(Beside(static=("city",)))
    )
    assert frames.table.columns == ["past", "city"]
    assert frames.table["city"].to_list() == ["Ulm", None]


def test_months_and_numbers_go_on_and_rows_without_even_times_have_none() -> None:
    months = pl.date_range(date(2024, 1, 31), date(2024, 12, 31), "1mo", eager=True).dt.month_end().alias("month")
    table = pl.DataFrame({"y": range(12)})
    names = latest(Raw(table, (), None, months), ("y",), _cut(step=Step("month", 1))).names
    assert names is not None and [str(day) for day in names["month"]] == ["2025-01-31", "2025-02-28"]
    names = latest(Raw(table, (), None, pl.Series("n", range(12))), ("y",), _cut(step=Step("number", 1.0))).names
    assert names is not None and names["n"].to_list() == [12, 13]
    names = latest(Raw(table, (), None, pl.Series("n", range(12))), ("y",), _cut(step=EACH_ROW)).names
    assert names is not None and names.columns == ["row", "step"]


def test_days_that_were_read_as_midnights_are_dates_again() -> None:
    days = pl.Series("day", [datetime(2024, 2, 28), datetime(2024, 2, 29)])
    names = latest(Raw(pl.DataFrame({"y": [1.0, 2.0]}), (), None, days), ("y",), _cut()).names
    assert names is not None and names["day"].to_list() == [date(2024, 3, 1), date(2024, 3, 2)]
    late = latest(Raw(pl.DataFrame({"y": [1.0, 2.0]}), (), None, days + timedelta(hours=16)), ("y",), _cut()).names
    assert late is not None and late["day"].to_list() == [datetime(2024, 3, 1, 16), datetime(2024, 3, 2, 16)]


def test_hours_of_a_time_zone_go_on_across_clock_changes() -> None:
    zone = "Europe/Zurich"
    hours = pl.datetime_range(datetime(2024, 3, 30), datetime(2024, 3, 31, 1), "1h", time_zone=zone, eager=True).alias(
        "at"
    )
    raw = Raw(pl.DataFrame({"y": range(len(hours))}), (), None, hours)
    names = latest(raw, ("y",), _cut(step=Step("second", 3600.0))).names
    assert names is not None
    assert [f"{hour:%H:%M%z}" for hour in names["at"]] == ["03:00+0200", "04:00+0200"]


def test_columns_named_as_ours_are_renamed() -> None:
    shops = pl.Series("step", ["a"] * 30)
    names = latest(Raw(pl.DataFrame({"y": range(30)}), (), shops), ("y",), _cut(step=EACH_ROW)).names
    assert names is not None and names.columns == ["row", "step", "step of the data"]


def test_quarters_of_an_hour_in_one_row_each_are_forecast() -> None:
    times = pl.Series("at", [datetime(2024, 5, 1, 12, 15)])
    frames = latest(Raw(pl.DataFrame({"y": [3.0]}), (), None, times), ("y",), _cut(step=Step("second", 900.0)))
    assert frames.names is not None and frames.names["at"].to_list() == [
        datetime(2024, 5, 1, 12, 30),
        datetime(2024, 5, 1, 12, 45),
    ]
