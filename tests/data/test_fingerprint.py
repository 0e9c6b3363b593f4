import os
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor

from netwright.data import fingerprint as fingerprints
from netwright.data.dataset import Dataset
from netwright.data.examples import Adopted, InMemory
from netwright.data.fingerprint import checksum, fingerprint
from netwright.records.batch import Batch, Examples

TABLE = pl.DataFrame({"age": [float(n % 50) for n in range(60)], "income": ["high", "low"] * 30})


def test_fingerprints_change_with_the_data_and_with_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("a,b\n1,2\n")
    before = fingerprint(path)
    os.utime(path, (1, 1))
    assert fingerprint(path).digest == before.digest
    path.write_text("a,b\n1,3\n")
    assert fingerprint(path).digest != before.digest

    folder = fingerprint(tmp_path)
    (tmp_path / "more.csv").write_text("")
    assert fingerprint(tmp_path).digest != folder.digest

    data = Dataset(TABLE, ("income",), "array")
    assert fingerprint(data) == fingerprint(replace(data, table=TABLE.clone()))
    assert fingerprint(data).digest != fingerprint(replace(data, table=TABLE.with_columns(pl.col("age") + 1))).digest


def test_large_files_are_hashed_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "WHOLE_BYTES", 10)
    monkeypatch.setattr(fingerprints, "PIECE_BYTES", 4)
    path = tmp_path / "large.csv"
    path.write_text("0123456789abcdef")
    before = fingerprint(path)
    assert fingerprint(path) == before
    path.write_text("0123456789abcdeX")
    assert fingerprint(path).digest != before.digest


def part_of(inputs: Tensor, targets: Tensor, rows: list[int]) -> Examples:
    return InMemory((inputs,), (targets,), torch.tensor(rows), "row {}".format)


def test_a_checksum_covers_inputs_and_targets_of_each_part_and_which_rows_it_has() -> None:
    inputs, targets = torch.arange(12.0).reshape(6, 2), torch.arange(6)

    def found(inputs: Tensor = inputs, targets: Tensor = targets, parts: list[list[int]] | None = None) -> str:
        rows = [[0, 1, 2], [3, 4], [5]] if parts is None else parts
        return checksum([part_of(inputs, targets, some) for some in rows], 1.0)

    assert found() == found(inputs.clone(), targets.clone())
    others = {found()}
    for row in range(6):
        others |= {found(inputs.index_fill(0, torch.tensor(row), 0.5)), found(targets=targets + (targets == row))}
    others |= {found(parts=[[0, 1], [2, 3, 4], [5]]), found(parts=[[1, 0, 2], [3, 4], [5]])}
    assert len(others) == 15


def test_of_much_data_a_checksum_takes_some_rows_and_the_time_of_the_last_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fingerprints, "CHECKED_BYTES", 100)
    inputs, targets = torch.arange(100.0)[:, None], torch.arange(100)

    def found(inputs: Tensor, modified: float) -> str:
        return checksum([part_of(inputs, targets, list(range(100)))], modified)

    assert found(inputs, 1.0) == found(inputs, 1.0)
    assert found(inputs, 1.0) != found(inputs, 2.0)
    assert found(inputs, 1.0) != found(inputs.index_fill(0, torch.tensor(0), 0.5), 1.0)
    monkeypatch.setattr(fingerprints, "CHECKED_BYTES", 1 << 20)
    assert found(inputs, 1.0) == found(inputs, 2.0)  # of few rows, what they hold is enough


def test_the_rows_of_a_loader_that_shuffles_are_not_read_for_a_checksum() -> None:
    def refuse(thing: object, first: int) -> Batch:
        raise AssertionError("it is read")

    assert checksum([Adopted([], "loader", 5, refuse)], 0.0) != checksum([Adopted([], "loader", 6, refuse)], 0.0)
