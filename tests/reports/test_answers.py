import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from netwright.data.dataset import Dataset
from netwright.data.readers.table import read_table
from netwright.records.errors import DataError
from netwright.records.frames import Raw
from netwright.records.source import Source
from netwright.reports.answers import SUFFIXES, as_csv, placed, written
from netwright.training.evaluate import ROW

ROWS = pl.DataFrame({"x": [1, 2, 3, 4]})
ANSWERS = (  # two batches; row 2 could not be read
    pl.DataFrame({ROW: [0, 1], "prediction": ["a", "b"], "p": [0.5, 0.25]}),
    pl.DataFrame({ROW: [3], "prediction": ["c"], "p": [1.0]}),
)


def test_every_row_keeps_its_place_and_unreadable_ones_are_null() -> None:
    table = placed(ANSWERS, Dataset(ROWS, (), "array"))
    assert table.columns == ["row", "prediction", "p"]
    assert table.rows() == [(0, "a", 0.5), (1, "b", 0.25), (2, None, None), (3, "c", 1.0)]


@pytest.mark.parametrize(
    ("places", "unit", "name"),
    [([2, 3, 5, 6], "line", "line"), ([0, 1, 2, 3], "row", "row"), (["a", "b", "c", "d"], "line", "file")],
)
def test_the_first_column_says_where_a_row_stands(places: list[object], unit: str, name: str) -> None:
    dataset = Dataset(ROWS, (), "data", pl.Series(places), unit=unit)  # type: ignore[arg-type]  a literal
    table = placed(ANSWERS, dataset)
    assert (table.columns[0], table[name].to_list()) == (name, places)


@pytest.mark.parametrize(
    ("suffix", "read"), [(".csv", pl.read_csv), (".parquet", pl.read_parquet), (".jsonl", pl.read_ndjson)]
)
def test_written_pieces_come_back_as_one_table(
    suffix: str, read: Callable[[Path], pl.DataFrame], tmp_path: Path
) -> None:
    whole = placed(ANSWERS, Dataset(ROWS, (), "array"))
    to = tmp_path / f"answers{suffix}"
    assert written(iter((whole[:3], whole[3:])), to) == 4
    assert read(to).equals(whole)
    assert [path.name for path in tmp_path.iterdir()] == [to.name], "nothing is left behind"


def test_cells_that_hold_lists_do_not_go_into_a_csv(tmp_path: Path) -> None:
    nested = pl.DataFrame({"row": [0], "mask": [[1, 2]]})
    expected = "column 'mask' does not fit a CSV\n  fix: write to .parquet or .jsonl with --to."
    with pytest.raises(DataError) as caught:
        as_csv(nested, header=True)
    assert str(caught.value) == expected
    with pytest.raises(DataError):
        written(iter((nested,)), tmp_path / "answers.csv")
    assert not list(tmp_path.iterdir()), "no half file"
    assert written(iter((nested,)), tmp_path / "answers.parquet") == 1
    assert pl.read_parquet(tmp_path / "answers.parquet").equals(nested)


def test_other_suffixes_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    tables = iter((ROWS,))
    with pytest.raises(DataError, match=r"cannot write .*answers\.docx: unknown file type") as caught:
        written(tables, tmp_path / "answers.docx")
    assert caught.value.remedy == "choose from .csv, .parquet, .jsonl, .xlsx."
    assert next(tables) is ROWS


def test_times_have_no_fraction_that_is_zero_and_say_their_offset() -> None:
    at = datetime(2024, 1, 31, 15)
    table = pl.DataFrame({"at": [at, at + timedelta(milliseconds=250), None], "day": [at.date()] * 3})
    text = as_csv(table.with_columns(utc=pl.col("at").dt.replace_time_zone("UTC")), header=False)
    assert text.splitlines() == [
        "2024-01-31 15:00:00,2024-01-31,2024-01-31 15:00:00+00:00",
        "2024-01-31 15:00:00.250,2024-01-31,2024-01-31 15:00:00.250+00:00",
        ",2024-01-31,",
    ]


