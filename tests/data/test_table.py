import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from netwright.data.dataset import Dataset
from netwright.data.read import read_source
from netwright.data.readers import delimited
from netwright.data.readers.delimited import find_layout
from netwright.data.readers.table import read_table, read_table_chunks
from netwright.records.errors import DataError
from netwright.records.source import Source


def _read(folder: Path, content: str | bytes, name: str = "people.csv", source: Source | None = None) -> Dataset:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(replace(source or Source(), data=path))


def _fails(folder: Path, content: str | bytes, name: str = "people.csv") -> DataError:
    with pytest.raises(DataError) as caught:
        _read(folder, content, name)
    return caught.value


def test_columns_of_numbers_hold_numbers_and_all_others_their_text(tmp_path: Path) -> None:
    table = _read(tmp_path, "a,b,c,d,e\n1,1.5,x, 01067 ,1\n2,,,20095,?\n").table
    assert table.to_dict(as_series=False) == {
        "a": [1, 2], "b": [1.5, None], "c": ["x", None], "d": ["01067", "20095"], "e": ["1", "?"],
    }  # fmt: skip


def test_word_in_the_last_row_makes_a_column_text_instead_of_an_error(tmp_path: Path) -> None:
    table = _read(tmp_path, "a\n" + "1\n" * 20_000 + "many\n").table
    assert table["a"].dtype == pl.String
    assert table["a"][-1] == "many"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_recognized(delimiter: str, tmp_path: Path) -> None:
    lines = [["name", "price", "town"], ["a b", "1.5", "x"], ["c", "2.5", "y"]]
    table = _read(tmp_path, "\n".join(delimiter.join(line) for line in lines)).table
    assert table.columns == lines[0]
    assert table["price"].to_list() == [1.5, 2.5]


def test_decimal_commas_do_not_hide_the_semicolon(tmp_path: Path) -> None:
    table = _read(tmp_path, "a;b;c\n1,5;2,5;3,5\n1,5;2,5;3,5\n").table
    assert table.columns == ["a", "b", "c"]
    assert table["a"].to_list() == ["1,5", "1,5"]


def test_tsv_and_gz_are_read_by_their_suffix(tmp_path: Path) -> None:
    table = _read(tmp_path, gzip.compress(b"a\tb, c\n1\t2\n"), "people.tsv.gz").table
    assert table.to_dict(as_series=False) == {"a": [1], "b, c": [2]}


def test_rows_are_located_by_physical_lines_where_cells_hold_line_ends(tmp_path: Path) -> None:
    text = 'a,b\n1,"two\nlines"\n2,one\n\n3,"x ""quoted"", y"\n'
    dataset = _read(tmp_path, text)
    assert [dataset.locate(row) for row in range(3)] == [f"{tmp_path}/people.csv, line {n}" for n in (2, 4, 6)]
    assert dataset.table["b"].to_list() == ["two\nlines", "one", 'x "quoted", y']


def test_header_may_hold_line_ends_too(tmp_path: Path) -> None:
    dataset = _read(tmp_path, '\na,"b\nc"\n1,2\n')
    assert dataset.table.columns == ["a", "b\nc"]
    assert dataset.locate(0).endswith("line 4")


def test_ragged_rows_are_left_out_counted_and_the_first_is_named(tmp_path: Path) -> None:
    dataset = _read(tmp_path, "a,b\n1,2\n3\n4,5\n6,7,8\n9,10\n11,12\n")
    assert dataset.table["a"].to_list() == [1, 4, 9, 11]
    assert dataset.notes == ("people.csv: 2 rows without 2 cells left out, the first is line 3 (1 cell)",)
    assert dataset.locate(2).endswith("line 6")


def test_file_of_mostly_ragged_rows_is_an_error(tmp_path: Path) -> None:
    error = _fails(tmp_path, "a,b\n1,2,3\n1,2,3\n1,2\n")
    assert error.problem == (
        f"{tmp_path}/people.csv: 2 of 3 rows do not have the header's 2 cells; the first is line 2 (3 cells)"
    )
    assert error.remedy == "correct the header, the delimiter or the quotes."


UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", UNICODE)
def test_unicode_is_read_in_any_of_its_encodings(encoding: str, tmp_path: Path) -> None:
    text = "name,town\n" + "Zoë Łukasz,Århus\n" * 30
    table = _read(tmp_path, text.encode(encoding)).table
    assert table.row(0) == ("Zoë Łukasz", "Århus")


def test_wrong_encoding_is_read_as_western_european_and_said(tmp_path: Path) -> None:
    dataset = _read(tmp_path, "town,price\nMünchen,5 €\n".encode("cp1252"))
    assert dataset.table.row(0) == ("München", "5 €")
    assert dataset.notes == (
        "people.csv is not UTF-8 (byte 0xfc near position 12): read as cp1252, Western European; "
        "save it as UTF-8 if letters look wrong",
    )


