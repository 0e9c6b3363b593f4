from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.datasets import load_digits

from netwright.data.read import read
from netwright.records.errors import DataError


def test_arrays_of_two_axes_are_number_columns_with_y_as_target() -> None:
    dataset = read((np.arange(6.0).reshape(3, 2), np.array([0, 1, 1])))
    assert dataset.table.to_dict(as_series=False) == {"x0": [0.0, 2.0, 4.0], "x1": [1.0, 3.0, 5.0], "target": [0, 1, 1]}
    assert dataset.targets == ("target",)
    assert dataset.locate(2) == "array, row 2"


@pytest.mark.parametrize(
    ("array", "column", "dtype"),
    [
        (np.zeros((5, 8, 6), np.uint8), "image", pl.Array(pl.UInt8, (8, 6))),
        (np.zeros((5, 8, 8)), "image", pl.Array(pl.Float32, (8, 8))),
        (np.zeros((5, 3, 8, 6)), "image", pl.Array(pl.Float32, (3, 8, 6))),
        (torch.zeros(5, 8, 6, 3, dtype=torch.uint8), "image", pl.Array(pl.UInt8, (8, 6, 3))),
        (torch.zeros(5, 20, 2), "series", pl.Array(pl.Float32, (20, 2))),
        (np.zeros((5, 2, 3, 4, 5)), "tensor", pl.Array(pl.Float32, (2, 3, 4, 5))),
    ],
)
def test_arrays_of_more_axes_are_what_kinds_take_them_for(array: Any, column: str, dtype: pl.DataType) -> None:
    assert read(array).table.schema == {column: dtype}


def test_pixels_come_back_unchanged() -> None:
    images = load_digits().images.astype(np.uint8)
    assert np.array_equal(read(images).table["image"].to_numpy(), images)


def test_frames_of_pandas_keep_types_and_missing_cells() -> None:
    frame = pd.DataFrame({
        "n": [1.0, np.nan, 3.0], "i": [1, 2, 3], "s": ["a", None, "c"], "c": pd.Categorical(["u", "v", "u"]),
        "d": pd.to_datetime(["2020-01-01", None, "2020-01-03"]), "m": pd.array([1, None, 3], dtype="Int64"),
        "mixed": [1, "x", None],
    })  # fmt: skip
    table = read(frame, target="i").table
    assert table["i"].to_list() == [1, 2, 3]
    assert table["s"].to_list() == ["a", None, "c"]
    assert table["c"].to_list() == ["u", "v", "u"]
    assert table["d"].is_null().to_list() == [False, True, False]
    assert table["d"].dtype.is_temporal()
    assert table["m"].fill_nan(None).to_list() == [1.0, None, 3.0]
    assert table["mixed"].to_list() == ["1", "x", None]


def test_frame_and_series_make_a_named_target() -> None:
    dataset = read((pd.DataFrame({"a": [1, 2]}), pd.Series(["u", "v"], name="kind")))
    assert dataset.targets == ("kind",)
    assert dataset.inputs == ("a",)


def test_dicts_and_lists_of_dicts_are_tables() -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2.5, "b": None}]
    assert read(rows).table.to_dict(as_series=False) == {"a": [1.0, 2.5], "b": ["x", None]}
    assert read({"a": [1, 2], "b": np.array(["x", "y"])}).table.rows() == [(1, "x"), (2, "y")]
    assert read({"a": 1, "b": "x"}).table.rows() == [(1, "x")]
    pixels = read({"photo": np.zeros((2, 4, 4), np.uint8), "age": torch.tensor([1, 2])}).table
    assert pixels.schema == {"photo": pl.Array(pl.UInt8, (4, 4)), "age": pl.Int64}


def test_lists_of_text_paths_and_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(["good", "bad"]).table.schema == {"text": pl.String}
    assert read(["a.png", "b.jpg"]).table["image"].to_list() == [f"{tmp_path}/a.png", f"{tmp_path}/b.jpg"]
    assert read([[1.0, 2.0], [1.0, 2.0, 3.0]]).table.schema == {"series": pl.List(pl.Float32)}
    texts = read((["good film", "bad film"], ["+", "-"]))
    assert texts.targets == ("target",)


