"""Times are read from numbers, text and several columns."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from netwright.data.dataset import Dataset
from netwright.data.times import as_times, way_of_dates, with_joined_time
from netwright.records.errors import DataError

START = datetime(2024, 3, 30)
HOURS = [START + timedelta(hours=k) for k in range(60)]  # clocks change in Europe


def _read(cells: Any, **columns: Any) -> pl.Series:
    return as_times(Dataset(pl.DataFrame({"at": cells, **columns}), (), "rows.csv"), "at")


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_numbers_since_1970_are_times(unit: int) -> None:
    seconds = [round(hour.replace(tzinfo=UTC).timestamp()) for hour in HOURS]
    assert _read([second * unit for second in seconds]).to_list() == HOURS
    assert _read([float(second * unit) for second in seconds]).to_list() == HOURS
    assert _read([str(second * unit) for second in seconds]).to_list() == HOURS


@pytest.mark.parametrize("numbers", [[1950, 1951], [1, 2], [0.5, 1.5], [500_000_000, 700_000_000], [202_413, 202_414]])
def test_other_numbers_stay_numbers(numbers: list[float]) -> None:
    assert _read(numbers).to_list() == numbers


def test_months_without_a_sign_are_dates() -> None:
    assert _read([202_311, 202_312, 202_401]).to_list() == [date(2023, 11, 1), date(2023, 12, 1), date(2024, 1, 1)]


def test_offsets_from_utc_lead_to_times_of_utc() -> None:
    here = [hour.replace(tzinfo=UTC).astimezone(ZoneInfo("Europe/Zurich")).isoformat() for hour in HOURS]
    assert here[20].endswith("+01:00") and here[-1].endswith("+02:00")
    times = _read(here)
    assert times.dtype == pl.Datetime("us", "UTC")
    assert times.dt.replace_time_zone(None).to_list() == HOURS
    assert str(_read(["2024-01-01T10:00Z", "2024-01-01T11:00Z"])[0]) == "2024-01-01 10:00:00+00:00"


def test_midnights_of_a_zone_are_its_days() -> None:
    zone = ZoneInfo("Europe/Zurich")
    days = [datetime(2024, 3, 29, tzinfo=zone) + timedelta(k) for k in range(5)]
    plain = [day.replace(tzinfo=None) for day in days]
    assert _read([day.isoformat() for day in days]).to_list() == plain
    assert _read(pl.Series([day.astimezone(UTC) for day in days]).dt.convert_time_zone(zone.key)).to_list() == plain


def test_a_few_cells_that_are_no_times_are_named_and_columns_without_times_are_told_apart() -> None:
    with pytest.raises(
        DataError, match=r"1 cell of 'at' not a time like the others, as in 'soon' \(rows.csv, row 40\)"
    ):
        _read([*[str(hour) for hour in HOURS[:40]], "soon", str(HOURS[41])])
    with pytest.raises(DataError, match="neither numbers nor dates in one format, as in '1-01'") as caught:
        _read(["1-01", "1-02"])
    assert "numbers that rise" in caught.value.remedy


def test_a_date_beside_its_time_of_day_is_one_time() -> None:
    days = [f"{hour:%d/%m/%Y}" for hour in HOURS]
    clocks = [f"{hour:%H:%M:%S}" for hour in HOURS]
    for others in ({"clock": clocks}, {"clock": [hour.hour for hour in HOURS]}):
        dataset = Dataset(pl.DataFrame({"day": days, **others, "load": 1}), (), "rows.csv")
        joined = with_joined_time(dataset, "day,clock")
        assert joined.table.columns == ["load", "day,clock"]
        assert joined.notes == ("day,clock: a time joined from day, clock",)
        assert as_times(joined, "day,clock").to_list() == HOURS
        assert way_of_dates(joined, "day,clock") == ("date:%d-%m-%Y", "")
    dates = Dataset(
        pl.DataFrame({"day": [hour.date() for hour in HOURS], "hr": [hour.hour for hour in HOURS]}), (), "x"
    )
    assert as_times(with_joined_time(dates, "day, hr"), "day, hr").to_list() == HOURS


def test_numbers_from_the_year_on_are_one_time() -> None:
    parts = ("year", "month", "day", "hour", "minute", "second")
    table = pl.DataFrame({part: [getattr(hour, part) for hour in HOURS] for part in parts})
    for count, step in ((3, "%Y-%m-%d"), (4, "%Y-%m-%d %H"), (6, "%Y-%m-%d %H:%M:%S")):
        name = ",".join(parts[:count])
        times = as_times(with_joined_time(Dataset(table, (), "x"), name), name)
        assert times.dt.strftime(step).to_list() == [f"{hour:{step}}" for hour in HOURS]


def test_columns_are_not_joined_if_one_has_the_name_or_one_is_missing() -> None:
    dataset = Dataset(pl.DataFrame({"a,b": [1], "a": [1]}), (), "x")
    assert with_joined_time(dataset, "a,b") is dataset
    assert with_joined_time(dataset, "a,c") is dataset


def test_dates_that_can_be_read_in_two_ways_are_noted() -> None:
    dataset = Dataset(pl.DataFrame({"at": ["1/2/2024", "2/2/2024"]}), (), "x")
    kind, note = way_of_dates(dataset, "at")
    assert kind == "date:%m-%d-%Y"
    assert note.startswith("at: read as the month first, which is a guess; --kind at=date:%d-%m-%Y reads the day first")
    said = Dataset(dataset.table, (), "x", kinds={"at": "date:%d-%m-%Y"})
    assert way_of_dates(said, "at") == ("date:%d-%m-%Y", "")
    assert as_times(said, "at").dt.month().to_list() == [2, 2]
