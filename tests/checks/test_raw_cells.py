import polars as pl
from tests.sick import series as sick

from netwright.checks.data.raw_cells import odd_cells


def test_a_value_that_stands_for_missing_ones_is_named_with_rows_of_the_data() -> None:
    frame = sick.put("warm", sick.of("Oslo", 100, 130), pl.lit(-999.0))(sick.healthy())
    (found,) = odd_cells(sick.evidence(frame))
    assert "warm is -999 in 30 rows" in found.summary and found.title == "a value that stands for missing ones"
    assert not found.rows and not found.fixes
    assert found.places[0] == "array, row 100"


def test_healthy_series_have_no_odd_cell() -> None:
    assert not list(odd_cells(sick.evidence(sick.healthy())))
