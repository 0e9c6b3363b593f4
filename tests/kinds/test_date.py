import datetime
import math

import polars as pl
import pytest
import torch

from netwright.kinds.date import FEATURES, Date
from netwright.records.errors import DataError
from netwright.records.threat import Reach

WIDE = Reach()


def days(field: Date, cells: list[object]) -> list[float]:
    """Days since 1970."""
    return (field.encode(pl.Series(cells))[:, 0].double() + field.origin).tolist()


def number(year: int, month: int, day: int) -> int:
    return (datetime.date(year, month, day) - datetime.date(1970, 1, 1)).days


@pytest.mark.parametrize(
    "text",
    ["2003-02-28", "2003/2/28", "2003.02.28", "28.02.2003", "28/2/2003", "2/28/2003", "28 Feb 2003", "28-Feb-03",
     "February 28, 2003", "Fri, 28 Feb 2003", "2/28/03", "28.2.03"],
)  # fmt: skip
def test_dates_written_in_any_usual_way_are_read(text: str):
    cells = pl.Series([text] * 3)
    assert Date.matches(cells)
    assert days(Date.learn("when", cells), [text]) == [number(2003, 2, 28)]


@pytest.mark.parametrize(
    ("texts", "first"),
    [(["2024Q1", "2024Q2", "2024q4"], (2024, 1, 1)), (["2024-Q2", "2024-Q3"], (2024, 4, 1)),
     (["Q3 2024", "Q4/2024"], (2024, 7, 1)), (["2024-W05", "2024W06"], (2024, 1, 29)),
     (["2020-W53-7", "2021W011"], (2021, 1, 3)), (["5/2024", "12/2024"], (2024, 5, 1)),
     (["May 2024", "June 2024"], (2024, 5, 1)), (["May-24", "Jun-24"], (2024, 5, 1)),
     (["2024-05", "2024/6"], (2024, 5, 1))],
)  # fmt: skip
def test_months_quarters_and_weeks_mean_their_first_day(texts: list[str], first: tuple[int, int, int]):
    cells = pl.Series(texts)
    assert Date.matches(cells)
    assert days(Date.learn("when", cells), [*texts[:1]]) == [number(*first)]


def test_a_week_that_its_year_lacks_is_unreadable():
    field = Date.learn("when", pl.Series(["2024-W01", "2024-W52"]))
    assert field.describe() == "dates 2024-01-01 to 2024-12-23, read as year-week-weekday"
    assert field.encode(pl.Series(["2024-W53", "2024-W00", "2024Q5"])).isnan().all()


def test_the_detail_decides_between_day_first_and_month_first():
    cells = pl.Series(["1/2/2003", "3/4/2003"])
    field = Date.learn("when", cells, "%d-%m-%Y")
    assert field.is_certain
    assert days(field, ["1/2/2003"]) == [number(2003, 2, 1)]
    assert Date.learn("when", pl.Series(["1/2/2003", "3/14/2003"]), "%d-%m-%Y").format == "%m-%d-%Y"
    with pytest.raises(DataError, match="no dates are written 'day first'") as caught:
        Date.learn("when", cells, "day first")
    assert "when=date:%d-%m-%Y" in caught.value.remedy


def test_a_day_above_twelve_decides_between_day_first_and_month_first():
    day_first = Date.learn("when", pl.Series(["1/2/2003", "13/2/2003"]))
    month_first = Date.learn("when", pl.Series(["1/2/2003", "2/13/2003"]))
    assert days(day_first, ["1/2/2003"]) == [number(2003, 2, 1)]
    assert days(month_first, ["1/2/2003"]) == [number(2003, 1, 2)]
    assert day_first.describe() == "dates 2003-02-01 to 2003-02-13, read as day-month-year"


def test_undecided_dates_are_said_to_be():
    field = Date.learn("when", pl.Series(["1/2/2003", "3/4/2003"]))
    assert field.describe().endswith("read as month-day-year (day and month are ambiguous)")


