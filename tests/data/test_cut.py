"""Rows that a task cuts are sorted first, and refused if they cannot be."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from netwright.data.prepare import prepare
from netwright.data.read import read, read_chunks, read_labelled_chunks, read_source
from netwright.data.split import split
from netwright.records.errors import DataError
from netwright.records.source import Source
from netwright.tasks.forecasting import Forecasting

DAYS = [date(2024, 1, 1) + timedelta(k) for k in range(150)]


def _stores(path: Path, count: int = 150) -> Path:
    """Two stores in a table without order: units of A count up from 0, of B from 1,000."""
    rows = [(store, day, first + k) for store, first in (("A", 0), ("B", 1000)) for k, day in enumerate(DAYS[:count])]
    table = pl.DataFrame(rows, schema=["store", "day", "units"], orient="row")
    table.sample(fraction=1, shuffle=True, seed=0).write_csv(path / "stores.csv")
    return path / "stores.csv"


def _refused(path: Path, table: pl.DataFrame, series: str = "store", task: str = "forecasting:3") -> DataError:
    table.write_csv(path / "bad.csv")
    with pytest.raises(DataError) as caught:
        read(path / "bad.csv", target="units", series=series, time="day", task=task)
    return caught.value


def test_rows_in_any_order_are_cut_within_their_series_by_time(tmp_path: Path) -> None:
    path = _stores(tmp_path)
    dataset = read(path, target="units", series="store", time="day", task="forecasting:3,lags=10")
    assert len(dataset) == 2 * (150 - 13 + 1)
    past, ahead = (dataset.mapped[name].take(dataset.table[name].to_numpy()) for name in ("past", "units"))
    ahead = ahead[:, :, 0]
    assert (np.diff(past[:, :, 0], axis=1) == 1).all() and (np.diff(ahead, axis=1) == 1).all()
    assert (ahead[:, -3] == past[:, -1, 0] + 1).all()
    lines = path.read_text().splitlines()
    for row in (0, 140, len(dataset) - 1):
        line = int(dataset.locate(row).rpartition(" ")[2])
        assert int(lines[line - 1].rpartition(",")[2]) == ahead[row, -3]


def test_rows_are_not_cut_in_pieces(tmp_path: Path) -> None:
    said = Source(_stores(tmp_path), ("units",), series="store", time="day", task="forecasting:3,lags=10")
    (labelled,) = read_labelled_chunks(said, rows=20)
    assert labelled.table.equals(read_source(said).table)
    task = Forecasting(("units",), 3, 1, 10, (0.0,), (1.0,), (1.0,), (0.1,))
    (piece,) = read_chunks(replace(said, task=task), rows=20)
    assert len(piece) == 2
    assert piece.names is not None and piece.names["store"].to_list() == ["A"] * 3 + ["B"] * 3
    assert [piece.mapped["past"].take(np.array([k]))[0, -1, 0] for k in (0, 1)] == [149, 1149]


def test_two_rows_of_a_series_at_one_time_are_refused_with_their_lines(tmp_path: Path) -> None:
    table = pl.read_csv(_stores(tmp_path), try_parse_dates=True).sort("store", "day")
    error = _refused(tmp_path, pl.concat([table, table[[3]].with_columns(units=pl.lit(7, pl.Int64))]))
    assert "two rows of store A have the day 2024-01-04" in error.problem
    assert "line 5, " in error.problem and "line 302" in error.problem
    assert "--series" in _refused(tmp_path, table, series="").remedy


def test_a_target_that_is_the_time_or_the_series_is_refused(tmp_path: Path) -> None:
    path = _stores(tmp_path)
    for target, why in (("day", "orders the rows in time"), ("store", "says whose each row is")):
        with pytest.raises(DataError, match=f"'{target}' {why}"):
            read(path, target=target, series="store", time="day", task="forecasting:3")


def test_words_for_a_missing_time_are_refused_with_their_line(tmp_path: Path) -> None:
    table = pl.read_csv(_stores(tmp_path)).with_columns(
        day=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("?")).otherwise("day")
    )
    assert "1 row without a 'day', the first is" in _refused(tmp_path, table).problem


def test_new_rows_are_read_day_first_if_training_rows_were(tmp_path: Path) -> None:
    def written(days: list[date]) -> Path:
        pl.DataFrame({"day": [f"{day:%d/%m/%Y}" for day in days], "units": range(len(days))}).write_csv(
            tmp_path / "d.csv"
        )
        return tmp_path / "d.csv"

    said = Source(written(DAYS), ("units",), time="day", task="forecasting:3")
    first = read_source(said)
    assert first.kinds["day"] == "date:%d-%m-%Y"
    later = replace(said, kinds={"day": first.kinds["day"]}, known=("price",)).about_rows()
    assert later.kinds == {"day": "date:%d-%m-%Y"} and later.known == ("price",) and not later.target
    path = written([date(2024, 3, 1) + timedelta(k) for k in range(9)])  # no day above 12
    dataset = read_source(replace(said, data=path, kinds=later.kinds))
    assert dataset.raw is not None and dataset.raw.times is not None
    assert str(dataset.raw.times.dt.date().max()) == "2024-03-09"
    assert not any("guess" in note for note in dataset.notes)
    guessed = read_source(replace(said, data=path))
    assert any(note.startswith("day: read as the month first, which is a guess") for note in guessed.notes)


def test_unreadable_missing_and_equal_times_are_refused(tmp_path: Path) -> None:
    table = pl.read_csv(_stores(tmp_path))
    place = pl.int_range(pl.len()) == 7
    unread = _refused(tmp_path, table.with_columns(day=pl.when(place).then(pl.lit("soon")).otherwise("day")))
    assert "'soon'" in unread.problem and "line 9" in unread.problem
    missing = _refused(tmp_path, table.with_columns(day=pl.when(place).then(None).otherwise("day")))
    assert "1 row without a 'day'" in missing.problem and "line 9" in missing.problem
    assert "in every row" in _refused(tmp_path, table.with_columns(day=pl.lit("2024-01-01"))).problem
    with pytest.raises(DataError, match="no column 'hour'"):
        read(tmp_path / "bad.csv", target="units", time="hour", task="forecasting:3")


@pytest.mark.parametrize("split", ["group", "by_time"])
def test_windows_are_not_split_otherwise_than_by_time(split: str, tmp_path: Path) -> None:
    said = Source(_stores(tmp_path), ("units",), series="store", time="day", task="forecasting:3")
    with pytest.raises(DataError, match="splits them itself"):
        read_source(replace(said, **{split: "store"}))


def test_a_horizon_longer_than_the_data_is_refused_with_the_longest_series(tmp_path: Path) -> None:
    table = pl.read_csv(_stores(tmp_path, 12)).filter((pl.col("store") == "A") | (pl.col("day") < "2024-01-09"))
    error = _refused(tmp_path, table, task="forecasting:30")
    assert "(store A) has 12 steps" in error.problem and "30 next steps" in error.problem
    short = read(tmp_path / "bad.csv", target="units", series="store", time="day", task="forecasting:6")
    with pytest.raises(DataError, match="a shorter horizon"):
        split(short)


def test_a_column_that_is_known_ahead_must_be_in_the_data(tmp_path: Path) -> None:
    said = Source(_stores(tmp_path), ("units",), series="store", time="day", task="forecasting:3", known=("price",))
    with pytest.raises(DataError, match="no column 'price'"):
        read_source(said)


def test_a_step_without_a_target_is_kept_and_its_rows_stay_in_place(tmp_path: Path) -> None:
    table = pl.read_csv(_stores(tmp_path)).sort("store", "day")
    lost = table.with_columns(units=pl.when(pl.int_range(pl.len()) != 60).then("units"))
    lost.write_csv(tmp_path / "lost.csv")
    dataset = read(tmp_path / "lost.csv", target="units", series="store", time="day", task="forecasting:3,lags=10")
    assert len(dataset) == 2 * (150 - 13 + 1)
    assert "units: 1 of 300 values missing" in dataset.notes
    ahead = dataset.mapped["units"].take(np.array([50]))[0, -3:, 0]
    assert np.isnan(ahead[0]) and ahead[1:].tolist() == [61, 62]
    assert dataset.locate(50).endswith("line 62")


def test_days_written_as_one_number_are_days(tmp_path: Path) -> None:
    table = pl.read_csv(_stores(tmp_path)).with_columns(pl.col("day").str.replace_all("-", "").cast(pl.Int64))
    table.write_csv(tmp_path / "compact.csv")
    dataset = read(tmp_path / "compact.csv", target="units", series="store", time="day", task="forecasting:3,lags=10")
    assert len(dataset) == 2 * (150 - 13 + 1) and '"size":86400.0' in dataset.found


def test_times_with_offsets_have_no_doubled_hour(tmp_path: Path) -> None:
    hours = pl.Series([datetime(2024, 10, 26) + timedelta(hours=k) for k in range(72)]).dt.replace_time_zone("UTC")
    local = hours.dt.convert_time_zone("Europe/Berlin").dt.strftime("%Y-%m-%dT%H:%M:%S%:z")
    pl.DataFrame({"at": local, "y": range(72)}).write_csv(tmp_path / "local.csv")
    dataset = read(tmp_path / "local.csv", target="y", time="at", task="forecasting:3,lags=10")
    assert len(dataset) == 72 - 12 and not [note for note in dataset.notes if "clock" in note]
    assert "seen beside the past of the target: time of day" in dataset.notes


def test_a_column_whose_kind_was_named_may_become_channels(tmp_path: Path) -> None:
    table = pl.read_csv(_stores(tmp_path)).with_columns(code=pl.int_range(pl.len()) % 3)
    table.write_csv(tmp_path / "codes.csv")
    said = Source(tmp_path / "codes.csv", ("units",), {"code": "category"}, series="store", time="day",
                  task="forecasting:3,lags=10")  # fmt: skip
    dataset = read_source(said)
    prepared = prepare(dataset, split(dataset, said), said)
    assert next(prepared.train.batches(4, seed=0)).inputs[1].shape == (4, 10, 3)


def test_rows_that_are_in_order_are_not_copied(tmp_path: Path) -> None:
    table = pl.read_csv(_stores(tmp_path)).sort("store", "day")
    dataset = read(table, target="units", series="store", time="day", task="forecasting:3,lags=10")
    assert dataset.raw is not None
    assert dataset.raw.table["units"].to_numpy().ctypes.data == table["units"].to_numpy().ctypes.data


def test_a_target_that_is_no_number_is_refused_with_its_line(tmp_path: Path) -> None:
    table = pl.read_csv(_stores(tmp_path)).with_columns(pl.col("units").cast(pl.String))
    words = table.with_columns(units=pl.when(pl.int_range(pl.len()) == 4).then(pl.lit("many")).otherwise("units"))
    error = _refused(tmp_path, words)
    assert "'many'" in error.problem and "line 6" in error.problem
