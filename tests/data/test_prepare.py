from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from netwright.data.dataset import Dataset
from netwright.data.prepare import Prepared, encode_new, prepare
from netwright.data.read import read
from netwright.data.split import Split, split
from netwright.kinds.number import Number
from netwright.records.errors import DataError
from netwright.records.source import Source
from netwright.tasks.regression import Regression

COUNT = 60


def _frame() -> pl.DataFrame:
    generator = np.random.default_rng(0)
    return pl.DataFrame({
        "age": generator.integers(17, 90, COUNT),
        "town": generator.choice(["Oslo", "Rome", "Bonn"], COUNT),
        "zip": generator.integers(10_000, 10_004, COUNT),
        "same": ["x"] * COUNT,
        "income": generator.choice(["high", "low"], COUNT),
    })  # fmt: skip


def _prepared(frame: pl.DataFrame, kinds: dict[str, str] | None = None, task: str | None = None) -> Prepared:
    dataset = read(frame, target="income")
    return prepare(dataset, split(dataset), Source(kinds=kinds or {}, task=task))


def _error(call: Callable[[], object]) -> DataError:
    with pytest.raises(DataError) as caught:
        call()
    return caught.value


def test_kinds_and_task_are_recognized_and_each_guess_is_told() -> None:
    prepared = _prepared(_frame())
    assert [field.kind for field in prepared.schema.inputs] == ["number", "category", "number"]
    assert prepared.task.name == "classification"
    assert "town: 3 categories" in prepared.notes
    assert "column same has one value in all training rows and was left out" in prepared.notes
    assert prepared.notes[-1].startswith("stratified by 'income': 41 training")


def test_guesses_are_overruled_by_what_the_user_says() -> None:
    prepared = _prepared(_frame(), {"zip": "category", "same": "category"})
    assert [field.kind for field in prepared.schema.inputs] == ["number", "category", "category", "category"]
    assert "zip: 4 categories (as you said)" in prepared.notes


def test_detail_behind_a_kind_reaches_it(tmp_path: Path) -> None:
    frame = _frame().with_columns(text=pl.lit("one two three four five ") + pl.col("age").cast(pl.String))
    prepared = _prepared(frame, {"text": "text:3"})
    assert prepared.train.batches(4, seed=None).__next__().inputs[-1].shape == (4, 3)


def test_kind_may_be_an_import_path() -> None:
    prepared = _prepared(_frame(), {"age": "netwright.kinds.number:Number"})
    assert isinstance(prepared.schema.inputs[0], Number)


def test_kind_for_an_unknown_column_is_an_error() -> None:
    assert _error(lambda: _prepared(_frame(), {"name": "text"})).problem == "array has no column 'name'"


def test_only_training_rows_teach() -> None:
    frame = _frame().with_columns(income=pl.Series(["high", "low"] * 30))
    far = pl.when(pl.int_range(COUNT) >= 40).then(1e6).otherwise(pl.col("age"))
    dataset = read(frame.with_columns(age=far), target="income")
    parts = Split(np.arange(40), np.arange(40, 50), np.arange(50, 60), "by hand")
    field = prepare(dataset, parts).schema.inputs[0]
    assert field.high < 100


def test_rows_of_batches_are_those_of_the_data() -> None:
    frame = _frame()
    prepared = _prepared(frame)
    for batch in prepared.test.batches(7, seed=None):
        ages = frame["age"].to_numpy()[batch.rows]
        assert torch.equal(batch.inputs[1][:, 0], torch.tensor(ages, dtype=torch.float32))
    assert prepared.test.locate(5) == "array, row 5"


def test_words_for_missing_are_missing_numbers_and_not_an_error() -> None:
    ages = [*map(str, range(COUNT - 2)), "?", "NA"]
    prepared = _prepared(_frame().with_columns(age=pl.Series(ages)))
    assert prepared.schema.inputs[0].kind == "number"


