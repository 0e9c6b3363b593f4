"""Fixes in a file, and applied to tables, folders and arrays."""

import csv
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from netwright.data.dataset import Dataset
from netwright.data.fixes import apply_fixes, as_fixes, located, read_fixes, scored_parts, spare_scored, write_fixes
from netwright.data.read import read
from netwright.data.split import Split, split
from netwright.records.errors import DataError, RunError
from netwright.records.finding import Fix

ROWS = 20
HEAD = "apply,action,place,column,old,new\n"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    lines = [f"{20 + n},{'ab'[n % 2]},{'x' if n == 4 else n}" for n in range(ROWS)]
    path.write_text("\n".join(["age,label,size", *lines]) + "\n")
    return path


def whole(dataset: Dataset) -> tuple[Dataset, Split]:
    return dataset, split(dataset)


def test_fixes_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    fixes = (
        Fix(0, "a, line 2", "drop"),
        Fix(1, "a, line 3", "move", old="test", new="train"),
        Fix(3, 'a "b", line 5', "relabel", "label", "x,y", "two\nlines", "NW110", 0.75, "test"),
    )
    assert write_fixes(fixes, tmp_path / "fixes.csv") == 3
    assert read_fixes(tmp_path / "fixes.csv") == fixes
    write_fixes(fixes, tmp_path / "fixes.csv", left_out=fixes[1:])
    assert read_fixes(tmp_path / "fixes.csv") == fixes[:1]
    assert [file.name for file in tmp_path.iterdir()] == ["fixes.csv"]


def test_file_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "fixes.csv"
    path.write_bytes("\ufeffApply;action;place\r\nYES;drop;ä, line 2\r\n;;\r\n0;drop;ä, line 3\r\n".encode())
    assert read_fixes(path) == (Fix(0, "ä, line 2", "drop"),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "yes,drop,p\n", "fixes.csv, line 2 has 3 cells instead of 6"),
        (HEAD + 'no,drop,"a\nb",,,\nyes,remove,p,,,\n', "line 4: there is no action 'remove'"),
        (HEAD + "perhaps,drop,p,,,\n", "line 2: apply says 'perhaps'\n  fix: write yes or no."),
        (HEAD + "yes,move,p,,,holdout\n", "there is no part 'holdout' to move to"),
        ("apply,action,plaice\n", "no column 'plaice'\n  fix: did you mean 'place'?"),
        ("apply,place\n", "has no column 'action'"),
        ("apply,action,place,confidence\nyes,drop,p,7\n", "line 2: confidence says '7'"),
        ("", "has no column 'apply'"),
    ],
)
def test_line_that_cannot_be_understood_is_named(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "fixes.csv").write_text(text)
    with pytest.raises(DataError) as error:
        read_fixes(tmp_path / "fixes.csv")
    assert told in str(error.value)


def test_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"):
        write_fixes((), tmp_path / "nowhere" / "fixes.csv")


def test_all_actions_reach_a_table(people: Path) -> None:
    dataset, parts = whole(read(people, target="label"))
    away, back = int(parts.train[0]), int(parts.test[0])
    at = dataset.locate
    rest = [row for row in range(ROWS) if row not in (away, back, 4)]
    fixes = (
        Fix(0, at(4), "impute", "size", "x", "4"),
        Fix(0, at(rest[0]), "relabel", "", dataset.table["label"][rest[0]], "c"),
        Fix(0, at(rest[1]), "drop"),
        Fix(0, at(away), "move", "", "train", "test"),
        Fix(0, at(back), "move", "", "test", "train"),
        Fix(0, at(rest[2]), "impute", "age", str(20 + rest[2]), "33.5"),
    )
    before = dataset.table.clone()
    fixed, cut = apply_fixes(dataset, parts, fixes)
    assert dataset.table.equals(before)
    assert len(fixed) == ROWS - 1
    assert fixed.table["size"].dtype == pl.Int64  # all cells are numbers now
    lines = fixed.places.to_list()
    row = {line: number for number, line in enumerate(lines)}
    assert fixed.table["label"][row[rest[0] + 2]] == "c"
    assert fixed.table["age"][row[rest[2] + 2]] == 33.5
    assert rest[1] + 2 not in lines
    assert row[away + 2] in cut.test
    assert row[back + 2] in cut.train
    assert sorted([*cut.train, *cut.valid, *cut.test]) == list(range(ROWS - 1))
    unmoved = [n for n in parts.valid if n != rest[1]]
    assert [lines[n] for n in cut.valid] == [n + 2 for n in unmoved]
    assert fixed.notes[-1] == "fixes applied: 1 drop, 1 relabel, 2 move, 2 impute"


