from datetime import date, datetime, timedelta

import polars as pl
import pytest

from netwright.records.errors import Unreadable
from netwright.records.frames import Raw
from netwright.tasks.doubles import doubles
from netwright.tasks.grid import Placed, spread

AUTUMN = {
    "Berlin": datetime(2024, 10, 27, 2),
    "New York": datetime(2024, 11, 3, 1),
    "London": datetime(2023, 10, 29, 1),
    "Sydney": datetime(2024, 4, 7, 2),
}


def _raw(times: list[datetime], values: list[float] | None = None) -> Raw:
    table = pl.DataFrame({"y": values or [float(k) for k in range(len(times))]})
    return Raw(table, ("y",), None, pl.Series("at", times))


def _with_double(moment: datetime, count: int = 10) -> list[datetime]:
    hours = [moment + timedelta(hours=k - 5) for k in range(count)]
    return sorted([*hours, moment])


@pytest.mark.parametrize("city", AUTUMN)
def test_the_hour_that_a_clock_shows_twice_is_averaged_and_reported_with_its_date(city: str) -> None:
    moment = AUTUMN[city]
    raw = _raw(_with_double(moment))
    equal, notes = doubles(raw)
    assert not equal.any()
    assert notes == (f"clock change on {moment.date()}: 1 pair of rows at the same time averaged",)
    placed = Placed.of(raw)
    cells = placed.positions - placed.positions[0]
    steps = spread(cells, 10, [raw.table["y"].to_numpy().astype("float32")], 1)[:, 0]
    assert steps.tolist() == [0, 1, 2, 3, 4, 5.5, 7, 8, 9, 10]


def test_quarters_of_that_hour_are_four_pairs() -> None:
    moment = AUTUMN["Berlin"]
    quarters = [moment + timedelta(minutes=15 * k) for k in range(-8, 12)]
    raw = _raw(sorted([*quarters, *quarters[8:12]]))
    assert doubles(raw)[1] == ("clock change on 2024-10-27: 4 pairs of rows at the same time averaged",)


def test_a_thousand_series_with_clock_changes_have_one_note() -> None:
    moment = AUTUMN["Berlin"]
    times = [t for _ in range(1000) for t in _with_double(moment)]
    shops = pl.Series("shop", [f"{k:04}" for k in range(1000) for _ in range(11)])
    raw = Raw(pl.DataFrame({"y": range(11_000)}), ("y",), shops, pl.Series("at", times))
    assert doubles(raw)[1] == ("clock change on 2024-10-27: 1,000 pairs of rows at the same time averaged",)


def test_rows_that_are_equal_are_left_out_and_counted() -> None:
    noon = datetime(2024, 5, 1, 12)
    times = [noon, noon, noon + timedelta(hours=1), noon + timedelta(hours=2), noon + timedelta(hours=2)]
    equal, notes = doubles(_raw(times, [1.0, 1.0, 2.0, 3.0, 3.0]))
    assert equal.tolist() == [False, True, False, False, True]
    assert notes == ("2 rows equal to the row before, at the same time: left out",)
    assert (
        Placed.of(_raw(times, [1.0, 1.0, 2.0, 3.0, 3.0])).positions.tolist()[0]
        == (Placed.of(_raw(times, [1.0, 1.0, 2.0, 3.0, 3.0])).positions.tolist()[1])
    )


def test_rows_at_one_time_with_equal_targets_are_averaged_and_counted() -> None:
    hours = [datetime(2024, 7, 1, hour) for hour in (0, 1, 1, 2, 2, 2)]
    table = pl.DataFrame({"y": [1.0, 2.0, 2.0, None, None, None], "rain": [0.0, 0.0, 1.0, 0.0, 1.0, 0.5]})
    equal, notes = doubles(Raw(table, ("y",), None, pl.Series("at", hours)))
    assert equal.tolist() == [False, False, True, False, True, True]
    assert notes == ("3 rows at the same time as the row before, with the same y: averaged",)
    unlike = table.with_columns(y=pl.Series([1.0, 2.0, 2.0, 3.0, 3.0, 4.0]))
    with pytest.raises(Unreadable, match="two rows have the at 2024-07-01 02:00:00") as caught:
        doubles(Raw(unlike, ("y",), None, pl.Series("at", hours)))
    assert sorted(caught.value.bad) == [4, 5] and "--time date,hour" in caught.value.remedy


def test_other_rows_at_one_time_are_refused_with_their_places() -> None:
    summer = _with_double(datetime(2024, 7, 28, 2))
    with pytest.raises(Unreadable, match="two rows have the at 2024-07-28 02:00:00") as caught:
        doubles(_raw(summer))
    assert sorted(caught.value.bad) == [5, 6]
    third = sorted([*_with_double(AUTUMN["Berlin"]), AUTUMN["Berlin"]])
    with pytest.raises(Unreadable, match="two rows have"):
        doubles(_raw(third))
    shops = pl.Series("shop", ["a"] * 3)
    days = pl.Series("day", [date(2024, 10, 27)] * 3)
    with pytest.raises(Unreadable, match="of shop a have the day 2024-10-27"):
        doubles(Raw(pl.DataFrame({"y": range(3)}), ("y",), shops, days))


def test_without_times_equal_rows_are_rows() -> None:
    equal, notes = doubles(Raw(pl.DataFrame({"y": [1, 1, 1]}), ("y",)))
    assert not equal.any() and not notes