def test_infinite_and_nan_inputs_are_encoded_as_missing() -> None:
    ages = pl.Series([float("inf"), float("nan"), None, *map(float, range(COUNT - 3))])
    dataset = read(_frame().with_columns(age=ages), target="income")
    prepared = prepare(dataset, split(dataset))
    examples, bad = encode_new(prepared.schema, prepared.task, dataset)
    batch = next(examples.batches(3, seed=None))
    assert batch.inputs[1][:, 0].isnan().all()
    assert not bad


def test_row_numbers_and_names_are_pointed_out() -> None:
    frame = _frame().with_columns(id=pl.int_range(COUNT), code=pl.Series([f"c{k}" for k in range(COUNT)]))
    notes = _prepared(frame).notes
    assert any(note.startswith("id, code: different in every row") for note in notes)


def test_no_column_that_varies_is_an_error() -> None:
    dataset = read(pl.DataFrame({"x": ["a"] * 9, "y": ["u", "v", "w"] * 3}), target="y")
    error = _error(lambda: prepare(dataset, split(dataset)))
    assert error.problem == "array has nothing to learn from: x never change"


def test_one_class_only_is_an_error() -> None:
    assert "two classes or more" in _error(lambda: _prepared(_frame().with_columns(income=pl.lit("high")))).problem


def test_constant_number_as_target_is_an_error() -> None:
    frame = _frame().with_columns(income=pl.Series([1.5] * COUNT))
    assert _error(lambda: _prepared(frame)).remedy


def test_target_that_differs_in_every_row_is_an_error() -> None:
    frame = _frame().with_columns(income=pl.Series([f"name {k}" for k in range(COUNT)]))
    assert _error(lambda: _prepared(frame)).remedy


def test_table_without_a_target_is_an_error_that_lists_the_columns() -> None:
    dataset = read(_frame())
    assert str(_error(lambda: prepare(dataset, split(dataset)))) == (
        "array has no target\n  fix: choose the target from age, town, zip, same, income."
    )


def test_task_may_be_named_given_as_a_class_or_learned() -> None:
    dataset = read(_frame().drop("income"), target="zip")
    parts = split(dataset)
    assert prepare(dataset, parts).task.name == "classification"
    assert prepare(dataset, parts, Source(task="regression")).task.name == "regression"
    assert prepare(dataset, parts, Source(task=Regression)).task.name == "regression"
    learned = Regression.learn(dataset.table.select("zip"))
    assert prepare(dataset, parts, Source(task=learned)).task is learned


def test_label_that_training_rows_lack_is_left_out_of_the_test_rows_and_counted() -> None:
    frame = pl.DataFrame({"x": range(30), "y": ["a", "b"] * 14 + ["c", "a"]})
    dataset = read(frame, target="y")
    parts = Split(np.arange(20), np.arange(20, 25), np.arange(25, 30), "by hand")
    prepared = prepare(dataset, parts)
    assert len(prepared.test) == 4
    assert any(n.startswith("left out 1 unreadable test row, the first is array, row 28") for n in prepared.notes)


def test_group_column_is_no_input() -> None:
    dataset = read(_frame(), target="income")
    prepared = prepare(dataset, split(dataset, Source(group="zip")))
    assert "zip" not in [field.name for field in prepared.schema.inputs]


def _photos(folder: Path) -> Dataset:
    for label in ("dark", "bright"):
        (folder / label).mkdir(parents=True)
        for k in range(10):
            Image.new("L", (8, 8), (20 if label == "dark" else 200) + k).save(folder / label / f"{k}.png")
    return read(folder)


def test_broken_and_vanished_images_are_left_out_and_the_first_is_named(tmp_path: Path) -> None:
    dataset = _photos(tmp_path)
    (tmp_path / "bright" / "3.png").unlink()
    (tmp_path / "dark" / "0.png").write_bytes(b"")
    (tmp_path / "dark" / "1.png").write_bytes((tmp_path / "dark" / "2.png").read_bytes()[:40])
    parts = Split(np.arange(16), np.arange(16, 18), np.arange(18, 20), "by hand")
    prepared = prepare(dataset, parts)
    assert len(prepared.train) == 13
    note = next(note for note in prepared.notes if "unreadable" in note)
    assert note.startswith(f"left out 3 unreadable training rows, the first is {tmp_path}/bright/3.png: ")