def test_files_are_found_by_their_path_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for n in range(5):
            Image.new("L", (4, 4), n).save(tmp_path / "photos" / label / f"{n}.png")
    dataset, parts = whole(read(tmp_path / "photos"))
    monkeypatch.chdir(tmp_path)
    fixed, _ = apply_fixes(dataset, parts, (Fix(0, "photos/a/3.png", "relabel", "label", "a", "b"),))
    assert fixed.table["label"].to_list() == ["a"] * 3 + ["b"] + ["a"] + ["b"] * 5
    with pytest.raises(DataError, match="has no row there"):
        apply_fixes(dataset, parts, (Fix(0, "photos/a/9.png", "drop"),))


def test_arrays_are_fixed_in_memory() -> None:
    dataset, parts = whole(read((np.arange(40.0).reshape(20, 2), np.arange(20) % 2)))
    fixes = (Fix(7, "array, row 7", "relabel", "target", "1", "0"), Fix(2, "array, row 2", "drop"))
    fixed, _ = apply_fixes(dataset, parts, fixes)
    assert fixed.locate(6) == "array, row 7"
    assert (fixed.table["target"][6], fixed.table["target"].dtype) == (0, pl.Int64)
    again, _ = apply_fixes(fixed, split(fixed), (Fix(0, "array, row 7", "relabel", "target", "0", "1"),))
    assert again.table["target"][6] == 1


@pytest.mark.parametrize(
    ("dtype", "cells", "old", "new", "wanted"),
    [
        (pl.Date, [date(2020, 1, 2), None], "2020-01-02", "2021-03-04", date(2021, 3, 4)),
        (pl.Float32, [0.1, 2.0], "0.1", "1e3", 1000.0),
        (pl.Boolean, [True, False], "true", "no", False),
        (pl.String, ["x", "y"], "x", "", None),
        (pl.Int64, [7, 8], "7", "", None),
        (pl.Float64, [None, 8.0], "", "2", 2.0),
        (pl.Float64, [float("nan"), 8.0], "", "2", 2.0),
    ],
)
def test_cells_of_every_type_are_imputed(dtype: pl.DataType, cells: list, old: str, new: str, wanted: object) -> None:
    dataset = Dataset(pl.DataFrame({"c": pl.Series(cells * 5, dtype=dtype)}), (), "frame")
    fixed, _ = apply_fixes(*whole(dataset), (Fix(0, "frame, row 0", "impute", "c", old, new),))
    assert fixed.table["c"][0] == wanted
    assert fixed.table["c"].dtype == dtype
    assert fixed.table["c"][1:].equals(dataset.table["c"][1:])


