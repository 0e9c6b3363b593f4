from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from tests.sick import series as sick

from netwright.checks.data.grid import clock_changes, gaps, grid
from netwright.checks.evidence import DataEvidence, Skip
from netwright.records.finding import Finding

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _without(frame: pl.DataFrame, where: pl.Expr) -> list[Finding]:
    return list(gaps(sick.evidence(frame.filter(~where))))


def _at(times: list[datetime]) -> DataEvidence:
    return sick.raw(np.zeros((1, len(times))), at=times)


def test_gaps_are_counted_in_steps_and_the_longest_is_named() -> None:
    (found,) = _without(sick.healthy(), sick.of("Oslo", 300, 340) | sick.of("Bodø", 10, 12))
    assert found.severity == "warning"
    assert found.summary == (
        "42 steps in 2 gaps of 2 of 3 series (Oslo, Bodø) have no row, 1.40% of all; the longest gap is 40 steps from "
        "2023-03-13 11:00:00 to 2023-03-15 04:00:00"
    )
    assert len(found.places) == 2


def test_a_single_missing_step_is_a_note() -> None:
    (found,) = _without(sick.healthy(), sick.of("Oslo", 300, 301))
    assert found.severity == "note" and found.summary.startswith("1 step in 1 gap of 1 of 3 series (Oslo) has no row")


def test_weekends_and_holidays_of_working_days_are_no_gaps() -> None:
    days = [datetime(2022, 1, 3) + k * DAY for k in range(700)]
    working = [day for day in days if day.weekday() < 5 and (day.month, day.day) not in ((12, 26), (5, 17), (5, 1))]
    assert not list(gaps(_at(working)))
    longer = [day for day in working if not (day.year == 2022 and day.month == 8)]
    (found,) = gaps(_at(longer))
    assert found.summary.startswith("23 steps in 1 gap")  # the working days of August 2022


def test_nights_without_rows_are_no_gaps() -> None:
    hours = [datetime(2022, 1, 3) + k * HOUR for k in range(24 * 60)]
    assert not list(gaps(_at([hour for hour in hours if 8 <= hour.hour < 20])))


def test_months_are_steps_of_one_length() -> None:
    months = [datetime(2000 + k // 12, k % 12 + 1, 1) for k in range(240)]
    assert not list(gaps(_at(months)))
    (found,) = gaps(_at(months[:100] + months[102:]))
    assert found.summary.startswith("2 steps in 1 gap")


def test_days_without_a_sale_are_gaps_that_zeros_may_fill() -> None:
    sold = np.random.default_rng(0).random(900) < 0.6
    (found,) = gaps(_at([datetime(2020, 1, 1) + k * DAY for k in np.flatnonzero(sold).tolist()]))
    assert found.severity == "warning" and found.measures[0].value == pytest.approx(0.4, abs=0.05)
    assert "with 0" in found.remedies[0].advice


def test_events_at_random_times_are_on_no_grid() -> None:
    waits = np.random.default_rng(0).exponential(3600, 500).cumsum()
    with pytest.raises(Skip, match="not evenly spaced"):
        grid(_at([datetime(2020, 1, 1) + timedelta(seconds=float(wait)) for wait in waits]))


@pytest.mark.parametrize(
    ("missing", "region"),
    [(datetime(2023, 3, 26, 2), "Europe"), (datetime(2023, 3, 12, 2), "North America")],
)
def test_the_hour_that_clocks_skip_is_named(missing: datetime, region: str) -> None:
    (found,) = clock_changes(sick.evidence(sick.healthy().filter(pl.col("at") != missing)))
    assert found.summary == f"the hour from 2:00 is missing on {missing:%Y-%m-%d}, when clocks change in {region}"
    assert found.places


def test_the_hour_that_comes_twice_is_named() -> None:
    hours = [datetime(2022, 9, 1) + k * HOUR for k in range(24 * 90)]
    twice = sorted([*hours, datetime(2022, 10, 30, 2, 30)])
    (found,) = clock_changes(_at(twice))
    assert found.summary == "the hour from 2:00 comes twice on 2022-10-30, when clocks change in Europe"


def test_hours_missing_on_other_days_too_are_no_clock_changes() -> None:
    nightly = pl.col("at").dt.hour() == 2
    frame = sick.healthy().filter(~(nightly & (pl.col("at").dt.day() % 3 == 2)))
    assert not list(clock_changes(sick.evidence(frame)))


def test_days_have_no_clock() -> None:
    with pytest.raises(Skip, match="hours or less"):
        list(clock_changes(sick.raw(np.zeros((2, 300)), every=DAY)))


def test_missing_values_of_a_target_are_counted_though_their_rows_are_there() -> None:
    values = np.random.default_rng(0).normal(size=(3, 500))
    values[1, 20:50] = np.nan
    values[2, 7] = np.nan
    (found,) = gaps(sick.raw(values))
    assert (found.severity, found.title) == ("warning", "missing values of the target")
    assert found.summary == (
        "31 values of load of 2 of 3 series (p1, p2) are missing, 2.07% of all; most in a row are 30 steps from "
        "2023-03-01 20:00:00 on"
    )
    assert found.places == ("x.csv, line 522", "x.csv, line 1009")
