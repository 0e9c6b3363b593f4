from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from netwright.tasks.clock import EACH_ROW, Step, usual_step

HOUR, DAY = 3600.0, 86_400.0
START = datetime(2023, 1, 2)  # a Monday


def _every(step: timedelta, count: int = 200) -> pl.Series:
    return pl.Series("at", [START + step * k for k in range(count)])


def _begins(count: int, *firsts: int) -> np.ndarray:
    found = np.zeros(count, bool)
    found[[0, *firsts]] = True
    return found


def _step(times: pl.Series) -> Step:
    return usual_step(times, _begins(len(times)))[0]


def _months(count: int, every: str = "1mo", day: int = 1) -> pl.Series:
    first = date(2010, 1, day)
    return pl.date_range(first, date(2060, 1, 1), every, eager=True)[:count].alias("month")


@pytest.mark.parametrize(
    ("times", "step", "season", "said"),
    [
        (_every(timedelta(seconds=1)), Step("second", 1.0), 86_400, "1 second"),
        (_every(timedelta(seconds=0.1)), Step("second", 0.1), 864_000, "0.1 seconds"),
        (_every(timedelta(minutes=15)), Step("second", 900.0), 96, "15 minutes"),
        (_every(timedelta(hours=1)), Step("second", HOUR), 24, "1 hour"),
        (_every(timedelta(days=1)), Step("second", DAY), 7, "1 day"),
        (_every(timedelta(days=7)), Step("second", 7 * DAY), 52, "1 week"),
        (_every(timedelta(days=28)), Step("second", 28 * DAY), 12, "4 weeks"),
        (_months(60), Step("month", 1), 12, "1 month"),
        (_months(60, day=31).dt.month_end(), Step("month", 1), 12, "1 month"),
        (_months(40, "3mo"), Step("month", 3), 4, "3 months"),
        (_months(40, "1y"), Step("month", 12), 1, "12 months"),
        (pl.Series("n", range(0, 400, 2)), Step("number", 2.0), 1, "2 numbers"),
    ],
    ids=lambda value: str(value) if isinstance(value, Step) else "",
)
def test_the_usual_step_is_found_from_seconds_to_years(times: pl.Series, step: Step, season: int, said: str) -> None:
    found = _step(times)
    assert found == step and found.season == season and str(found) == said


def test_days_without_weekends_are_working_days_and_the_next_one_after_friday_is_monday() -> None:
    days = _every(timedelta(days=1), 60).cast(pl.Date)
    working = days.filter(days.dt.weekday() <= 5)
    step = _step(working)
    assert step == Step("day", 1.0, "1111100") and step.season == 5 and str(step) == "1 working day"
    positions = step.positions(working, _begins(len(working)))
    assert (np.diff(positions) == 1).all()
    assert step.moments(positions).astype("datetime64[D]").tolist() == working.to_list()
    friday = pl.Series("day", [date(2023, 1, 6)] * 2)
    assert step.after(friday, pl.Series([1, 6])).to_list() == [date(2023, 1, 9), date(2023, 1, 16)]
    at_four = pl.Series("day", [datetime(2023, 1, 6, 16)])
    assert step.after(at_four, pl.Series([1])).to_list() == [datetime(2023, 1, 9, 16)]
    shop = days.filter(days.dt.weekday() < 7)
    assert _step(shop).week == "1111110"


def test_a_holiday_is_a_step_without_a_row() -> None:
    days = _every(timedelta(days=1), 60).cast(pl.Date)
    working = days.filter((days.dt.weekday() <= 5) & (days != date(2023, 1, 17)))
    step = _step(working)
    assert sorted(np.diff(step.positions(working, _begins(len(working))))) == [1] * (len(working) - 2) + [2]


def test_stamps_that_drift_or_jitter_are_snapped_to_their_step() -> None:
    generator = np.random.default_rng(0)
    exact = np.arange(500) * 600.0
    jittered = exact + generator.uniform(-80, 80, 500)
    moments = [START + timedelta(seconds=float(second)) for second in jittered + 250]
    step = _step(pl.Series("at", moments))
    assert step.unit == "second" and step.size == pytest.approx(600, rel=0.01)
    step = Step("second", 600.0)
    assert np.diff(step.positions(pl.Series("at", moments), _begins(500))).tolist() == [1] * 499
    slow = pl.Series("at", [START + timedelta(seconds=603.0 * k) for k in range(500)])
    positions = step.positions(slow, _begins(500))
    assert positions[-1] - positions[0] == round(499 * 603 / 600)


def test_each_series_has_its_own_phase() -> None:
    halves = _every(timedelta(hours=1), 50) + timedelta(minutes=30)
    times = pl.concat([_every(timedelta(hours=1), 50), halves])
    begins = _begins(100, 50)
    step, _ = usual_step(times, begins)
    positions = step.positions(times, begins)
    assert (np.diff(positions[:50]) == 1).all() and (np.diff(positions[50:]) == 1).all()
    assert abs(int(positions[50] - positions[0])) <= 1


@pytest.mark.parametrize("kind", ["events", "opening hours", "stamps to the second"])
def test_rows_at_uneven_times_are_steps_themselves(kind: str) -> None:
    generator = np.random.default_rng(1)
    if kind == "events":
        seconds = np.cumsum(generator.exponential(600, 400))
    elif kind == "opening hours":
        seconds = np.array([day * DAY + hour * HOUR for day in range(60) for hour in range(9, 16)])
    else:
        seconds = np.cumsum(generator.integers(1, 9, 400))
    times = pl.Series("at", [START + timedelta(seconds=float(second)) for second in seconds])
    step, note = usual_step(times, _begins(len(times)))
    assert step == EACH_ROW and step.season == 1 and not step.is_calendar
    assert "each row counts as one step" in note


def test_missing_rows_do_not_make_times_uneven() -> None:
    generator = np.random.default_rng(0)
    kept = _every(timedelta(minutes=10), 1000).filter(pl.Series(generator.random(1000) < 0.75))
    step = _step(kept)
    assert step == Step("second", 600.0)
    positions = step.positions(kept, _begins(len(kept)))
    assert positions[-1] - positions[0] + 1 == round((kept[-1] - kept[0]).total_seconds() / 600) + 1


def test_series_of_one_row_each_have_no_step() -> None:
    assert usual_step(_every(timedelta(1), 3), np.ones(3, bool)) == (EACH_ROW, "")


def test_times_after_a_row_follow_the_step() -> None:
    end = pl.Series("at", [datetime(2024, 1, 31, 12)])
    after = {
        Step("second", HOUR): datetime(2024, 1, 31, 14),
        Step("month", 1): datetime(2024, 3, 31, 12),
        Step("month", 3): datetime(2024, 7, 31, 12),
    }
    for step, moment in after.items():
        assert step.after(end, pl.Series([2])).to_list() == [moment]
    last = Step("month", 1).after(pl.Series("m", [date(2024, 2, 29)]), pl.Series([1]), at_month_end=True)
    assert last.to_list() == [date(2024, 3, 31)]
    assert Step("number", 2.0).after(pl.Series("n", [7]), pl.Series([3])).to_list() == [13]
    assert Step("number", 0.5).after(pl.Series("n", [7.0]), pl.Series([3])).to_list() == [8.5]


def test_times_with_a_zone_are_counted_in_utc() -> None:
    local = _every(timedelta(hours=1)).dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    step = _step(local)
    assert step == Step("second", HOUR)
    assert step.after(local[-1:], pl.Series([1]))[0] == local[-1] + timedelta(hours=1)