@pytest.mark.parametrize(
    ("fix", "told"),
    [
        (Fix(0, "p, line 2", "drop"), "'p, line 2' is not a place in"),
        (Fix(0, "people.csv, row 2", "drop"), "is not a place in"),
        (Fix(0, "people.csv, line 99", "drop"), "a fix is for people.csv, line 99"),
        (Fix(0, "people.csv, line 2", "relabel", "label", "b", "c"), "'label' is 'a', not 'b' as its fix says"),
        (Fix(0, "people.csv, line 2", "impute", "ages", "1", "2"), "has no column 'ages'"),
        (Fix(0, "people.csv, line 2", "impute", "age", "20", "old"), "writes 'old' into 'age', which holds Int64"),
        (Fix(0, "people.csv, line 2", "relabel", "label", "a", ""), "writes '' into 'label'"),
        (Fix(0, "people.csv, line 2", "move", "", "", "dev"), "moves it to 'dev'"),
    ],
)
def test_fix_that_does_not_suit_the_data_names_its_place(fix: Fix, told: str, people: Path) -> None:
    with pytest.raises(DataError) as error:
        apply_fixes(*whole(read(people, target="label")), (fix,))
    assert told in str(error.value)


def test_move_from_another_part_than_the_row_is_in_is_an_error(people: Path) -> None:
    dataset, parts = whole(read(people, target="label"))
    fix = Fix(0, dataset.locate(int(parts.train[0])), "move", "", "test", "valid")
    with pytest.raises(DataError, match="is in part 'train', not in 'test'"):
        apply_fixes(dataset, parts, (fix,))


def test_fixes_that_would_empty_a_part_are_an_error(people: Path) -> None:
    dataset, parts = whole(read(people, target="label"))
    with pytest.raises(DataError, match="leave no row in the valid part"):
        apply_fixes(dataset, parts, [Fix(0, dataset.locate(int(row)), "drop") for row in parts.valid])


def test_drop_wins_and_the_first_of_contradicting_fixes_does(people: Path) -> None:
    dataset, parts = whole(read(people, target="label"))
    fixes = (
        Fix(0, dataset.locate(0), "relabel", "label", "a", "c"),
        Fix(0, dataset.locate(0), "drop"),
        Fix(0, dataset.locate(1), "relabel", "label", "b", "c"),
        Fix(0, dataset.locate(1), "relabel", "", "b", "d"),
        Fix(0, dataset.locate(1), "relabel", "label", "b", "c"),
    )
    fixed, _ = apply_fixes(dataset, parts, fixes)
    assert fixed.table["label"][0] == "c"
    assert fixed.places[0] == 3
    assert any("1 proposed change against one before left out" in note and "to 'd'" in note for note in fixed.notes)
    assert any(
        "1 proposed change of rows that are dropped left out" in note and "line 2" in note for note in fixed.notes
    )


def test_row_number_decides_where_several_rows_stand_at_one_place() -> None:
    dataset = Dataset(pl.DataFrame({"text": ["a", "b"]}), (), "book.txt", pl.Series([1, 1]))
    fix = Fix(1, "book.txt, line 1", "drop")
    assert located(dataset, (fix,)) == (fix,)
    with pytest.raises(DataError, match="2 rows, none of them row 7"):
        located(dataset, (replace(fix, row=7),))


def test_no_fixes_change_nothing(people: Path) -> None:
    dataset, parts = whole(read(people, target="label"))
    assert apply_fixes(dataset, parts, ()) == (dataset, parts)


@pytest.fixture
def book() -> tuple[Dataset, Split]:
    """Twenty rows; the last two belong to no part, as windows do that cross from one to another."""
    dataset = Dataset(
        pl.DataFrame({"size": [float(n) for n in range(20)], "label": ["a", "b"] * 10}), ("label",), "book"
    )
    return dataset, Split(np.arange(10), np.arange(10, 14), np.arange(14, 18), "by time")


def fixed_parts(book: tuple[Dataset, Split], *fixes: Fix) -> list[list[int]]:
    _, cut = apply_fixes(*book, fixes)
    return [rows.tolist() for rows in (cut.train, cut.valid, cut.test)]


def test_rows_of_no_part_stay_in_none(book: tuple[Dataset, Split]) -> None:
    drop = Fix(0, "book, row 3", "drop")
    assert fixed_parts(book, drop) == [list(range(9)), [9, 10, 11, 12], [13, 14, 15, 16]]
    move = Fix(0, "book, row 19", "move", new="valid")
    assert fixed_parts(book, move) == [list(range(10)), [10, 11, 12, 13, 19], [14, 15, 16, 17]]
    with pytest.raises(DataError, match="book, row 18 is in part '', not in 'test'"):
        fixed_parts(book, Fix(0, "book, row 18", "move", old="test", new="valid"))