def test_part_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    dataset = _photos(tmp_path)
    for name in ("8.png", "9.png"):
        (tmp_path / "dark" / name).unlink()
    parts = Split(np.arange(16), np.arange(16, 18), np.arange(18, 20), "by hand")
    error = _error(lambda: prepare(dataset, parts))
    assert error.problem.startswith(f"no test row can be read; the first is {tmp_path}/dark/8.png: ")


def test_new_rows_are_encoded_as_the_training_rows_were(tmp_path: Path) -> None:
    prepared = _prepared(_frame())
    new = read({"zip": [1, 2], "age": ["30", "?"], "town": ["Rome", "Paris"], "extra": [1, 2]})
    examples, bad = encode_new(prepared.schema, None, new)
    batch = next(examples.batches(9, seed=None))
    assert not bad and batch.targets == ()
    assert batch.inputs[1][0].tolist() == [30, 1]
    assert batch.inputs[1][1, 0].isnan()


def test_missing_column_of_new_rows_is_an_error() -> None:
    prepared = _prepared(_frame())
    error = _error(lambda: encode_new(prepared.schema, None, read({"age": [1], "zip": [2]})))
    assert error.problem == "array has no column 'town'"


def test_unreadable_new_rows_are_told_with_their_reason(tmp_path: Path) -> None:
    dataset = _photos(tmp_path)
    prepared = prepare(dataset, split(dataset))
    (tmp_path / "bright" / "1.png").write_bytes(b"no image")
    examples, bad = encode_new(prepared.schema, prepared.task, dataset)
    assert list(bad) == [1]
    assert [row for batch in examples.batches(8, seed=None) for row in batch.rows.tolist()] == [0, *range(2, 20)]


