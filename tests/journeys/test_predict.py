"""What predict says about new rows: what it could not read, what it keeps, and what it does not overwrite."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import netwright as nw
from netwright.data.read import read_labelled_chunks
from netwright.tasks import sample

SETTINGS = {"epochs": 2, "members": 1, "width": 8, "precision": "fp32"}
ROWS = 120


def _people(folder: Path) -> Path:
    r = np.random.default_rng(8)
    size, town = r.normal(170, 10, ROWS).round(1), r.choice(["Oslo", "Rome", "Bonn"], ROWS)
    born = [f"19{r.integers(50, 99)}-0{r.integers(1, 9)}-1{r.integers(0, 9)}" for _ in range(ROWS)]
    tall = np.where(size + r.normal(0, 3, ROWS) > 170, "tall", "small")
    people = {"id": [f"{n:04}" for n in range(ROWS)], "size": size, "town": town, "born": born, "y": tall}
    pl.DataFrame(people).write_csv(folder / "people.csv")
    return folder / "people.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    said = {"target": "y", "drop": "id", "audit": False, "diagnose": False}
    nw.train(_people(folder), **said, settings=SETTINGS, folder=folder / "run")
    return folder / "run"


def _new(**cells: list[object]) -> pl.DataFrame:
    plain = {"size": [171.5, 160.0, 180.25], "town": ["Oslo", "Rome", "Bonn"], "born": ["1970-01-15"] * 3}
    return pl.DataFrame({**plain, **cells}, strict=False)


def _told(run: Path, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    told = list[str]()
    return nw.predict(run, rows, show=told.append), told


def test_rows_like_those_of_the_training_are_answered_in_silence(run: Path) -> None:
    assert _told(run, _new())[1] == []


def test_numbers_written_otherwise_are_read_and_reported(run: Path) -> None:
    plain = _told(run, _new())[0]
    answers, told = _told(run, _new(size=["171,5", "160", "180,25"]))
    assert answers.equals(plain)
    assert told == ["size: 2 of 3 cells are written otherwise than in training; the first is array, row 0: '171,5'"]
    assert "size: 3 of 3 cells are written otherwise" in _told(run, _new(size=["171.5 %", "160 %", "180.25 %"]))[1][0]


def test_what_cannot_be_read_is_counted_and_named_for_each_column(run: Path) -> None:
    rows = _new(size=["tall", "160 in", "180"], town=["Oslo", "Paris", "?"], born=["1970-01-15", "May", None])
    assert _told(run, rows)[1] == [
        "size: 2 of 3 cells are not numbers: read as missing; the first is array, row 0: 'tall'",
        "town: 1 of 2 cells have values in fewer than 3 training rows: read as unseen; "
        "the first is array, row 1: 'Paris'",
        "born: 1 of 2 cells are not dates: read as missing; the first is array, row 1: 'May'",
    ]


def test_without_a_listener_it_is_a_warning_of_python(run: Path) -> None:
    with pytest.warns(UserWarning, match="town: 1 of 3 cells have values in fewer than 3 training rows"):
        nw.predict(run, _new(town=["Oslo", "Paris", "Rome"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nw.predict(run, _new())


def test_a_column_of_which_nothing_can_be_read_is_an_error(run: Path) -> None:
    with pytest.raises(nw.NetwrightError) as caught:
        nw.predict(run, _new(size=["high", "low", None]))
    assert str(caught.value).startswith(
        "no cell of column 'size' can be read as a number: the first is array, row 0: 'high'\n"
        "  fix: write it as in training (numbers "
    )
    assert len(nw.predict(run, _new(size=[None, None, None]))) == 3


def test_one_row_with_a_bad_cell_or_an_unknown_column_is_refused(run: Path, netwright: Callable) -> None:
    bad = netwright("predict", run, "--row", "size=abc", "--row", "town=Oslo", "--row", "born=1970-01-15")
    assert (bad.code, "array, row 0: 'abc'" in bad.err) == (2, True)
    unknown = netwright("predict", run, "--row", "size=170", "--row", "twon=Oslo")
    assert unknown.err == "error: the run has no column 'twon'\n  fix: did you mean 'town'?\n"


def test_reports_come_at_the_end_and_stay_with_quiet(run: Path, tmp_path: Path, netwright: Callable) -> None:
    _new(size=["171.5", "x", "180"]).write_csv(tmp_path / "new.csv")
    for words in ((), ("--quiet",)):
        said = netwright("predict", run, tmp_path / "new.csv", *words)
        assert said.code == 0 and len(said.out.splitlines()) == 4
        assert said.err.endswith(f"the first is {tmp_path / 'new.csv'}, line 3: 'x'\n")


def test_columns_come_along_as_they_are_written(run: Path, tmp_path: Path, netwright: Callable) -> None:
    _new(id=["007", "010", "1"], price=["1.50", "2", "3"]).write_csv(tmp_path / "new.csv")
    said = netwright("predict", run, tmp_path / "new.csv", "--keep", "id,price", "--keep", "town")
    assert [line.split(",")[:4] for line in said.out.splitlines()] == [
        ["line", "id", "price", "town"], ["2", "007", "1.50", "Oslo"], ["3", "010", "2", "Rome"],
        ["4", "1", "3", "Bonn"],
    ]  # fmt: skip
    answers = nw.predict(run, _new(), keep="town")
    assert answers.columns[:3] == ["row", "town", "prediction"]
    missing = netwright("predict", run, tmp_path / "new.csv", "--keep", "nmae")
    assert (missing.code, "has no column 'nmae'" in missing.err) == (2, True)
    with pytest.raises(nw.NetwrightError, match="answers have a column 'prediction' too"):
        nw.predict(run, _new(prediction=["a", "b", "c"]), keep=("prediction",))


def test_new_data_are_never_overwritten_by_their_answers(run: Path, tmp_path: Path, netwright: Callable) -> None:
    _new().write_csv(tmp_path / "new.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "new.csv")
    before = (tmp_path / "new.csv").read_bytes()
    for data, to in (("new.csv", "new.csv"), ("link.csv", "new.csv"), ("new.csv", "link.csv")):
        said = netwright("predict", run, tmp_path / data, "--to", tmp_path / to)
        assert (said.code, "would be overwritten, but it holds the data" in said.err) == (2, True)
    with pytest.raises(nw.NetwrightError, match="would be overwritten"):
        nw.predict(run, tmp_path / "new.csv", to=str(tmp_path / "new.csv"))
    assert netwright("fix", tmp_path / "new.csv", tmp_path / "new.csv", "-t", "town").code == 2
    assert (tmp_path / "new.csv").read_bytes() == before


def test_sheets_of_excel_are_read_and_written(run: Path, tmp_path: Path, netwright: Callable) -> None:
    _new(id=["=1+1", "010", "1"]).write_excel(tmp_path / "new.xlsx")
    said = netwright("predict", run, tmp_path / "new.xlsx", "--to", tmp_path / "answers.xlsx", "--keep", "id")
    assert said.code == 0, said.err
    answers = pl.read_excel(tmp_path / "answers.xlsx")
    assert answers["line"].to_list() == [2, 3, 4]
    assert answers["id"].to_list() == ["=1+1", "010", "1"]
    assert answers["prediction"].to_list() == nw.predict(run, _new())["prediction"].to_list()


def test_points_between_thousands_are_read_as_in_training_however_few_the_new_rows(tmp_path: Path) -> None:
    r = np.random.default_rng(3)
    sold = r.lognormal(8, 1.5, 300).astype(int) + 50
    lines = [f"{n:,};{10 * n:,}\n".replace(",", ".") for n in sold]
    (tmp_path / "sold.csv").write_text("sold;paid\n" + "".join(lines))
    run = nw.train(tmp_path / "sold.csv", target="paid", settings=SETTINGS, audit=False, diagnose=False)
    (tmp_path / "new.csv").write_text("sold;paid\n20.546;205.460\n1.230;12.300\n")
    plain = pl.DataFrame({"sold": [20546, 1230], "paid": [205460, 12300]})
    assert nw.predict(run, tmp_path / "new.csv")["prediction"].equals(nw.predict(run, plain)["prediction"])
    assert nw.evaluate(run, tmp_path / "new.csv") == nw.evaluate(run, plain)


def test_evaluation_in_pieces_gives_the_scores_of_all_rows_and_tells_once_what_it_left_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, netwright: Callable
) -> None:
    rows = pl.read_csv(_people(tmp_path), infer_schema=False)
    rows[[3, 100], "y"] = None
    rows[[5, 90], "y"] = "huge"
    rows[[7, 60], "size"] = "x"
    rows.write_csv(tmp_path / "new.csv")
    whole = netwright("evaluate", run, tmp_path / "new.csv")
    monkeypatch.setattr(read_labelled_chunks, "__defaults__", (16,))
    pieces = netwright("evaluate", run, tmp_path / "new.csv")
    assert (pieces.code, pieces.out) == (0, whole.out) and "on 116 test rows" in whole.out
    assert pieces.err == whole.err
    assert pieces.err.count("cannot be read, the first is") == pieces.err.count("without a y left out") == 1
    assert f"size: 2 of {len(rows) - 2} cells are not numbers" in pieces.err


def test_scores_of_a_sample_say_so(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, netwright: Callable
) -> None:
    monkeypatch.setattr(sample, "MOST_ROWS", 50)
    said = netwright("evaluate", run, _people(tmp_path))
    assert "on 120 test rows" in said.out and "all are of 50 of these rows, drawn at random\n" in said.out
    assert json.loads(netwright("evaluate", run, _people(tmp_path), "--json").out)["sampled"] == 50