@pytest.mark.parametrize(("row", "part"), [(0, "train"), (9, "train"), (10, "valid"), (13, "valid"), (17, "test")])
def test_first_and_last_row_of_a_part_are_in_it(book: tuple[Dataset, Split], row: int, part: str) -> None:
    new = "train" if part != "train" else "test"
    assert fixed_parts(book, Fix(0, f"book, row {row}", "move", old=part, new=new))
    other = "test" if part != "test" else "valid"
    with pytest.raises(DataError, match=f"is in part '{part}', not in '{other}'"):
        fixed_parts(book, Fix(0, f"book, row {row}", "move", old=other, new="train"))


def test_a_part_that_was_empty_may_stay_so(book: tuple[Dataset, Split]) -> None:
    dataset, parts = book
    _, cut = apply_fixes(dataset, replace(parts, valid=np.arange(0)), [Fix(0, "book, row 0", "drop")])
    assert len(cut.valid) == 0


def test_the_row_behind_the_last_one_is_no_place(book: tuple[Dataset, Split]) -> None:
    assert located(book[0], [Fix(0, "book, row 19", "drop")])[0].row == 19
    with pytest.raises(DataError, match="a fix is for book, row 20, but book has no row there"):
        located(book[0], [Fix(0, "book, row 20", "drop")])


@pytest.mark.parametrize(
    ("old", "is_right"), [("3.0000029", True), ("3.000004", False), ("2.999998", True), ("x", False)]
)
def test_numbers_may_be_off_by_what_printing_takes(book: tuple[Dataset, Split], old: str, is_right: bool) -> None:
    fix = Fix(0, "book, row 3", "impute", "size", old, "7")
    if is_right:
        assert apply_fixes(*book, [fix])[0].table["size"][3] == 7
    else:
        with pytest.raises(DataError, match=r"'size' is 3.0, not"):
            apply_fixes(*book, [fix])


@pytest.mark.parametrize(("new", "told"), [("inf", "writes 'inf'"), ("-inf", "writes '-inf'"), ("nan", "")])
def test_infinity_is_written_into_no_cell(book: tuple[Dataset, Split], new: str, told: str) -> None:
    fix = Fix(0, "book, row 3", "impute", "size", "3", new)
    if told:
        with pytest.raises(DataError, match=told):
            apply_fixes(*book, [fix])
    else:
        assert apply_fixes(*book, [fix])[0].table["size"][3] is None


@pytest.mark.parametrize(
    ("new", "wanted", "dtype"),
    [
        ("12", 12, pl.Int64),
        ("12.0", 12, pl.Int64),
        ("1e1", 10, pl.Int64),
        ("1E1", 10, pl.Int64),
        ("1.5", 1.5, pl.Float64),
        ("9007199254740993", 9007199254740993, pl.Int64),  # 2 ** 53 + 1: as a float it would be another
    ],
)
def test_whole_numbers_stay_whole_unless_a_fraction_is_written(new: str, wanted: float, dtype: pl.DataType) -> None:
    dataset = Dataset(pl.DataFrame({"n": list(range(20))}), (), "book")
    fixed, _ = apply_fixes(*whole(dataset), [Fix(0, "book, row 3", "impute", "n", "3", new)])
    assert (fixed.table["n"][3], fixed.table["n"].dtype) == (wanted, dtype)


