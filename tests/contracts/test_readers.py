"""The contract of readers, over every entry of their table: readable data, empty data, broken data."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from netwright.data.dataset import Dataset
from netwright.data.readers import READERS
from netwright.records.source import Source
from netwright.resolve import resolve
from netwright.testing.readers import check_reader, check_unreadable


def _folder(folder: Path) -> Source:
    for part in ("train", "test"):
        for label in ("cats", "dogs"):
            (folder / "photos" / part / label).mkdir(parents=True)
            for k in range(3):
                Image.new("L", (8, 8), 40 * k).save(folder / "photos" / part / label / f"{k}.png")
    return Source(folder / "photos")


def _table(folder: Path) -> Source:
    (folder / "people.csv").write_text("age,town\n17,Oslo\n,Rome\n33,Bonn\n")
    return Source(folder / "people.csv")


def _series(folder: Path) -> Source:
    (folder / "heat.csv").write_text("id,t,a,b\nx,1,0.5,1\nx,0,0.25,2\ny,0,1,3\n")
    return Source(folder / "heat.csv", series="id", time="t")


def _text(folder: Path) -> Source:
    (folder / "poem.txt").write_text("roses are red\n" * 100)
    return Source(folder / "poem.txt")


def _idx(folder: Path) -> Source:
    folder = folder / "digits"
    folder.mkdir()
    for name in ("train", "t10k"):
        images = np.arange(4 * 5 * 6, dtype=np.uint8).tobytes()
        head = bytes((0, 0, 8, 3)) + np.array([4, 5, 6], ">u4").tobytes()
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + images))
        labels = bytes((0, 0, 8, 1)) + np.array([4], ">u4").tobytes() + bytes((0, 1, 0, 1))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return Source(folder)


SAMPLES: dict[str, Callable[[Path], Source]] = {
    "folder": _folder, "table": _table, "series": _series, "text": _text, "idx": _idx,
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_reader_fulfils_its_contract(name: str, tmp_path: Path) -> None:
    check_reader(resolve("reader", name, READERS), SAMPLES[name](tmp_path))


@pytest.mark.parametrize("name", READERS)
def test_empty_data_are_an_error_that_names_them(name: str, tmp_path: Path) -> None:
    source = SAMPLES[name](tmp_path)
    path = Path(source.data)
    empty = tmp_path / "nothing" / path.name
    empty.parent.mkdir()
    empty.mkdir() if path.is_dir() else empty.touch()
    check_unreadable(resolve("reader", name, READERS), replace(source, data=empty))


@pytest.mark.parametrize("name", READERS)
def test_broken_data_are_an_error_that_names_them(name: str, tmp_path: Path) -> None:
    source = SAMPLES[name](tmp_path)
    path = Path(source.data)
    noise = np.random.default_rng(0).integers(0, 256, 2000, dtype=np.uint8).tobytes()
    broken = tmp_path / "broken" / path.name
    broken.parent.mkdir()
    if path.is_dir():
        broken.mkdir()
        (broken / "train-images-idx3-ubyte").write_bytes(noise)
    else:
        broken.write_bytes(b"PK\x03\x04" + noise)
    check_unreadable(resolve("reader", name, READERS), replace(source, data=broken))


def test_contract_finds_a_reader_that_forgets_where_rows_stand(tmp_path: Path) -> None:
    def forgetful(source: Source) -> Dataset:
        return Dataset(pl.DataFrame({"x": [1, 2]}), (), "somewhere")

    with pytest.raises(AssertionError, match="does not name the data"):
        check_reader(forgetful, Source(tmp_path / "people.csv"))


def test_contract_finds_a_reader_that_takes_anything(tmp_path: Path) -> None:
    def careless(source: Source) -> Dataset:
        return Dataset(pl.DataFrame({"x": [1, 2]}), (), str(source.data))

    with pytest.raises(AssertionError, match="without an error"):
        check_unreadable(careless, Source(tmp_path / "people.csv"))
