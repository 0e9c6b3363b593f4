import os
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from netwright.data import fingerprint as fingerprints
from netwright.data.dataset import Dataset
from netwright.data.fingerprint import fingerprint

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