def test_a_drop_that_says_its_cell_is_held_to_it(book: tuple[Dataset, Split]) -> None:
    assert len(apply_fixes(*book, [Fix(0, "book, row 3", "drop", "size", "3")])[0]) == 19
    assert len(apply_fixes(*book, [Fix(0, "book, row 3", "drop", "gone", "3")])[0]) == 19
    assert len(apply_fixes(*book, [Fix(0, "book, row 3", "drop", "size", "")])[0]) == 19
    with pytest.raises(DataError, match=r"'size' is 3.0, not '4' as its fix says"):
        apply_fixes(*book, [Fix(0, "book, row 3", "drop", "size", "4")])


def test_cells_of_lists_are_not_written() -> None:
    dataset = Dataset(pl.DataFrame({"list": [[n] for n in range(20)]}), (), "book")
    with pytest.raises(DataError, match="'list', which holds no words, numbers or dates"):
        apply_fixes(*whole(dataset), [Fix(0, "book, row 3", "impute", "list", "[3]", "[4]")])
    assert len(apply_fixes(*whole(dataset), [Fix(0, "book, row 3", "drop", "list", "[3]")])[0]) == 19


def test_moved_rows_change_the_parts_that_the_data_name() -> None:
    names = ["train"] * 10 + ["valid"] * 5 + ["test"] * 5
    dataset = Dataset(pl.DataFrame({"x": range(20)}), (), "book", parts=pl.Series(names))
    fixed, cut = apply_fixes(*whole(dataset), [Fix(0, "book, row 0", "move", "", "train", "test")])
    assert fixed.parts is not None
    assert fixed.parts.to_list() == ["test", *names[1:]]
    assert cut.test.tolist() == [0, 15, 16, 17, 18, 19]
    assert fixed.notes[-1] == "fixes applied: 1 move"


def test_a_fix_of_several_targets_names_its_column() -> None:
    dataset = Dataset(pl.DataFrame({"a": ["x"] * 20, "b": ["x"] * 20}), ("a", "b"), "book")
    assert located(dataset, [Fix(0, "book, row 1", "relabel", "", "x", "y")])[0].column == ""
    one = replace(dataset, targets=("b",))
    assert located(one, [Fix(0, "book, row 1", "relabel", "", "x", "y")])[0].column == "b"
    assert located(one, [Fix(0, "book, row 1", "impute", "a", "x", "y")])[0].column == "a"


def test_cells_that_a_line_leaves_out_have_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "fixes.csv"
    path.write_text(HEAD.strip() + ",confidence,code,row\nyes,drop,p,,,,,,\nyes,drop,q,,,,1,NW1,7\ny,drop,r,,,,0,,0\n")
    assert read_fixes(path) == (
        Fix(0, "p", "drop", confidence=1.0),
        Fix(7, "q", "drop", code="NW1", confidence=1.0),
        Fix(0, "r", "drop", confidence=0.0),
    )
    for cells, told in (("1.01,,", "confidence says '1.01'"), ("-0.1,,", "confidence says"), (",,-1", "row says '-1'")):
        path.write_text(HEAD.strip() + f",confidence,code,row\nyes,drop,p,,,,{cells}\n")
        with pytest.raises(DataError, match=told):
            read_fixes(path)


@pytest.mark.parametrize(("word", "is_applied"), [("y", True), ("t", True), ("TRUE", True), ("n", False), ("f", False)])
def test_short_words_say_whether_a_fix_is_applied(word: str, is_applied: bool, tmp_path: Path) -> None:
    (tmp_path / "fixes.csv").write_text(f"apply,action,place\n{word},drop,p\n")
    assert len(read_fixes(tmp_path / "fixes.csv")) == is_applied


def test_a_quote_that_is_never_closed_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "fixes.csv").write_text('apply,action,place\nyes,drop,p\nyes,drop,"q\n')
    with pytest.raises(DataError, match=r"fixes\.csv, line 3: unexpected end of data"):
        read_fixes(tmp_path / "fixes.csv")


def test_confidence_is_written_with_four_digits(tmp_path: Path) -> None:
    assert write_fixes([Fix(5, "p", "drop", confidence=2 / 3)] * 2, tmp_path / "fixes.csv") == 2
    assert (tmp_path / "fixes.csv").read_text().splitlines()[1] == "yes,drop,p,,,,0.6667,,,5"


