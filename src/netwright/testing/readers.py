"""The contract of a reader: rows that can be found again, and clear errors if there is nothing to read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from netwright.data.dataset import PARTS, Dataset
from netwright.records.errors import DataError
from netwright.records.source import Source

Reader = Callable[[Source], Dataset]


def check_reader(reader: Reader, source: Source) -> None:
    """Readable data: rows, targets among the columns, a place for every row, and the same when read twice."""
    path, dataset = Path(source.data), reader(source)
    _claim(len(dataset) > 0, "the reader found no rows in readable data")
    absent = [name for name in (*dataset.targets, *dataset.kinds) if name not in dataset.table.columns]
    _claim(not absent, f"{absent} are named as targets or have kinds, but are not columns")
    _claim(bool(dataset.inputs), "there is no column besides the targets")
    _check_places(dataset, path)
    again = reader(source)
    _claim(again.table.equals(dataset.table), "reading twice gave different cells")
    _claim(again.notes == dataset.notes, "reading twice gave different notes")
    unlabelled = reader(replace(source, is_labelled=False, split="", labels=""))
    _claim(len(unlabelled) > 0, "data without labels cannot be read for prediction")


def check_unreadable(reader: Reader, source: Source) -> None:
    """Empty or broken data: a DataError that names them and says what to do, in one sentence each."""
    path = Path(source.data)
    try:
        reader(source)
    except DataError as error:
        _claim(path.name in error.problem, f"the error does not name the data: {error.problem}")
        _claim(error.remedy.endswith((".", "?")), f"the remedy is not a sentence: {error.remedy!r}")
        return
    raise AssertionError(f"{path.name} was read without an error")


def _check_places(dataset: Dataset, path: Path) -> None:
    count = len(dataset)
    _claim(dataset.places is None or len(dataset.places) == count, "there is not one place per row")
    places = [dataset.locate(row) for row in range(min(count, 1000))]
    _claim(all(path.name in place for place in places), "a row's place does not name the data it came from")
    if dataset.parts is not None:
        _claim(len(dataset.parts) == count, "there is not one part per row")
        _claim(set(dataset.parts) <= set(PARTS), f"parts are {PARTS}, not {sorted(set(dataset.parts))}")
    kept = dataset.keep(pl.Series([row == count - 1 for row in range(count)]), "only the last row")
    _claim(kept.locate(0) == dataset.locate(count - 1), "a row's place changed when other rows were dropped")


def _claim(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