def test_given_parts_are_kept_and_rows_are_located_in_them() -> None:
    x, y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])
    dataset = read({"train": (x, y), "test": (x[:2], y[:2])})
    assert dataset.parts is not None and dataset.parts.to_list() == ["train"] * 4 + ["test"] * 2
    assert dataset.locate(5) == "array 'test', row 1"
    assert dataset.targets == ("target",)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ((np.zeros((3, 2)), np.zeros(2)), "there are 3 rows of inputs and 2 of targets"),
        ((1, 2, 3), "expected (inputs, target), got a tuple of 3"),
        (42, "cannot read data of type int"),
        (np.zeros((0, 3)), "the array has no rows"),
        ({"a": [1, 2], "b": [1]}, "column 'b' has 1 cells, 'a' has 2"),
        (pl.DataFrame({"a": []}), "the array has no rows"),
    ],
)
def test_data_that_do_not_fit_are_an_error(data: Any, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        read(data)
    assert caught.value.problem == problem


@pytest.mark.parametrize("target", [np.arange(6) % 3, np.arange(6)[:, None] % 3, np.eye(3)[np.arange(6) % 3]])
@pytest.mark.parametrize("form", [np.asarray, torch.as_tensor, lambda target: target.tolist()])
def test_targets_in_a_column_or_one_hot_are_labels(target: np.ndarray, form: Any) -> None:
    dataset = read((np.zeros((6, 2)), form(target)))
    assert dataset.targets == ("target",)
    assert dataset.table["target"].to_list() == [0, 1, 2, 0, 1, 2]


def test_arrays_with_several_ones_in_a_row_stay_several_labels() -> None:
    dataset = read((np.zeros((3, 2)), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]])))
    assert dataset.targets == ("target0", "target1", "target2")
    words = read((np.zeros((3, 1)), [["a"], ["a", "b"], ["b"]]))
    assert words.table["target"].to_list() == [["a"], ["a", "b"], ["b"]]


def test_periods_intervals_and_paths_are_read_and_other_objects_refused_by_name() -> None:
    frame = pd.DataFrame({"when": pd.period_range("2000-01", periods=4, freq="M"), "size": pd.cut([1, 2, 3, 4], 2)})
    frame["file"] = [Path("a.csv"), Path("b.csv"), None, Path("c.csv")]
    table = read(frame).table
    assert table.schema["when"] == pl.Datetime and table["size"].n_unique() == 2
    assert table["file"].to_list() == ["a.csv", "b.csv", None, "c.csv"]
    with pytest.raises(DataError, match="column 'z' holds objects of type complex"):
        read(pd.DataFrame({"x": [1, 2], "z": [1j, 2j]}))
    with pytest.raises(DataError, match="the frame has two columns named 'x'"):
        read(pd.DataFrame(np.ones((3, 3)), columns=["x", "x", "y"]))


def test_whole_numbers_of_pandas_stay_whole_if_some_are_missing() -> None:
    frame = pd.DataFrame({"y": pd.Series([1, 2, None], dtype="Int64"), "x": [1.5, None, 2]})
    assert read(frame).table.schema == {"y": pl.Int64, "x": pl.Float64}
    assert read(frame).table["y"].to_list() == [1, 2, None]


def test_structured_arrays_are_columns_by_name_and_great_whole_numbers_text() -> None:
    rows = np.array([(1, 1.5), (2, 2.5)], dtype=[("a", "i4"), ("b", "f8")])
    assert read(rows).table.to_dict(as_series=False) == {"a": [1, 2], "b": [1.5, 2.5]}
    great = [10**40, 10**40 + 1, 3]
    for data in ({"n": great}, pd.DataFrame({"n": great}), [{"n": x} for x in great]):
        assert read(data).table["n"].to_list() == [str(x) for x in great]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (np.ones((3, 2)) * 1j, "the array holds complex numbers"),
        ({"p": np.ones(3) * 1j, "q": [1, 2, 3]}, "column 'p' holds complex numbers"),
        (np.zeros(3, "V8"), "the array holds |V8"),
        (np.empty((3, 2, 2), object), "the array holds object"),
        ({"p": [1, object(), 2]}, "column 'p' holds objects of type int"),
        (["a\ud800", "b"], "column 'text' cannot be held: 'utf-8' codec can't encode"),
    ],
)
def test_cells_that_no_column_can_hold_are_refused_by_name(data: Any, problem: str) -> None:
    with pytest.raises(DataError) as error:
        read(data)
    assert error.value.problem.startswith(problem)
