import numpy as np
import polars as pl
import pytest
from tests.sick import series as sick

from netwright.checks.data.raw_series import raw_series, severity_of_series
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.read import read


def test_series_are_found_in_the_rows_before_windows_are_cut() -> None:
    evidence = sick.evidence(sick.healthy())
    series = evidence.once(raw_series)
    assert series.starts.tolist() == [0, 1000, 2000]
    assert series.lengths.tolist() == [1000, 1000, 1000]
    assert [series.name(number) for number in range(3)] == ["Bergen", "Bodø", "Oslo"]
    assert series.measured == ("load", "warm", "open")
    assert series.horizon == 6
    assert (
        series.is_clock and series.seconds is not None and np.unique(np.diff(series.seconds[:1000])).tolist() == [3600]
    )


def test_a_column_known_ahead_is_a_plan_and_not_measured() -> None:
    series = sick.evidence(sick.healthy(), known=("open",)).once(raw_series)
    assert series.measured == ("load", "warm")


def test_a_place_is_that_of_the_row_in_the_users_data() -> None:
    evidence = sick.evidence(sick.healthy().reverse())
    series = evidence.once(raw_series)
    last_of_bergen = 1000  # rows were reversed: Bodø's 1,000 come before
    assert series.places(np.array([999])) == (evidence.dataset.locate_raw(999),)
    assert evidence.dataset.locate_raw(999).endswith(f"row {last_of_bergen}")


def test_blocks_hold_each_series_once_and_end_with_nan() -> None:
    evidence = sick.raw(np.arange(12.0).reshape(2, 6))
    series = evidence.once(raw_series)
    ((numbers, values),) = series.blocks(series.numbers("load"))
    assert numbers.tolist() == [0, 1]
    assert values.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_words_name_the_series_and_the_time() -> None:
    series = sick.raw(np.zeros((5, 4))).once(raw_series)
    assert series.named(np.array([4, 1])) == " of 2 of 5 series (p4, p1)"
    assert series.named(np.arange(5)) == " of 5 of 5 series (p0, p1, p2, ...)"
    assert series.time(5) == "2023-03-01 01:00:00"
    assert sick.raw(np.zeros((1, 4))).once(raw_series).named(np.array([0])) == ""


def test_rows_that_are_examples_are_no_series() -> None:
    dataset = read(pl.DataFrame({"a": [1.0, 2.0], "b": [1, 2]}), target="b")
    with pytest.raises(Skip, match="not cut"):
        raw_series(DataEvidence(dataset))


def test_one_series_in_a_hundred_is_worth_a_warning() -> None:
    assert severity_of_series(1, 100) == "warning"
    assert severity_of_series(1, 101) == "note"