def test_a_sheet_shows_the_offset_of_times_of_a_zone(tmp_path: Path) -> None:
    at = pl.DataFrame({"at": pl.Series([datetime(2024, 7, 1, 15)]).dt.replace_time_zone("Europe/Zurich")})
    written(iter((at,)), tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as sheet:
        assert b"2024-07-01 15:00:00+02:00" in sheet.read("xl/sharedStrings.xml")


def test_columns_of_the_last_row_stand_beside_forecasts() -> None:
    raw = Raw(
        pl.DataFrame({"city": ["Bern", "Rome", "Rome"], "step": [7, 8, 9]}), (), pl.Series("shop", ["a", "b", "b"])
    )
    names = pl.DataFrame({ROW: [0, 1], "step": [1, 1], "shop": ["a", "b"]})
    dataset = Dataset(pl.DataFrame({"past": [0, 1]}), (), "x", raw=raw, spans=np.array([[0, 1], [2, 3]]), names=names)
    answers = [pl.DataFrame({ROW: [0, 1], "step": [1, 1], "prediction": [5, 6]})]
    assert placed(answers, dataset, ["city", "shop"]).drop("row").rows() == [("Bern", 1, "a", 5), ("Rome", 1, "b", 6)]
    with pytest.raises(DataError, match="answers have a column 'step' too"):
        placed(answers, dataset, ["step"])
    with pytest.raises(DataError, match="no column 'town'") as caught:
        placed(answers, dataset, ["town"])
    assert caught.value.remedy == "choose the column to keep from city, step, shop."


def test_header_stands_once() -> None:
    assert as_csv(ROWS[:1], header=True) + as_csv(ROWS[1:2], header=False) == "x\n1\n2\n"


def test_a_folder_named_like_a_pattern_takes_parquet(tmp_path: Path) -> None:
    (tmp_path / "a[1]*").mkdir()
    assert written(iter((ROWS, ROWS)), tmp_path / "a[1]*" / "b[2].parquet") == 8
    assert read_table(Source(tmp_path / "a[1]*" / "b[2].parquet")).table.height == 8


def test_text_in_a_sheet_is_neither_a_formula_nor_a_link_nor_cut(tmp_path: Path) -> None:
    cells = ["=1+1", "https://example.org", "external:c:\\x.exe", "-cmd", "\x1b[2J", "@a"]
    assert written(iter((pl.DataFrame({"x": cells}),)), tmp_path / "a.xlsx") == 6
    assert pl.read_excel(tmp_path / "a.xlsx")["x"].to_list() == cells
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet and b"hyperlink" not in sheet
    with pytest.raises(DataError, match="a cell of 'x' has 40,000 letters, too many for Excel"):
        written(iter((pl.DataFrame({"x": ["a" * 40_000]}),)), tmp_path / "b.xlsx")
    with pytest.raises(DataError, match="1 row of 20,000 columns do not fit"):
        written(iter((pl.DataFrame({f"c{k}": [1] for k in range(20_000)}),)), tmp_path / "b.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["a.xlsx"]


LIMITED = """
import resource, sys
from pathlib import Path
import polars as pl
from netwright.records.errors import RunError
from netwright.reports.answers import SUFFIXES, written
table = pl.DataFrame({"x": [(0.1 + k) ** 0.5 for k in range(20_000)]})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for suffix in SUFFIXES:
    try:
        written(iter((table, table)), Path(sys.argv[1]) / f"a{suffix}")
    except RunError as error:
        print(error.problem)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes to set")
def test_answers_that_grow_too_large_are_one_error_whatever_their_type(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False)
    told = [f"{tmp_path}/a{suffix} cannot be written: File too large" for suffix in SUFFIXES]
    assert done.stdout.splitlines() == told, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_answers_that_are_interrupted_leave_no_half_file(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").write_text("old")

    def pieces() -> Iterator[pl.DataFrame]:
        yield ROWS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(pieces(), tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