def test_lines_are_sorted_by_confidence_and_say_no_if_the_audit_advises_against(tmp_path: Path) -> None:
    sure, unsure = Fix(1, "p", "drop", confidence=0.97), Fix(2, "p", "drop", confidence=0.6, apply=False)
    write_fixes([unsure, sure], tmp_path / "fixes.csv")
    assert [line.split(",")[0] for line in (tmp_path / "fixes.csv").read_text().splitlines()] == ["apply", "yes", "no"]
    assert as_fixes(tmp_path / "fixes.csv") == as_fixes([unsure, sure]) == (sure,)


@pytest.mark.parametrize("row", [11, 15])
@pytest.mark.parametrize("action", ["relabel", "drop", "impute"])
def test_scored_rows_keep_their_labels_unless_a_person_names_their_part(
    book: tuple[Dataset, Split], row: int, action: str
) -> None:
    dataset, parts = book
    new = "" if action == "drop" else "a"
    fix = Fix(row, f"book, row {row}", action, "label", "b", new, "NW110", 0.99)
    told, kept = spare_scored(dataset, parts, [fix])
    part = "valid" if row < 14 else "test"
    assert kept == ()
    assert told.notes[-1].startswith(f"1 fix of rows in the {part} part left out")
    wrong_part = replace(fix, part="train")
    assert spare_scored(dataset, parts, [wrong_part])[1] == ()
    seen = replace(fix, part=part)
    told, kept = spare_scored(dataset, parts, [seen])
    assert kept == (seen,)
    assert told.notes[-1].startswith(f"1 row of the {part} part changed by fixes: its score cannot be compared")


def test_training_rows_inputs_and_renamed_classes_are_fixed_in_all_parts(book: tuple[Dataset, Split]) -> None:
    dataset, parts = book
    of_training = Fix(3, "book, row 3", "relabel", "label", "b", "a")
    of_an_input = Fix(15, "book, row 15", "impute", "size", "15.0", "3")
    renamed = [Fix(n, f"book, row {n}", "relabel", "label", "a", "A") for n in range(0, 20, 2)]
    fixes = (of_training, of_an_input, *renamed)
    assert scored_parts(dataset, parts, fixes) == [""] * 12
    assert spare_scored(dataset, parts, fixes) == (dataset, fixes)
    assert scored_parts(dataset, parts, renamed[1:]).count("test") == 2


def test_times_and_dates_with_times_are_imputed() -> None:
    moments = [datetime(2020, 1, 2, 3, n) for n in range(20)]
    dataset = Dataset(pl.DataFrame({"at": moments, "hour": [m.time() for m in moments]}), (), "book")
    fixes = (
        Fix(0, "book, row 3", "impute", "at", "2020-01-02 03:03:00", "2021-01-01T00:00:00"),
        Fix(0, "book, row 3", "impute", "hour", "03:03:00", "04:05:06"),
    )
    fixed, _ = apply_fixes(*whole(dataset), fixes)
    assert fixed.table.row(3) == (datetime(2021, 1, 1), time(4, 5, 6))


def test_cells_that_are_formulas_are_written_as_text_and_read_back(tmp_path: Path) -> None:
    fixes = tuple(
        Fix(n, f"=x.csv, line {n}", "relabel", "@y", old, new, "NW110", 0.99)
        for n, (old, new) in enumerate([("=1+1", "'=1+1"), ("-cmd", "+3"), ("'tis", "-1.5"), ("@a\nb", "a")])
    )
    write_fixes(fixes, tmp_path / "fixes.csv")
    with (tmp_path / "fixes.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "-cmd"))]
    assert {"'=1+1", "''=1+1", "'-cmd", "+3", "'tis", "-1.5", "'@a\nb"} <= set(cells)
    assert read_fixes(tmp_path / "fixes.csv") == fixes
