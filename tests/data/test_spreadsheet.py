import csv
import io
import random
from pathlib import Path

import polars as pl
import pytest

from netwright.data.read import read
from netwright.data.spreadsheet import guarded, guarded_table, unguarded, unguarded_texts
from netwright.reports.answers import as_csv

FORMULAS = (
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1+1",
    "-",
    "+1-800-555",
)
PLAIN = ("", "a=b", "-1.5", "+3", "-1e-5", "+12%", "-1.234,5", "'tis", "''em''", "'-1.5", "1-2", " x")


@pytest.mark.parametrize("cell", FORMULAS)
def test_what_a_spreadsheet_would_compute_gets_an_apostrophe(cell: str) -> None:
    assert (guarded(cell), guarded(f"'{cell}")) == (f"'{cell}", f"''{cell}")


@pytest.mark.parametrize("cell", PLAIN)
def test_numbers_and_other_text_stay_as_they_are(cell: str) -> None:
    assert guarded(cell) == unguarded(cell) == cell


def test_every_cell_is_read_back_as_it_was_alone_and_in_tables() -> None:
    r = random.Random(0)
    cells = ["".join(r.choice("'=+-@\t\r\uff1da1.,%e\n ") for _ in range(r.randint(0, 6))) for _ in range(20_000)]
    assert [unguarded(guarded(cell)) for cell in cells] == cells
    table = pl.DataFrame({"=a": [None, *cells], "b": ["", *cells[::-1]], "n": range(len(cells) + 1)})
    written = guarded_table(table)
    assert written.columns == ["'=a", "b", "n"]
    assert written["'=a"].to_list() == [None, *map(guarded, cells)]
    back = written.select(unguarded_texts(pl.col(pl.String)))
    assert back["'=a"].equals(table["=a"]) and back["b"].equals(table["b"])


def test_no_cell_of_a_csv_is_a_formula_and_the_reader_gives_back_what_was_there(tmp_path: Path) -> None:
    table = pl.DataFrame({"@name": [*FORMULAS, *PLAIN], "n": [-1.5] * (len(FORMULAS) + len(PLAIN))})
    text = as_csv(table, header=True)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    texts = [row[0] for row in rows if row[0] not in PLAIN]
    assert texts and all(text.startswith("'") for text in texts)
    assert {row[1] for row in rows[1:]} == {"-1.5"}, "a number is a number"
    (tmp_path / "answers.csv").write_text(text, newline="")
    back = read(tmp_path / "answers.csv").table
    assert back["@name"].to_list() == [cell.strip() or None for cell in table["@name"]]
