"""Files that are none, never end, unpack to far more than they hold, or have names that are not text."""

import gzip
import json
import os
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
from PIL import Image

from netwright.data.read import read, read_source
from netwright.data.readers import files
from netwright.records.errors import BudgetError, DataError
from netwright.records.source import Source

NOBODY = 65534


def _pictures(folder: Path) -> None:
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (4, 4), number).save(folder / label / f"{number}.png")


@contextmanager
def _without_rights(folder: Path) -> Generator[None]:
    """As another user, if the tests run as root, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    for above in (folder, *folder.parents):
        if above.stat().st_uid == 0 and above.is_relative_to(folder.parents[2]):
            above.chmod(0o755)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.jsonl", "t.parquet", "t.txt", "t.xlsx", "t.png"])
def test_a_pipe_or_device_in_place_of_data_is_refused_without_waiting(name: str, tmp_path: Path) -> None:
    (tmp_path / "device").mkdir()
    os.mkfifo(tmp_path / name)
    (tmp_path / "device" / name).symlink_to("/dev/zero")
    for path in (tmp_path / name, tmp_path / "device" / name):
        if name.endswith("png"):
            assert len(read(path)) == 1  # one row, which is reported as unreadable when it is encoded
            continue
        with pytest.raises(DataError, match="not a regular file"):
            read(path)


def test_a_text_among_others_that_is_a_pipe_is_named(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.txt").write_text("words")
    os.mkfifo(tmp_path / "b" / "2.txt")
    with pytest.raises(DataError, match=r"b/2\.txt: it is a pipe, not a regular file"):
        read(tmp_path)


def test_a_file_larger_than_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    for name in ("t.csv", "t.txt"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 50 if os.uname().sysname == "Linux" and _is_sparse(file.fileno()) else 1 << 43)
        with pytest.raises(BudgetError, match="does not fit into memory"):
            read(tmp_path / name)


def _is_sparse(handle: int) -> bool:
    try:
        os.truncate(handle, 1 << 50)
    except OSError:
        return False
    return True


def test_names_that_are_not_utf8_are_spelled_and_read(tmp_path: Path) -> None:
    _pictures(tmp_path)
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xe9t\xe9")
    os.mkdir(odd)
    Image.new("L", (4, 4)).save(os.fsdecode(os.fsencode(odd) + b"/\xff.png"))
    dataset = read(tmp_path)
    assert dataset.table["label"].unique().sort().to_list() == [r"\xe9t\xe9", "a", "b"]
    assert dataset.locate(6) == rf"{tmp_path}/\xe9t\xe9/\xff.png"
    assert dataset.table["image"].to_list()[6] == dataset.locate(6)
    assert read_source(Source(odd, is_labelled=False)).origin == rf"{tmp_path}/\xe9t\xe9"


def test_a_spelling_in_a_table_cannot_name_a_file_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("photo,y\n" + r"\x2e\x2e\x2fsecret.png,a" + "\n1.png,b\n")
    dataset = read(tmp_path / "t.csv", target="y")
    assert dataset.table["photo"][0] == rf"{tmp_path}/\x2e\x2e\x2fsecret.png"  # a name of its own


def test_folders_that_may_not_be_read_are_counted_and_named(tmp_path: Path) -> None:
    _pictures(tmp_path)
    (tmp_path / "b" / "closed").mkdir(mode=0)
    with _without_rights(tmp_path):
        notes = read(tmp_path).notes
    assert notes == (f"{tmp_path}: 1 folder that may not be read left out, the first is {tmp_path}/b/closed",)


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "t.csv").chmod(0)
    with _without_rights(tmp_path):
        for name in ("closed", "t.csv"):
            with pytest.raises(DataError, match=f"no permission to read .*{name}"):
                read(tmp_path / name)


def test_circles_of_links_end_and_are_named(tmp_path: Path) -> None:
    _pictures(tmp_path)
    (tmp_path / "all").symlink_to(tmp_path)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "self.png").symlink_to(tmp_path / "b" / "self.png")
    dataset = read(tmp_path)
    assert dataset.table["label"].to_list() == ["a"] * 3 + ["b"] * 4
    assert dataset.notes == (
        f"{tmp_path}: 2 folders behind a link in another folder left out, the first is {tmp_path}/all",
    )


def test_a_table_that_unpacks_to_far_more_than_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "UNPACKED_BYTES", 1 << 20)
    with gzip.open(tmp_path / "t.csv.gz", "wb") as file:
        file.write(b"a,y\n" + b"1,b\n" * (1 << 20))
    with pytest.raises(DataError, match=r"t\.csv\.gz unpacks to more than 200 times its size"):
        read(tmp_path / "t.csv.gz")


def test_a_book_whose_parts_unpack_to_far_more_than_they_say_is_refused(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "t.xlsx") as book:
        book.add_worksheet().write_row(0, 0, ["a", "b"])
    with zipfile.ZipFile(tmp_path / "t.xlsx", "a", zipfile.ZIP_DEFLATED) as book, book.open("x", "w") as part:
        for _ in range(300):
            part.write(bytes(1 << 20))
    content = (tmp_path / "t.xlsx").read_bytes()
    (tmp_path / "t.xlsx").write_bytes(content.replace((300 << 20).to_bytes(4, "little"), (300).to_bytes(4, "little")))
    with zipfile.ZipFile(tmp_path / "t.xlsx") as book:
        assert book.getinfo("x").file_size == 300
    with pytest.raises(DataError, match=r"t\.xlsx unpacks to more than 200 times its size"):
        read(tmp_path / "t.xlsx")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_line_without_an_end_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 1 << 20)
    (tmp_path / name).write_text("a,b\n" + "x" * (1 << 21))
    with pytest.raises(DataError, match=rf"{name}, line 2 has more than 1,048,576 characters"):
        read(tmp_path / name)


def test_long_cells_are_read_beside_stray_quotes(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    (tmp_path / "t.csv").write_text(f'a,b\n6" nails,{long}\n{long},2\n')
    table = read(tmp_path / "t.csv").table
    assert table.rows() == [('6" nails', long), (long, "2")]


def test_whole_numbers_of_more_than_64_bits_are_read_as_text_and_said(tmp_path: Path) -> None:
    great = [2**100, 2**64, 7]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"a": x, "b": 1}) + "\n" for x in great))
    pl.DataFrame({"a": pl.Series(great, dtype=pl.Int128), "b": [1, 1, 1]}).write_parquet(tmp_path / "t.parquet")
    for data in (tmp_path / "t.jsonl", tmp_path / "t.parquet", {"a": pl.Series(great, dtype=pl.Int128), "b": [1] * 3}):
        dataset = read(data)
        assert dataset.table["a"].to_list() == [str(x) for x in great]
        assert dataset.notes == ("whole numbers of more than 64 bits in a: read as text",)
    small = pl.DataFrame({"a": pl.Series([1, 2], dtype=pl.Int128)})
    assert read(small).table["a"].dtype == pl.Int64


def test_numbers_of_thousands_of_digits_and_deep_objects_do_not_end_reading(tmp_path: Path) -> None:
    deep = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
    lines = ['{"a": 1}', '{"a": 1' + "0" * 5_000 + "}", deep, '{"a": {"b": "[[[[' + "[" * 100 + '"}}', '{"a": 2}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    dataset = read(tmp_path / "t.jsonl")
    assert dataset.table["a"].to_list()[:2] == ["1", "1" + "0" * 5_000]
    assert len(dataset) == 4
    assert dataset.notes == (
        "t.jsonl: 1 line without a JSON object of at most 64 levels left out, the first is line 3",
    )
