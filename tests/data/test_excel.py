import sys
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from netwright.data.read import read
from netwright.records.errors import DataError, MissingPackage
from netwright.reports.answers import written

CELLS = {"n": [1, 2, None], "code": ["007", "010", None], "price": ["1,5", "2", None], "y": ["a", "b", None]}
TABLE = pl.DataFrame(CELLS)


def test_the_first_sheet_is_read_as_a_table_and_the_others_are_named(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "book.xlsx") as book:
        TABLE.write_excel(book, worksheet="people")
        TABLE.write_excel(book, worksheet="more")
    dataset = read(tmp_path / "book.xlsx", target="y")
    assert dataset.table.to_dict(as_series=False) == {
        "n": [1, 2], "code": ["007", "010"], "price": ["1,5", "2"], "y": ["a", "b"],
    }  # fmt: skip
    assert dataset.notes == ("book.xlsx: sheet 'people' was read, and not 'more'",)
    assert dataset.locate(1) == f"{tmp_path / 'book.xlsx'}, line 3"


def test_broken_and_empty_sheets_are_errors(tmp_path: Path) -> None:
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match=r"cannot read .*book\.xlsx"):
        read(tmp_path / "book.xlsx")
    pl.DataFrame({"a": []}).write_excel(tmp_path / "empty.xlsx")
    with pytest.raises(DataError, match=r"empty\.xlsx has no rows"):
        read(tmp_path / "empty.xlsx")


def test_without_the_extra_the_error_names_it_and_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TABLE.write_excel(tmp_path / "book.xlsx")
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(MissingPackage) as caught:
        read(tmp_path / "book.xlsx")
    assert caught.value.remedy == "run: pip install 'netwright[excel]', or save the sheet as CSV."
    with pytest.raises(MissingPackage, match=r"netwright\[excel\]', or write a .csv file"):
        written(iter((TABLE,)), tmp_path / "answers.xlsx")


@pytest.mark.parametrize("name", ["photos.zip", "people.csv.bz2", "all.tar.gz"])
def test_archives_are_refused_with_what_to_do_first(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(DataError, match="is an archive") as caught:
        read(tmp_path / name)
    assert caught.value.remedy.startswith("unpack it")


@pytest.mark.parametrize("address", ["https://example.org/people.csv", "s3://bucket/people.csv"])
def test_addresses_are_refused_with_what_to_do_first(address: str) -> None:
    for data in (address, Path(address)):
        with pytest.raises(DataError, match="is an address") as caught:
            read(data)
        assert caught.value.remedy.startswith("download it first")
