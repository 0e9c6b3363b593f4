from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from netwright.data.dataset import Dataset
from netwright.data.read import read, read_chunks, read_labelled_chunks, read_source
from netwright.records.errors import DataError
from netwright.records.source import Source

PEOPLE = "age,town,income\n17,Oslo,high\n40,Rome,low\n33,Bonn,?\n21,Oslo,\n"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE)
    return path


def _error(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    return str(caught.value)


def test_unknown_target_is_an_error_that_lists_the_columns(people: Path) -> None:
    assert _error(lambda: read(people, target="price")) == (
        "people.csv has no column 'price'\n  fix: choose the target from age, town, income."
    )
    assert _error(lambda: read(people, target="incom")).endswith(
        "fix: did you mean 'income'? Choose the target from age, town, income."
    )


def test_rows_without_a_target_are_left_out_and_counted(people: Path) -> None:
    dataset = read(people, target="income")
    assert dataset.table["income"].to_list() == ["high", "low"]
    assert dataset.notes == (f"2 rows without a 'income' left out, the first is {people}, line 4",)


def test_nan_and_infinite_targets_are_left_out_and_counted() -> None:
    frame = pl.DataFrame({"x": range(5), "y": [1.0, float("nan"), float("inf"), None, 2.0]})
    dataset = read(frame, target="y")
    assert dataset.table["y"].to_list() == [1.0, 2.0]
    assert dataset.notes == (
        "2 rows without a 'y' left out, the first is array, row 1",
        "1 row with an infinite 'y' left out, the first is array, row 2",
    )
    assert dataset.locate(1) == "array, row 4"


def test_question_marks_do_not_keep_a_target_from_being_a_number(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,?\n2,3.5\n3,NA\n4,5\n")
    assert read(tmp_path / "t.csv", target="y").table["y"].to_list() == [3.5, 5.0]


def test_target_that_is_missing_everywhere_is_an_error() -> None:
    frame = pl.DataFrame({"x": [1, 2], "y": [None, None]})
    assert _error(lambda: read(frame, target="y")) == (
        "array: every row is without a 'y'\n  fix: choose another target or fill it in."
    )


def test_split_column_names_the_parts_in_usual_words() -> None:
    frame = pl.DataFrame({"x": range(4), "part": ["Train", "val", "TEST", "validation"]})
    dataset = read(frame, split="part")
    assert dataset.parts is not None and dataset.parts.to_list() == ["train", "valid", "test", "valid"]
    assert dataset.table.columns == ["x"]


def test_other_words_in_the_split_column_are_an_error() -> None:
    frame = pl.DataFrame({"x": range(3), "part": ["train", "later", "test"]})
    assert _error(lambda: read(frame, split="part")) == (
        "array, row 1: column 'part' says 'later'\n  fix: write train, valid or test in every row of it."
    )


def test_columns_are_dropped_and_kinds_noted(people: Path) -> None:
    dataset = read(people, target="income", drop=("age",), kinds={"town": "text"})
    assert dataset.inputs == ("town",)
    assert dataset.kinds == {"town": "text"}
    assert "has no column 'name'" in _error(lambda: read(people, drop=("name",)))
    assert "has no column 'name'" in _error(lambda: read(people, kinds={"name": "text"}))


def test_path_that_is_not_there_is_an_error_with_the_nearest_name(people: Path) -> None:
    wrong = people.with_name("poeple.csv")
    assert _error(lambda: read(wrong)) == f"there is no file or folder '{wrong}'\n  fix: did you mean '{people}'?"


def test_other_suffixes_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "people.docx"
    path.touch()
    assert _error(lambda: read(path)).startswith(
        f"cannot read {path}: unknown file type\n  fix: give a folder, a table"
    )


def test_reader_may_be_a_function_or_a_name(people: Path) -> None:
    def reverse(source: Source) -> Dataset:
        return Dataset(pl.DataFrame({"text": [source.data.read_text()[::-1]]}), (), str(source.data))

    assert read(people, reader=reverse).table["text"][0] == PEOPLE[::-1]
    assert read(people, reader="text").table.columns == ["text"]


def test_dataset_passes_through_with_what_the_user_asks(people: Path) -> None:
    assert read(read(people), target="town", drop=("age",)).inputs == ("income",)


def test_chunks_of_new_rows_need_no_target(people: Path, tmp_path: Path) -> None:
    chunks = list(read_chunks(Source(people), rows=3))
    assert [len(chunk) for chunk in chunks] == [3, 1]
    assert all(chunk.targets == () for chunk in chunks)
    assert [len(c) for c in read_chunks(Source((np.zeros((5, 2)), np.zeros(5))), rows=4)] == [4, 1]
    assert next(read_chunks(Source({"a": 1}))).table.rows() == [(1,)]
    for k in range(3):
        Image.new("L", (4, 4)).save(tmp_path / f"{k}.png")
    assert [chunk.locate(0) for chunk in read_chunks(Source(tmp_path), rows=2)] == [
        f"{tmp_path}/0.png",
        f"{tmp_path}/2.png",
    ]
    assert len(list(read_chunks(Source(tmp_path / "1.png")))) == 1


def test_reading_fails_clearly_when_the_file_vanishes_meanwhile(people: Path) -> None:
    chunks = read_chunks(Source(people), rows=2)
    people.unlink()
    assert _error(lambda: next(chunks)).startswith("there is no file or folder")


def test_lists_of_files_are_rows_that_are_found_by_their_file(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b.png", "a.png")]
    for path in paths:
        Image.new("L", (4, 4)).save(path)
    for files in (paths, [str(path) for path in paths]):
        [chunk] = read_chunks(Source(files))
        assert [chunk.locate(row) for row in range(2)] == [str(path) for path in paths]
        assert chunk.table["image"].to_list() == [str(path) for path in paths]
    (tmp_path / "a.txt").write_text("One text is one row. " * 50)
    assert [len(chunk) for chunk in read_chunks(Source([tmp_path / "a.txt"]))] == [1]
    assert _error(lambda: list(read_chunks(Source([tmp_path / "t.csv"])))) == (
        f"{tmp_path}/t.csv is neither an image nor a text\n"
        "  fix: give images or texts, or one table or folder at a time."
    )


def test_labelled_rows_come_in_pieces_as_they_are_read_at_once(tmp_path: Path) -> None:
    lines = [f"{n},{'' if n in (3, 4, 20, 21, 22, 23, 24, 25) else 'ab'[n % 2]}" for n in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    source = Source(tmp_path / "t.csv", ("y",))
    whole = read_source(source)
    pieces = list(read_labelled_chunks(source, rows=5))
    assert max(map(len, pieces)) == 5 and all(piece.targets == ("y",) for piece in pieces)
    assert pl.concat([piece.table for piece in pieces]).equals(whole.table)
    assert pl.concat([piece.places for piece in pieces]).equals(whole.places)  # type: ignore[type-var]  a table has them
    told = [note for piece in pieces for note in piece.notes]
    assert told == [f"8 rows without a y left out, the first is {tmp_path / 't.csv'}, line 5"]


def test_pieces_without_any_target_are_an_error_as_they_are_at_once(tmp_path: Path) -> None:
    for text, told in (("x,y\n1,\n2,?\n", "every row is without a 'y'"), ("x,y\n", "has no rows"), ("x\n1\n", "'y'")):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(DataError, match=told):
            list(read_labelled_chunks(Source(tmp_path / "t.csv", ("y",)), rows=1))


def test_labelled_pictures_and_arrays_come_in_pieces_too(tmp_path: Path) -> None:
    for n in range(7):
        (tmp_path / "ab"[n % 2]).mkdir(exist_ok=True)
        Image.new("L", (4, 4), 30 * n).save(tmp_path / "ab"[n % 2] / f"{n}.png")
    arrays = (np.arange(14.0).reshape(7, 2), np.array(["a", "b"] * 3 + ["a"]))
    for source in (Source(tmp_path), Source(arrays)):
        whole, pieces = read_source(source), list(read_labelled_chunks(source, rows=3))
        assert [len(piece) for piece in pieces] == [3, 3, 1]
        assert pl.concat([piece.table for piece in pieces]).equals(whole.table)
        assert {piece.targets for piece in pieces} == {whole.targets}
        assert [p.locate(k) for p in pieces for k in range(len(p))] == [whole.locate(k) for k in range(7)]
