"""Where values begin to be impossible, and where outlying: columns that are known to the last value, on both sides."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from tests.sick import columns as sick

from netwright.checks import DATA_CHECKS
from netwright.checks.data import values
from netwright.checks.data.columns import columns
from netwright.records.finding import Finding
from netwright.resolve import resolve


def found(code: str, frame: pl.DataFrame) -> list[Finding]:
    return list(resolve("check", DATA_CHECKS[code], DATA_CHECKS)(sick.evidence(frame)))


def one(code: str, frame: pl.DataFrame) -> Finding:
    (finding,) = found(code, frame)
    return finding


def shuffled(numbers: np.ndarray, *first: float) -> np.ndarray:
    """`first`, then the others in random order."""
    return np.concatenate([first, np.random.default_rng(0).permutation(numbers)[len(first) :]])


# Impossible values.


BOUNDS = {
    "lat": (-90, 90),
    "place_latitude": (-90, 90),
    "lon": (-180, 360),
    "lng": (-180, 360),
    "Longitude": (-180, 360),
    "percent": (0, 100),
    "percentage": (0, 100),
    "pct": (0, 100),
    "fat %": (0, 100),
    "humidity": (0, 100),
    "probability": (0, 1),
    "prob": (0, 1),
    "age": (0, 125),
    "hour": (0, 24),
    "minute": (0, 60),
    "month": (1, 12),
    "weekday": (0, 7),
}


def test_values_beyond_the_bounds_of_a_columns_name_are_impossible():
    cells = {
        name: shuffled(np.linspace(low, high, sick.ROWS), low - 0.01, low, high, high + 0.01)
        for name, (low, high) in BOUNDS.items()
    }
    findings = {finding.columns[0]: finding for finding in found("NW137", sick.healthy().with_columns(**cells))}
    assert findings.keys() == BOUNDS.keys()
    for name, (low, high) in BOUNDS.items():
        finding = findings[name]
        assert finding.rows == (0, 3), name
        assert f"{name} is not between {low:g} and {high:g} in 2 of 600 rows" in finding.summary
        assert (finding.severity, finding.confidence) == ("warning", 0.9)
        assert [fix.new for fix in finding.fixes] == ["", ""]


def test_changes_of_a_bounded_quantity_have_no_bounds():
    cells = shuffled(np.linspace(-20.0, 20.0, sick.ROWS), -120.0)
    assert not found("NW137", sick.healthy().with_columns(pl.Series("humidity_change", cells)))


@pytest.mark.parametrize(("slips", "findings"), [(11, 1), (12, 0)])
def test_two_in_a_hundred_beyond_a_bound_mean_that_the_name_means_something_else(slips: int, findings: int):
    cells = np.concatenate([np.linspace(130, 140, slips), np.linspace(1, 90, sick.ROWS - slips)])
    assert len(found("NW137", sick.healthy().with_columns(age=pl.Series(cells)))) == findings


def test_infinite_numbers_are_impossible_for_sure():
    cells = shuffled(np.linspace(1, 2, sick.ROWS), np.inf, 1.5, -np.inf)
    finding = one("NW137", sick.healthy().with_columns(ratio=pl.Series(cells)))
    assert (finding.rows, finding.confidence) == ((0, 2), 1.0)
    share = finding.measures[0]
    assert share.value == pytest.approx(2 / 600)
    assert share.low < share.value < share.high


def test_negative_price_is_found_and_a_temperature_below_zero_is_not():
    prices = np.random.default_rng(0).uniform(10, 90, sick.ROWS)
    degrees = np.random.default_rng(1).normal(22, 8, sick.ROWS)  # a few below zero, as the end of a tail
    prices[4] = -35.0
    finding = one("NW137", sick.healthy().with_columns(price=pl.Series(prices), degrees=pl.Series(degrees)))
    assert (finding.columns, finding.rows) == (("price",), (4,))
    assert finding.confidence == 0.7


def _negatives(count: int, *negative: float, zeros: int = 0) -> int:
    """How many of so many rows are found to have a sign too many."""
    usual = np.linspace(10, 110, count - len(negative) - zeros)
    x = np.concatenate([negative, np.zeros(zeros), usual])
    wrong = values._negative(x, np.ones(len(x), bool))
    return 0 if wrong is None else int(wrong.sum())


def test_two_negative_numbers_or_one_in_a_thousand_are_a_sign_too_many():
    assert _negatives(200) == 0
    assert _negatives(200, -50, -60) == 2
    assert _negatives(200, -50, -60, -70) == 0
    assert _negatives(3000, -50, -60, -70) == 3
    assert _negatives(2999, -50, -60, -70) == 0
    assert _negatives(199, -50) == 0  # too few rows to show that it is rare
    assert _negatives(200, -50, zeros=99) == 1
    assert _negatives(200, -50, zeros=100) == 0


def test_negative_numbers_that_are_smaller_or_larger_than_usual_are_the_end_of_a_tail():
    assert _negatives(202, -50, -15.0) == 2
    assert _negatives(202, -50, -14.9) == 0
    assert _negatives(202, -50, -109.8) == 2
    assert _negatives(202, -50, -110.0) == 0


def test_small_negative_numbers_among_small_ones_are_a_sign_too_many():
    x = np.concatenate([[-0.5], np.linspace(0.1, 0.9, 299)])
    wrong = values._negative(x, np.ones(300, bool))
    assert wrong is not None
    assert np.flatnonzero(wrong).tolist() == [0]


def test_rows_that_are_not_there_are_not_negative():
    x = np.concatenate([[-50.0, -60.0, -70.0], np.linspace(10, 110, 300)])
    there = np.arange(len(x)) > 0
    wrong = values._negative(x, there)
    assert wrong is not None
    assert np.flatnonzero(wrong).tolist() == [1, 2]


def _wrong(*moments: datetime | None) -> dict[str, list[int]]:
    return {why: np.flatnonzero(here).tolist() for why, (here, _) in values._wrong_dates(pl.Series(moments))}


YEARS = [datetime(2015 + n % 5, 1 + n % 12, 3) for n in range(120)]


@pytest.mark.parametrize("day", ["0001-01-01", "1899-12-30", "1900-01-01", "1970-01-01", "9999-12-31"])
def test_default_dates_far_from_all_others_are_impossible(day: str):
    assert _wrong(datetime.fromisoformat(day), None, *YEARS) == {"is a default date": [0]}
    assert _wrong(datetime.fromisoformat(day) + timedelta(days=1 if day < "9" else -31), None, *YEARS) == (
        {} if day < "9" else {"is in the future": [0]}
    )


def test_default_date_within_five_years_of_another_is_a_date():
    default = datetime(1970, 1, 1)
    assert _wrong(default, datetime(1975, 5, 5), datetime(1980, 5, 5)) == {}
    assert _wrong(default, datetime(1976, 5, 5), datetime(1980, 5, 5)) == {"is a default date": [0]}
    assert _wrong(default, datetime(1965, 5, 5), datetime(1960, 5, 5)) == {}
    assert _wrong(default, datetime(1964, 5, 5), datetime(1960, 5, 5)) == {"is a default date": [0]}
    assert _wrong(default, default, None) == {}
    assert _wrong(None, None) == {}


def test_dates_more_than_a_day_ahead_are_in_the_future_if_they_are_under_two_in_a_hundred():
    now = datetime.now()
    assert _wrong(now + timedelta(hours=25), *YEARS) == {"is in the future": [0]}
    assert _wrong(now + timedelta(hours=23), *YEARS) == {}
    late = [now + timedelta(days=90)] * 2
    assert _wrong(*late, *YEARS[:99]) == {"is in the future": [0, 1]}
    assert _wrong(*late, *YEARS[:98]) == {}


def test_dates_of_every_type_are_looked_at():
    frame = sick.healthy()
    days = [date(2077, 5, 5), *(d.date() for d in YEARS * 5)][: len(frame)]
    typed = frame.with_columns(born=pl.Series(days))
    for born in (typed, typed.with_columns(pl.col("born").cast(pl.Datetime("ms"))),
                 typed.with_columns(pl.col("born").cast(pl.String))):  # fmt: skip
        finding = one("NW137", born)
        assert (finding.columns, finding.rows, finding.confidence) == (("born",), (0,), 0.9)


# Outlying values. Of -50, -49, ..., 50 and one more above, the median is 0, and nine in ten are below 41.

INSIDE = np.arange(-50.0, 51.0)


def _cuts(inside: np.ndarray, *outside: float, each: int = 1, counts: tuple[int, ...] = ()):
    numbers = np.concatenate([inside, outside])
    many = np.array([each] * len(inside) + list(counts or [1] * len(outside)))
    order = np.argsort(numbers)
    return values._cuts(numbers[order], many[order])


def test_a_value_eight_times_as_far_as_the_ninetieth_percentile_is_outlying():
    assert _cuts(INSIDE, 8 * 41) == (-np.inf, (328 + 50) / 2, 328 / 50)
    assert _cuts(INSIDE, 8 * 41 - 1) is None


def test_a_value_far_below_is_outlying_as_one_far_above_is():
    low, high, hole = _cuts(INSIDE, -400)  # the median is -1 then, and the tenth percentile -40
    assert (low, high, hole) == (-1 - (399 + 49) / 2, np.inf, 399 / 49)
    low, high, hole = _cuts(INSIDE, -400, 600)
    assert (low, high, hole) == (-225.0, 325.0, 12.0)


def test_a_value_is_outlying_only_beyond_a_hole_of_three_times_the_next_distance():
    assert _cuts(INSIDE, 120, 300, 898) == (-np.inf, 1 + (897 + 299) / 2, 3.0)  # from the median, which is 1
    assert _cuts(INSIDE, 120, 300, 897) is None


def test_three_values_or_one_in_a_hundred_are_outlying_and_more_are_a_part_of_the_column():
    assert _cuts(INSIDE, 1000, counts=(3,)) is not None
    assert _cuts(INSIDE, 1000, counts=(4,)) is None
    assert _cuts(INSIDE, 1000, each=4, counts=(4,)) is not None
    assert _cuts(INSIDE, 1000, each=4, counts=(5,)) is None


def test_fewer_than_thirty_rows_or_five_values_have_no_outliers():
    assert _cuts(np.arange(-14.0, 15.0), 1000) is not None
    assert _cuts(np.arange(-14.0, 14.0), 1000) is None
    assert _cuts(np.array([-1.0, 0.0, 1.0, 2.0]), 1000, each=50) is not None
    assert _cuts(np.array([-1.0, 0.0, 1.0]), 1000, each=50) is None


def test_skewed_columns_are_looked_at_on_logarithms():
    low, high, hole = _cuts(np.exp(INSIDE / 10), np.exp(32.8))
    assert (low, hole) == (-np.inf, pytest.approx(6.56))
    assert high == pytest.approx(np.exp(18.9))
    assert _cuts(np.exp(INSIDE / 10), np.exp(32.7)) is None
    low, high, hole = _cuts(np.concatenate([[0.0], np.exp(INSIDE / 10)]), np.exp(32.8))
    assert high == pytest.approx(np.exp(18.9))  # zeros have no logarithm, and stay inside


def test_skew_is_what_the_outer_quantiles_differ_by_about_the_median():
    counts = np.ones(11, np.int64)
    assert values._skew(np.arange(11.0), counts) == 0
    assert values._skew(np.array([0, 1, 1, 1, 1, 2, 3, 3, 3, 5, 9.0]), counts) == pytest.approx((5 + 1 - 4) / 4)
    assert values._skew(np.array([2.0]), np.array([7])) == 1


def test_quantiles_of_distinct_values_are_those_of_all_rows():
    numbers, counts = np.array([1.0, 2.0, 7.0, 9.0]), np.array([2, 5, 2, 1])
    assert values._quantiles(numbers, counts, (0.1, 0.2, 0.21, 0.7, 0.71, 1.0)).tolist() == [1, 1, 2, 2, 7, 9]


def test_outlying_value_is_named_with_its_row_and_what_is_usual():
    cells = shuffled(np.resize(INSIDE, sick.ROWS), 520.0)
    finding = one("NW138", sick.healthy().with_columns(reading=pl.Series(cells)))
    usual = np.quantile(cells[1:], (0.001, 0.999))
    assert finding.summary == (
        f"reading is far from all others in 1 rows: 520; of the others 99.8 % are between {usual[0]:g} and {usual[1]:g}"
    )
    assert (finding.rows, finding.severity, finding.confidence) == ((0,), "warning", 0.9)
    hole = finding.measures[0]
    assert (hole.value, hole.threshold) == (pytest.approx(10.4, abs=0.3), 3)
    assert [fix.new for fix in finding.fixes] == [""]


def test_a_hole_of_less_than_ten_times_is_a_note():
    cells = shuffled(np.resize(INSIDE, sick.ROWS), 480.0)
    finding = one("NW138", sick.healthy().with_columns(reading=pl.Series(cells)))
    assert (finding.severity, finding.confidence) == ("note", 0.6)


def test_outlying_values_are_named_from_the_farthest_and_after_five_by_dots():
    far = (600.0, -900.0, 800.0, 650.0, -700.0)
    finding = one("NW138", sick.healthy().with_columns(reading=pl.Series(shuffled(np.resize(INSIDE, 600), *far))))
    assert "in 5 rows: -900, 800, -700, 650, 600; of" in finding.summary
    assert finding.rows == (1, 2, 4, 3, 0)
    finding = one("NW138", sick.healthy().with_columns(reading=pl.Series(shuffled(np.resize(INSIDE, 600), *far, 610))))
    assert "in 6 rows: -900, 800, -700, 650, 610, ...; of" in finding.summary


def test_impossible_values_are_not_told_again_as_outlying():
    cells = shuffled(np.linspace(20, 60, sick.ROWS), 9000.0)
    frame = sick.healthy().with_columns(age=pl.Series(cells))
    assert one("NW137", frame).rows == (0,)
    assert not found("NW138", frame)


@pytest.mark.parametrize("draw", ["standard_cauchy", "pareto", "lognormal"])
def test_heavy_tails_give_no_warning(draw: str):
    random = np.random.default_rng(0)
    cells = random.pareto(1.5, sick.ROWS) if draw == "pareto" else getattr(random, draw)(size=sick.ROWS)
    assert all(f.severity == "note" for f in found("NW138", sick.healthy().with_columns(tail=pl.Series(cells))))


def _pair(noise: float, miss: float) -> pl.DataFrame:
    """Two columns that go together, but for row 11."""
    random = np.random.default_rng(0)
    size = random.normal(0, 1, sick.ROWS)
    other = size + random.normal(0, noise, sick.ROWS)
    other[11] = size[11] - np.sign(size[11]) * miss
    return sick.healthy().with_columns(first=pl.Series(size), other=pl.Series(other))


def test_row_out_of_line_is_found_though_each_value_is_usual():
    finding = one("NW138", _pair(0.1, 2.0))
    assert finding.rows == (11,)
    assert "is out of line with the other columns of its row in 1 rows" in finding.summary


@pytest.mark.parametrize(("noise", "miss"), [(0.1, 0.8), (0.02, 0.8), (0.8, 3.0)])
def test_row_is_in_line_if_it_is_near_its_line_or_the_columns_tell_little_of_each_other(noise: float, miss: float):
    assert not found("NW138", _pair(noise, miss))


def test_miss_of_a_row_is_measured_in_deviations_of_the_column_that_misses_most():
    seen = sick.evidence(_pair(0.02, 1.4)).once(columns)
    known = {name: np.zeros(sick.ROWS, bool) for name, _ in seen.measured()}
    (wrong,) = values._out_of_line(seen, known).values()
    assert np.flatnonzero(wrong[0]).tolist() == [11]
    assert wrong[1] > 10
    known["size"][11] = True  # a row of which something is known already, in any column
    assert not values._out_of_line(seen, known)