def test_text_file_becomes_a_language_model(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("roses are red, violets are blue\n" * 200)
    dataset = read(tmp_path / "poem.txt")
    prepared = prepare(dataset, split(dataset))
    assert prepared.task.name == "language_model"
    assert next(prepared.train.batches(2, seed=0)).targets == ()


def test_many_columns_of_one_kind_are_told_in_one_line() -> None:
    generator = np.random.default_rng(0)
    dataset = read((generator.normal(size=(50, 40)), generator.integers(0, 2, 50)))
    assert "x0, x1, x2 and 37 more: number" in prepare(dataset, split(dataset)).notes


def _targets(write: Callable[[int, float], object], *, rows: int = 200, **said: str) -> Prepared:
    """One input, and a target of distinct numbers that `write` turns into cells."""
    numbers = np.random.default_rng(5).normal(300, 80, rows).round(2)
    frame = pl.DataFrame({"x": numbers, "y": [write(row, number) for row, number in enumerate(numbers)]})
    dataset = read(frame, target="y", kinds={"y": said["kind"]} if "kind" in said else {})
    return prepare(dataset, split(dataset), Source(task=said.get("task")))


@pytest.mark.parametrize(
    "write",
    [
        lambda row, n: f"{n}".replace(".", ","),
        lambda row, n: f"{1000 * n:,.0f}",
        lambda row, n: f"£{n}",
        lambda row, n: f"{n} mg/dl",
        lambda row, n: f"{n:.1f} %",
        lambda row, n: f"{n} CHF".replace(".", ","),
        lambda row, n: f"{1000 * n:,.0f}".replace(",", "'"),
        lambda row, n: f"{int(n) // 60 + 20}:{int(n) % 60:02}:07",
    ],
)
def test_targets_are_read_like_inputs_however_their_numbers_are_written(write: Callable[[int, float], object]) -> None:
    prepared = _targets(write)
    assert isinstance(prepared.task, Regression)
    assert not prepared.bad
    batch = next(prepared.train.batches(999, seed=None))
    assert np.corrcoef(batch.inputs[0][:, 0], batch.targets[0])[0, 1] > 0.99


def test_a_bad_cell_among_numbers_costs_its_row_and_is_named() -> None:
    prepared = _targets(lambda row, n: "n.d." if row == 77 else str(n))
    assert isinstance(prepared.task, Regression)
    assert prepared.bad == {77: "the target is 'n.d.'"}
    assert any("left out 1 unreadable" in note and "row 77: the target is 'n.d.'" in note for note in prepared.notes)


def test_a_target_of_which_only_most_cells_are_numbers_is_an_error_with_both_ways_out() -> None:
    error = _error(lambda: _targets(lambda row, n: f"about {n}" if row % 5 == 3 else str(n)))
    assert "cells of 'y' are numbers, all written in one way; the first other cell is 'about " in error.problem
    assert "array, row " in error.problem
    assert "the task regression" in error.remedy and "the task classification" in error.remedy


@pytest.mark.parametrize(
    "write",
    [
        lambda row, n: f"{n} kg" if row % 2 else f"{1000 * n:.0f} g",
        lambda row, n: f"${n}" if row % 3 else f"\u20ac{n}",
        lambda row, n: f"{n / 1000}k" if row % 3 else str(n),
        lambda row, n: f"{n} %" if row % 2 else f"{n / 100}",
        lambda row, n: f"{n:.0f}-{n + 10:.0f}",
    ],
)
def test_a_target_in_several_units_or_of_ranges_is_an_error(write: Callable[[int, float], object]) -> None:
    error = _error(lambda: _targets(write))
    assert error.remedy.startswith("to predict numbers, write one number in each cell, in one unit")


def test_the_named_task_and_the_named_kind_of_a_target_are_respected() -> None:
    def write(row: int, n: float) -> str:
        return f"about {n}" if row % 5 == 3 else str(n)

    for said in ({"task": "regression"}, {"kind": "number"}):
        prepared = _targets(write, **said)
        assert isinstance(prepared.task, Regression)
        assert len(prepared.bad) == 40
    grades = _targets(lambda row, n: row % 3, kind="number")
    assert isinstance(grades.task, Regression)
    assert _targets(lambda row, n: round(n / 50) * 0.5, kind="category").task.name == "classification"
    error = _error(lambda: _targets(write, kind="date"))
    assert error.problem == "no task predicts the target 'y' as date"


def test_dates_as_the_target_are_an_error_that_says_what_to_write() -> None:
    days = [date(2021, 3, 1) + timedelta(days=7 * k) for k in range(200)]
    for cells in (days, [str(day) for day in days], [int(f"{day:%Y%m%d}") for day in days]):
        error = _error(lambda cells=cells: _targets(lambda row, _: cells[row]))
        assert error.problem == "'y' holds dates, and no task predicts dates"


def test_a_label_that_lists_other_labels_is_pointed_out() -> None:
    frame = pl.DataFrame({"x": range(90), "y": ["sun", "rain", "sun, rain"] * 30})
    dataset = read(frame, target="y")
    notes = prepare(dataset, split(dataset), Source()).notes
    assert any("'sun, rain' is read as one class, but may mean several labels" in note for note in notes)


def test_labels_that_look_alike_are_one_class() -> None:
    forms = ["caf\u00e9", "cafe\u0301", "caf\u00e9\u200b"]
    frame = pl.DataFrame({"x": range(90), "y": [forms[row % 3] if row % 2 else "bar" for row in range(90)]})
    dataset = read(frame, target="y")
    assert prepare(dataset, split(dataset), Source()).task.describe().endswith("2 classes: bar, caf\u00e9")


def test_cells_of_inputs_that_cannot_be_read_are_counted_and_the_first_is_located(tmp_path: Path) -> None:
    lines = [f"{n},{'old' if n == 33 else 20 + n % 7},{'ab'[n % 2]}" for n in range(100)]
    (tmp_path / "people.csv").write_text("n,age,y\n" + "\n".join(lines))
    dataset = read(tmp_path / "people.csv", target="y")
    parts = Split(np.arange(60), np.arange(60, 80), np.arange(80, 100), "by hand")
    [note] = [note for note in prepare(dataset, parts).notes if note.startswith("age: ")]
    assert "1 cell is not a number (first: 'old'), read as missing" in note
    assert note.endswith(f"the first is {tmp_path / 'people.csv'}, line 35")
