import numpy as np
import polars as pl
import pytest
from tests.sick import series as sick

from netwright.checks.data.lengths import thin_series
from netwright.checks.evidence import Skip


def test_series_that_ended_and_short_ones_are_notes() -> None:
    frame = sick.healthy().filter(~sick.of("Oslo", 800) & ~sick.of("Bodø", 0, 940))
    ended, short = thin_series(sick.evidence(frame))
    assert (ended.title, short.title) == ("series that ended", "short series")
    assert ended.severity == short.severity == "note"
    assert ended.summary == "1 of 3 series (Oslo) end long before the others, the first at 2023-04-03 07:00:00"
    assert "(Bodø) have less than a tenth of the 800 rows" in short.summary


def test_constant_series_are_a_warning_and_zeros_are_counted() -> None:
    values = np.random.default_rng(0).normal(size=(50, 100))
    values[3], values[7] = 0.0, 5.0
    (found,) = thin_series(sick.raw(values))
    assert found.severity == "warning"
    assert found.summary == "2 of 50 series (p3, p7) never change in load, 1 of them at 0"
    many = np.concatenate([values, np.random.default_rng(1).normal(size=(250, 100))])
    (found,) = thin_series(sick.raw(many))
    assert found.severity == "note"


def test_series_that_come_and_go_have_no_usual_end() -> None:
    lengths = np.random.default_rng(0).integers(300, 1_000, 12)
    frame = pl.concat([sick.healthy().filter(sick.of("Oslo", 0, int(n))).with_columns(place=pl.lit(f"{k:02}"))
                       for k, n in enumerate(lengths)])  # fmt: skip
    assert not list(thin_series(sick.evidence(frame)))


def test_two_series_have_no_usual_one() -> None:
    with pytest.raises(Skip, match="fewer than 3"):
        list(thin_series(sick.raw(np.zeros((2, 50)))))
