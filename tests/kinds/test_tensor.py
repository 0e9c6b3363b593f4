import numpy as np
import polars as pl
import pytest
import torch

from netwright.kinds.tensor import TensorField
from netwright.records.errors import DataError
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal

VALUES = np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype(np.float32)


def test_tensors_pass_through_unchanged():
    field = TensorField.learn("x", pl.Series(VALUES))
    assert np.array_equal(field.encode(pl.Series(VALUES)).numpy(), VALUES)
    whole = np.arange(6).reshape(2, 3)
    assert TensorField.learn("x", pl.Series(whole)).encode(pl.Series(whole)).dtype == torch.int64


@pytest.mark.parametrize(
    ("shape", "signal"),
    [((6,), Signal("vector", 6)), ((3, 4), Signal("sequence", 4, (3,))), ((2, 3, 4), Signal("map", 2, (3, 4)))],
)
def test_the_shape_decides_what_the_stem_hands_on(shape: tuple[int, ...], signal: Signal):
    field = TensorField.learn("x", pl.Series(np.ones((4, *shape), np.float32)))
    assert field.stem((field,), Recipe())[1] == signal


def test_missing_rows_are_nan():
    cells = pl.Series([[1.0, 2.0], None], dtype=pl.Array(pl.Float32, 2))
    assert TensorField.learn("x", cells).encode(cells).isnan().tolist() == [[False, False], [True, True]]


def test_another_shape_is_an_error():
    field = TensorField.learn("x", pl.Series(VALUES))
    with pytest.raises(DataError, match=r"column 'x': expected arrays of shape \(2, 3, 4\), got \(3, 4\)"):
        field.encode(pl.Series(VALUES[:, 0]))


def test_lists_are_refused():
    with pytest.raises(DataError, match="column 'x': tensor cells must be arrays of numbers, all of one shape, but"):
        TensorField.learn("x", pl.Series([[1.0], [1.0, 2.0]]))
