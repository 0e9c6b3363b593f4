import numpy as np
import polars as pl
from tests.sick import series as sick

from netwright.checks.data.same_time import doubled_rows


def test_rows_that_are_there_twice_are_counted_and_named() -> None:
    frame = sick.healthy()
    (found,) = doubled_rows(sick.evidence(pl.concat([frame, frame.filter(sick.of("Oslo", 5, 45))])))
    assert found.severity == "warning"
    assert found.summary == "40 rows of 1 of 3 series (Oslo) are in the data twice, 1.32% of all"
    assert found.places[0] == "array, row 3000"
    (found,) = doubled_rows(sick.evidence(pl.concat([frame, frame.filter(sick.of("Oslo", 5, 6))])))
    assert found.severity == "note" and found.summary.startswith("1 row of 1 of 3 series (Oslo) is in the data twice")


def test_equal_values_at_other_times_are_no_copies() -> None:
    assert not list(doubled_rows(sick.raw(np.ones((3, 100)))))
