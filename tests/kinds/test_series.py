import numpy as np
import polars as pl
import pytest
import torch

from netwright.kinds.series import Series
from netwright.records.errors import DataError

CELLS = pl.DataFrame(
    {"pulse": [[1.0, 2.0, 3.0], [4.0], [5.0, None, 7.0]], "heat": [[10, 20, 30], [40], [50, 60, 70]]}
).to_struct("ward")


def test_channels_stand_side_by_side_and_ends_are_nan():
    field = Series.learn("ward", CELLS)
    assert field.channels == ("pulse", "heat")
    encoded = field.encode(CELLS)
    assert encoded.shape == (3, 3, 2)
    assert encoded[1].isnan().tolist() == [[False, False], [True, True], [True, True]]
    assert encoded[2].isnan().tolist() == [[False, False], [True, False], [False, False]]


def test_description_tells_lengths_gaps_and_range():
    assert Series.learn("ward", CELLS).describe() == (
        "series of 1 to 3 steps of 2 channels, 7 % of the values missing, values 1 to 70"
    )


def test_channels_are_found_by_name():
    field = Series.learn("ward", CELLS)
    turned = CELLS.struct.unnest().select("heat", "pulse").to_struct("ward")
    assert torch.equal(field.encode(turned).nan_to_num(-1), field.encode(CELLS).nan_to_num(-1))


def test_a_missing_channel_is_an_error():
    with pytest.raises(DataError, match="column 'ward': the series have no channel 'heat'") as error:
        Series.learn("ward", CELLS).encode(CELLS.struct.unnest().select("pulse").to_struct("ward"))
    assert error.value.remedy == "give all channels: pulse, heat."


def test_longer_series_are_cut_and_a_few_far_longer_ones_do_not_decide():
    cells = pl.Series([[1.0] * 10] * 300 + [[1.0] * 500])
    field = Series.learn("x", cells)
    assert field.longest == 10
    assert "under 1 % longer and cut" in field.describe()
    assert field.encode(cells).shape == (301, 10, 1)
    assert Series.learn("x", cells, "20").longest == 20


def test_arrays_of_steps_and_channels_are_series():
    values = np.random.default_rng(0).normal(size=(9, 7, 2)).astype(np.float32)
    assert Series.matches(pl.Series(values))
    field = Series.learn("x", pl.Series(values))
    assert np.array_equal(field.encode(pl.Series(values)).numpy(), values)


def test_infinite_values_are_missing():
    field = Series.learn("x", pl.Series([[1.0, float("inf"), 3.0]]))
    assert field.encode(pl.Series([[1.0, float("-inf")]])).isnan().tolist() == [[[False], [True], [True]]]


def test_a_column_that_is_all_missing_encodes():
    assert Series.learn("ward", CELLS).encode(pl.Series([None, None])).isnan().all()


def test_series_without_values_and_cells_of_text_are_errors():
    with pytest.raises(DataError, match="column 'x' has no values in any series"):
        Series.learn("x", pl.Series([[], None], dtype=pl.List(pl.Float64)))
    with pytest.raises(
        DataError, match=r"column 'x': series cells must be lists of numbers, .* but the column holds String"
    ):
        Series.learn("x", pl.Series(["a"]))


def test_show_draws_a_line_for_each_channel():
    field = Series.learn("ward", CELLS)
    shown = field.show(CELLS[0], torch.ones(3, 2))
    assert (shown.count("<polyline"), shown.count("<rect")) == (2, 3)
    assert field.show(None) == "<span>missing</span>"