def test_too_many_columns_are_refused_before_they_are_read(tmp_path: Path) -> None:
    error = _fails(tmp_path, ",".join(f"c{k}" for k in range(1_000_000)) + "\n")
    assert error.problem == f"{tmp_path}/people.csv has 1,000,000 columns, more than 50,000"
    with pytest.raises(DataError, match="has 60,000 columns"):
        read_source(Source(np.zeros((2, 60_000))))


def test_wide_headers_are_read_in_linear_time(tmp_path: Path) -> None:
    names = [f"c{k}" for k in range(50_000)]
    (tmp_path / "wide.csv").write_text(",".join(names) + "\n")
    assert find_layout(tmp_path / "wide.csv").names == tuple(names)  # comparing all pairs would take minutes


def test_duplicate_column_names_are_an_error(tmp_path: Path) -> None:
    error = _fails(tmp_path, "age,town,age\n1,x,2\n")
    assert error.problem == f"{tmp_path}/people.csv has two columns named 'age' (columns 1 and 3)"
    assert error.remedy == "rename one of them."


@pytest.mark.parametrize("first", ["39,State-gov,77516,2174", "28.7,16.0,2.6,81.8", "a good film,1,b,c"])
def test_missing_header_is_an_error(first: str, tmp_path: Path) -> None:
    error = _fails(tmp_path, f"{first}\n{first}\n")
    assert error.problem.startswith(f"{tmp_path}/people.csv has no line of column names: it starts with")
    assert error.remedy == "add a first line with the column names."


def test_years_and_positions_are_column_names(tmp_path: Path) -> None:
    assert _read(tmp_path, "country,1990,1991\nNorway,1,2\n").table.columns == ["country", "1990", "1991"]


def test_column_without_a_name_is_named_by_its_place(tmp_path: Path) -> None:
    dataset = _read(tmp_path, ",a\n0,1\n1,3\n")
    assert dataset.table.columns == ["column_1", "a"]
    assert dataset.notes == ("people.csv: column 1 has no name; it is called 'column_1'",)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_empty_table_is_an_error(content: str, tmp_path: Path) -> None:
    assert _fails(tmp_path, content).problem == f"{tmp_path}/people.csv is empty"


def test_table_of_a_header_alone_is_an_error(tmp_path: Path) -> None:
    assert _fails(tmp_path, "a,b\n").problem == f"{tmp_path}/people.csv has no rows"


def test_zero_bytes_are_left_out_and_said(tmp_path: Path) -> None:
    dataset = _read(tmp_path, b"name,n\n" + b"someone,1\n" * 50 + b"x\0y,2\n")
    assert dataset.table["name"][-1] == "xy"
    assert dataset.notes == ("people.csv: 1 zero byte left out",)


def test_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    error = _fails(tmp_path, b"PK\x03\x04" + bytes(range(256)))
    assert error.problem == f"{tmp_path}/people.csv is not text: it starts with b'PK\\x03\\x04'"


def test_stray_quotes_within_cells_are_letters(tmp_path: Path) -> None:
    dataset = _read(tmp_path, 'part,inches,n\npipe,5" wide,1\nrod,6" wide,2\n"a, b",7,3\n')
    assert dataset.table["inches"].to_list() == ['5" wide', '6" wide', "7"]
    assert dataset.table["n"].to_list() == [1, 2, 3]
    assert dataset.locate(2).endswith("line 4")


def test_quote_that_never_closes_is_an_error_that_names_its_line(tmp_path: Path) -> None:
    error = _fails(tmp_path, 'a,b\n1,2\n3,"open\n5,6\n')
    assert error.problem.startswith(f"{tmp_path}/people.csv, line 3: a quote does not enclose a whole cell")
    assert error.remedy == 'close the quote, or double quotes within a cell ("").'


def test_blocks_join_to_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f'{k},"cell {k}\nof, two lines"\n' if k % 3 else f"{k},word\n" for k in range(500)]
    whole = _read(tmp_path, "a,b\n" + "".join(lines))
    monkeypatch.setattr(delimited, "BLOCK", 256)
    pieces = _read(tmp_path, "a,b\n" + "".join(lines))
    assert pieces.table.equals(whole.table)
    assert pieces.places is not None and whole.places is not None
    assert pieces.places.equals(whole.places)
    assert whole.table["a"].to_list() == list(range(500))


def test_lone_carriage_returns_end_lines(tmp_path: Path) -> None:
    dataset = _read(tmp_path, b"a,b\r1,2\r3,4\r")
    assert dataset.table["b"].to_list() == [2, 4]