def test_dots_put_the_day_first():
    field = Date.learn("when", pl.Series(["1.2.2003", "3.4.2003"]))
    assert field.is_certain
    assert days(field, ["1.2.2003"]) == [number(2003, 2, 1)]


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2003-02-28 18:30:00", 18.5), ("2003-02-28T18:30", 18.5), ("2003-02-28T18:30:00.000Z", 18.5),
     ("2003-02-28 06:30 PM", 18.5), ("2003-02-28T20:30:00+02:00", 18.5), ("2003-02-28 12:15 am", 0.25)],
)  # fmt: skip
def test_times_of_day_are_read(text: str, hour: float):
    field = Date.learn("when", pl.Series([text]))
    (encoded,) = field.encode(pl.Series([text]))
    assert field.origin == pytest.approx(number(2003, 2, 28) + hour / 24)
    assert encoded[-2:].tolist() == pytest.approx(
        [math.sin(hour * math.pi / 12), math.cos(hour * math.pi / 12)], abs=1e-6
    )


def test_rows_with_and_without_time_mix():
    field = Date.learn("when", pl.Series(["2003-02-28", "2003-03-01 12:00"]))
    assert days(field, ["2003-02-28", "2003-03-01 12:00"]) == [number(2003, 2, 28), number(2003, 3, 1) + 0.5]


def test_text_is_read_as_the_column_of_dates_that_was_learned():
    field = Date.learn("when", pl.Series([datetime.date(2003, 2, 28), datetime.date(2003, 3, 2)]))
    assert days(field, ["2003-03-01", "2003-03-01T00:00:00"]) == [number(2003, 3, 1)] * 2


def test_phases_repeat_each_year_and_week():
    field = Date.learn("when", pl.Series([datetime.date(2001, 1, 1)]))
    first, same_weekday = field.encode(pl.Series([datetime.date(2001, 1, 1), datetime.date(2001, 1, 29)]))
    assert torch.equal(first[5:7], same_weekday[5:7])
    assert first[1:3].tolist() == [0, 1]


def test_missing_and_unreadable_dates_are_nan_and_counted():
    cells = pl.Series([*["2003-02-28"] * 40, None, "soon"])
    field = Date.learn("when", cells)
    assert Date.matches(cells)
    assert field.encode(cells[-2:]).isnan().sum() == 2 * FEATURES
    assert field.describe() == (
        "dates 2003-02-28 to 2003-02-28, read as year-month-day, 5 % missing, 1 cell is not a date (first: 'soon'), "
        "read as missing"
    )


def test_days_that_do_not_exist_are_unreadable():
    field = Date.learn("when", pl.Series(["2003-02-28"] * 3))
    assert field.encode(pl.Series(["2003-02-30", "2003-13-01", "2003-02-28 25:00"])).isnan().all()


def test_versions_numbers_and_words_are_no_dates():
    assert not Date.matches(pl.Series(["1.2.3", "1.10.2"]))
    assert not Date.matches(pl.Series(["2003", "2004"]))
    assert not Date.matches(pl.Series(["may", "march"]))


def test_time_zones_keep_their_local_time():
    moment = datetime.datetime(2003, 2, 28, 18, tzinfo=datetime.UTC)
    cells = pl.Series([moment]).dt.convert_time_zone("Asia/Tokyo")
    assert days(Date.learn("when", cells), cells.to_list()) == [number(2003, 3, 1) + 3 / 24]


def test_numbers_are_refused():
    with pytest.raises(DataError, match="column 'when': date cells must be dates or text, but the column holds Int64"):
        Date.learn("when", pl.Series([1, 2]))


def test_days_without_separators_are_dates_as_numbers_and_as_text():
    days = [datetime.date(2023, 1, 9) + datetime.timedelta(days=k) for k in range(60)]
    dashed = Date.learn("x", pl.Series([str(day) for day in days]))
    for cells in (pl.Series([int(f"{day:%Y%m%d}") for day in days]), pl.Series([f"{day:%Y%m%d}" for day in days])):
        assert Date.matches(cells)
        field = Date.learn("x", cells)
        assert torch.equal(field.encode(cells), dashed.encode(pl.Series([str(day) for day in days])))
        assert "read as year-month-day" in field.describe()
    assert not Date.matches(pl.Series(range(20_230_101, 20_230_301)))
    assert not Date.matches(pl.Series([20_230_115]))


def test_times_of_day_are_phases_of_the_day():
    field = Date.learn("x", pl.Series(["00:00", "6:00", "18:00:30", "11:15 pm"]))
    assert field.describe() == "times of day 00:00:00 to 23:15:00"
    encoded = field.encode(pl.Series(["06:00", "18:00", "2024-01-01 06:00", None]))
    assert encoded[0, -2:].tolist() == pytest.approx([1, 0], abs=1e-6)
    assert encoded[1, -2:].tolist() == pytest.approx([-1, 0], abs=1e-6)
    assert encoded[2:].isnan().all()
    assert not Date.matches(pl.Series(["26:15", "30:00"]))


