from pathlib import Path

import pytest

from netwright.data.dataset import Dataset
from netwright.data.read import read
from netwright.records.errors import DataError

LONG = "id,t,a,b,place\nx,1,0.5,1,sea\ny,0,4,3,land\nx,0,0.25,2,sea\ny,1,5,,land\ny,2,6,7,land\n"


def _write(folder: Path, long: str = LONG, labels: str = "") -> tuple[Path, Path]:
    (folder / "heat.csv").write_text(long)
    (folder / "labels.csv").write_text(labels)
    return folder / "heat.csv", folder / "labels.csv"


def _read(folder: Path, long: str = LONG) -> Dataset:
    return read(_write(folder, long)[0], series="id", time="t", target="place")


def test_rows_become_series_in_the_order_of_time(tmp_path: Path) -> None:
    dataset = _read(tmp_path)
    assert dataset.table["series"].to_list() == [
        {"a": [0.25, 0.5], "b": [2.0, 1.0]},
        {"a": [4.0, 5.0, 6.0], "b": [3.0, None, 7.0]},
    ]
    assert dataset.table["place"].to_list() == ["sea", "land"]
    assert dataset.locate(1) == f"{tmp_path}/heat.csv, id y"


def test_times_may_be_dates(tmp_path: Path) -> None:
    dataset = _read(tmp_path, "id,t,a,place\nx,12/31/2019,3,sea\nx,1/2/2019,1,sea\nx,3/2/2019,2,sea\n")
    assert dataset.table["series"][0] == {"a": [1.0, 2.0, 3.0]}


def test_words_as_times_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has neither numbers nor dates in one format, as in 'soon' .*line 3"):
        _read(tmp_path, "id,t,a,place\nx,1,3,sea\nx,soon,1,sea\n")


def test_labels_and_parts_come_from_a_second_table(tmp_path: Path) -> None:
    heat, labels = _write(tmp_path, labels="id,kind,split\ny,cold,test\nx,warm,train\nz,warm,train\n")
    dataset = read(heat, series="id", time="t", labels=labels, target="kind", split="split")
    assert dataset.table["kind"].to_list() == ["warm", "cold"]
    assert dataset.parts is not None and dataset.parts.to_list() == ["train", "test"]
    assert dataset.inputs == ("series", "place")
    assert dataset.notes == ("1 label of labels.csv without a series left out, the first is id z",)


def test_series_without_a_label_is_left_out_and_counted(tmp_path: Path) -> None:
    heat, labels = _write(tmp_path, labels="id,kind\nx,warm\n")
    dataset = read(heat, series="id", time="t", labels=labels, target="kind")
    assert len(dataset) == 1
    assert dataset.notes == (f"1 row without a 'kind' left out, the first is {heat}, id y",)


def test_series_labelled_twice_is_an_error(tmp_path: Path) -> None:
    heat, labels = _write(tmp_path, labels="id,kind\nx,warm\ny,cold\nx,cold\n")
    with pytest.raises(DataError, match=r"labels.csv has id x twice: .*line 2 and .*line 4"):
        read(heat, series="id", time="t", labels=labels, target="kind")


def test_target_that_changes_within_a_series_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'place' changes within id x of heat.csv\n  fix: give each series one value."):
        _read(tmp_path, LONG + "x,2,1,1,land\n")


def test_rows_without_a_time_and_times_that_repeat_are_counted(tmp_path: Path) -> None:
    dataset = _read(tmp_path, LONG + "x,,1,1,sea\nx,1,9,9,sea\n")
    assert dataset.table["series"][0]["a"] == [0.25, 0.5, 9.0]
    assert dataset.notes == (
        f"1 row without id or t left out, the first is {tmp_path}/heat.csv, line 7",
        "2 rows with the same t as another row of the series, kept in the order of the file, "
        f"the first is {tmp_path}/heat.csv, line 2",
    )


def test_unknown_series_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(_write(tmp_path)[0], series="utterance", time="t")
    assert str(caught.value) == (
        "heat.csv has no column 'utterance'\n  fix: choose the series from id, t, a, b, place."
    )


def test_ids_with_leading_zeros_are_those_without(tmp_path: Path) -> None:
    long = "id,t,a\n001,0,1\n002,0,2\n010,0,3\n"
    heat, labels = _write(tmp_path, long, "id,kind\n1,warm\n2,cold\n10,warm\n")
    dataset = read(heat, series="id", time="t", labels=labels, target="kind")
    assert dataset.table["kind"].to_list() == ["warm", "cold", "warm"]
    assert dataset.locate(2) == f"{heat}, id 010"


def test_ids_of_which_none_fits_are_an_error_that_shows_both(tmp_path: Path) -> None:
    heat, labels = _write(tmp_path, labels="id,kind\nX,warm\nY,cold\n")
    with pytest.raises(DataError, match=r"no id of labels\.csv is one of the series: 'X' there, 'x' among the series"):
        read(heat, series="id", time="t", labels=labels, target="kind")


def test_channels_are_read_as_they_write_their_numbers(tmp_path: Path) -> None:
    lines = [f"{'xyz'[n % 3]};{n};{n / 4}".replace(".", ",") for n in range(60)]
    lines[7] = "y;7;broken"
    heat, _ = _write(tmp_path, "id;t;a\n" + "\n".join(lines) + "\n")
    dataset = read(heat, series="id", time="t")
    assert dataset.table["series"].struct.field("a")[0].to_list()[:3] == [0, 0.75, 1.5]
    assert dataset.notes == (f"1 cell of 'a' not a number, read as missing, the first is {heat}, line 9: 'broken'",)