def test_json_lines_of_mixed_types_and_broken_lines(tmp_path: Path) -> None:
    lines = ['{"a": 1, "b": "x"}', "", '{"a": "many"}', '{"a": ', "[1]", '{"a": 2.5, "c": true}']
    dataset = _read(tmp_path, "\n".join(lines), "people.jsonl")
    assert dataset.table["a"].to_list() == ["1", "many", "2.5"]
    assert dataset.table.columns == ["a", "b", "c"]
    assert dataset.notes == (
        "people.jsonl: 2 lines without a JSON object of at most 64 levels left out, the first is line 4",
    )
    assert dataset.locate(2).endswith("line 6")


def test_parquet_rows_count_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pl.DataFrame({"a": [1, 2], "b": pl.Series(["x", "y"], dtype=pl.Categorical)}).write_parquet(path)
    dataset = read_table(Source(path))
    assert dataset.table["b"].dtype == pl.String
    assert dataset.locate(1) == f"{path}, row 1"


def test_broken_parquet_is_an_error(tmp_path: Path) -> None:
    error = _fails(tmp_path, b"PAR1 and then nothing", "people.parquet")
    assert error.problem.startswith(f"cannot read {tmp_path}/people.parquet as Parquet: ")


def test_cut_gzip_file_is_an_error(tmp_path: Path) -> None:
    packed = gzip.compress(("a,b\n" + "".join(f"{k},{k * k}\n" for k in range(9999))).encode())
    error = _fails(tmp_path, packed[:-200], "people.csv.gz")
    assert error.problem.startswith(f"{tmp_path}/people.csv.gz is a broken gzip file: ")


def test_paths_of_images_are_absolute_below_the_table(tmp_path: Path) -> None:
    dataset = _read(tmp_path, "photo,label\nphotos/1.jpg,a\n,b\n./photos/../2.PNG,c\n")
    assert dataset.table["photo"].to_list() == [f"{tmp_path}/photos/1.jpg", None, f"{tmp_path}/2.PNG"]
    assert dataset.kinds == {"photo": "image"}


@pytest.mark.parametrize("photo", ["../other/1.jpg", "/etc/1.jpg"])
def test_path_of_an_image_outside_of_the_folder_is_an_error(photo: str, tmp_path: Path) -> None:
    error = _fails(tmp_path, f"photo,label\n1.jpg,a\n{photo},b\n")
    assert error.problem == (
        f"{tmp_path}/people.csv, line 3: 'photo' names {photo!r}, which is outside the table's folder"
    )
    assert error.remedy == f"move the files into {tmp_path}."


@pytest.mark.parametrize("name", ["people.csv", "people.jsonl", "people.parquet"])
def test_chunks_hold_all_rows_in_order(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": range(1000), "b": [f"w{k}" for k in range(1000)]})
    path = tmp_path / name
    if name.endswith("csv"):
        frame.write_csv(path)
    elif name.endswith("parquet"):
        frame.write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.iter_rows(named=True)))
    chunks = list(read_table_chunks(Source(path), rows=300))
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 100]
    assert pl.concat([chunk.table for chunk in chunks]).equals(frame)
    assert chunks[3].locate(0) == read_table(Source(path)).locate(900)


def test_table_of_delimiters_alone_is_an_error(tmp_path: Path) -> None:
    assert _fails(tmp_path, ",,\n,,\n").problem == f"{tmp_path}/people.csv has no line of column names"


def test_cells_may_be_very_long(tmp_path: Path) -> None:
    long = "word, " * 50_000
    dataset = _read(tmp_path, f'text,label\n"{long}",a\nshort,b\n')
    assert dataset.table["text"].to_list() == [long.strip(), "short"]


def test_quote_that_never_closes_in_the_header_is_an_error(tmp_path: Path) -> None:
    error = _fails(tmp_path, 'a,"b\n' + "1,2\n" * 50_000)
    assert error.problem.startswith(f"{tmp_path}/people.csv: cannot read the line of column names")


def test_lines_that_repeat_the_column_names_are_left_out_and_the_first_is_named(tmp_path: Path) -> None:
    dataset = _read(tmp_path, "name,price\na,1\nname,price\nb,2\n name , price\nname,3\n")
    assert dataset.table.rows() == [("a", 1), ("b", 2), ("name", 3)]
    assert dataset.places is not None and dataset.places.to_list() == [2, 4, 6]
    assert dataset.notes == ("people.csv: 2 lines that repeat the column names left out, the first is line 3",)
    assert _read(tmp_path, "name\na\nname\n").table["name"].to_list() == ["a", "name"]


def test_points_between_thousands_keep_a_column_as_text(tmp_path: Path) -> None:
    table = _read(tmp_path, "amount;rate\n20.540;1.5\n808;2.25\n117;0.5\n3.001;1\n").table
    assert table["amount"].to_list() == ["20.540", "808", "117", "3.001"]
    assert table["rate"].to_list() == [1.5, 2.25, 0.5, 1]