@pytest.mark.parametrize(
    "cells",
    [
        pl.Series("x", ["2003-02-28", "1850-01-01", None, "2171-12-31"]).str.to_date(),
        pl.Series("x", [datetime.datetime(2003, 2, 28, 23, 59, 59), datetime.datetime(1971, 3, 1, 0, 0, 1), None]),
        pl.Series("x", [datetime.datetime(2024, 2, 29, 7, 30, 0, 250_000), None]),
    ],
)
def test_dates_are_decoded_as_they_were(cells: pl.Series):
    field = Date.learn("x", cells)
    decoded = field.decode(field.encode(cells))
    assert decoded.to_list() == cells.cast(pl.Datetime("us")).to_list()
    torch.testing.assert_close(field.encode(decoded), field.encode(cells), rtol=0, atol=1e-6, equal_nan=True)


def test_dates_are_said_without_a_time_that_says_nothing():
    cells = pl.Series([datetime.datetime(2003, 2, 28), datetime.datetime(2003, 3, 1, 12, 30)])
    field = Date.learn("x", cells)
    assert [field.said(cell) for cell in field.encode(cells)] == ["2003-02-28", "2003-03-01 12:30:00"]
    clock = Date.learn("x", pl.Series(["12:30", "7:05 pm"]), "")
    assert [clock.said(cell) for cell in clock.encode(pl.Series(["12:30", None]))] == ["12:30:00", "missing"]


def offered(field: Date, cell: object, size: float, reach: Reach = WIDE) -> list[str]:
    """The dates that may replace a cell."""
    candidates, allowed = Date.way((field,), reach).swaps(field.encode(pl.Series([cell]))[:, None], size)
    return sorted(field.said(date) for date in candidates[0, 0][allowed[0, 0]])


def test_a_date_moves_by_whole_days_within_a_week_and_within_training():
    field = Date.learn("x", pl.Series(["2003-01-01", "2003-01-20", "2003-03-01"]))
    around = [f"2003-01-{day}" for day in (*range(13, 20), *range(21, 28))]
    assert offered(field, "2003-01-20", 1.0) == around
    assert offered(field, "2003-01-02", 1.0) == ["2003-01-01", *(f"2003-01-0{day}" for day in range(3, 10))]
    assert offered(field, "2003-01-20", 0.1) == []
    assert offered(field, None, 1.0) == []
    assert offered(field, "2001-01-01", 1.0) == []
    many = offered(field, "2003-01-31", 4.0)
    assert len(many) == 16 and (many[0], many[-1]) == ("2003-01-03", "2003-02-28")


def test_a_share_of_the_range_is_days_too():
    field = Date.learn("x", pl.Series(["2003-01-01", "2003-04-11"]))
    assert len(offered(field, "2003-02-01", 0.05, Reach(is_share=True))) == 10


def test_moved_dates_keep_their_time_and_all_features_agree():
    ends = datetime.datetime(2003, 1, 1), datetime.datetime(2005, 1, 1)
    cells = pl.Series([ends[0], datetime.datetime(2004, 2, 20, 13, 5, 7), ends[1]])
    field = Date.learn("x", cells)
    candidates, allowed = Date.way((field,), Reach()).swaps(field.encode(cells)[:, None], 2.0)
    dates = candidates[allowed]
    torch.testing.assert_close(field.encode(field.decode(dates)), dates, rtol=0, atol=1e-6)
    assert {moment.time() for moment in field.decode(candidates[1, 0])} == {datetime.time(13, 5, 7)}


def test_times_of_day_and_immutable_dates_stay():
    clock = Date.learn("x", pl.Series(["12:30", "19:05"]))
    assert offered(clock, "12:30", 5.0) == []
    assert not Date.way((clock,), Reach(immutable=frozenset({"x"}))).is_open
    field = Date.learn("y", pl.Series(["2003-01-01", "2003-04-11"]))
    way = Date.way((clock, field), Reach(immutable=frozenset({"y"})))
    cells = [clock.encode(pl.Series(["12:30"])), field.encode(pl.Series(["2003-02-01"]))]
    assert not way.swaps(torch.stack(cells, 1), 9.0)[1].any()
