from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from netwright.data import mapped
from netwright.data.examples import InMemory
from netwright.data.fingerprint import fingerprint
from netwright.data.mapped import Encoder, Mapped, TargetEncoder
from netwright.data.prepare import Prepared, encode_new, prepare
from netwright.data.read import read, read_chunks
from netwright.data.split import split
from netwright.records.errors import DataError
from netwright.records.source import Source

COUNT = 600
LABELS = np.arange(COUNT) % 3


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that arrays of a test are large enough to stay where they are."""
    monkeypatch.setattr(mapped, "LEAST_BYTES", 0)
    monkeypatch.setattr(mapped, "PASS_BYTES", 1 << 14)


def _saved(path: Path, *shape: int, dtype: str = "uint8", scale: float = 255.0) -> np.ndarray:
    values = np.random.default_rng(len(shape)).random(shape) * scale
    np.save(path, values.astype(dtype))
    return np.load(path, mmap_mode="r")


def _prepared(data: Any) -> Prepared:
    dataset = read(data)
    return prepare(dataset, split(dataset))


def test_bytes_of_pictures_train_as_in_memory_without_a_copy_of_the_whole(tmp_path: Path) -> None:
    x = _saved(tmp_path / "x.npy", COUNT, 8, 6, 3)
    there, here = _prepared((x, LABELS)), _prepared((np.array(x), LABELS))
    assert there.schema == here.schema
    assert isinstance(there.train, InMemory) and isinstance(there.train.columns[0], Encoder)
    assert np.shares_memory(there.train.columns[0].mapped.arrays[0], x)
    for one, other in zip(there.train.batches(50, seed=1), here.train.batches(50, seed=1), strict=True):
        assert torch.equal(one.inputs[0], other.inputs[0])
        assert torch.equal(one.targets[0], other.targets[0])


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [((3, 8, 8), "float64", "image"), ((20, 4), "float32", "series"), ((2, 5, 3, 4), "float16", "tensor")],
)
def test_bounds_and_gaps_of_numbers_are_those_of_all_training_rows(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, kind: str
) -> None:
    x = np.array(_saved(tmp_path / "x.npy", COUNT, *shape, dtype=dtype, scale=1.0))
    rows = split(read((x, LABELS))).train
    row = rows[1]  # between two rows of the spread sample
    x[row].flat[:2] = 7, -5
    if kind == "series":
        x[row].flat[3] = np.nan
    np.save(tmp_path / "x.npy", x)
    there, here = (_prepared((a, LABELS)).schema.inputs[0] for a in (np.load(tmp_path / "x.npy", mmap_mode="r"), x))
    assert there.kind == here.kind == kind
    bounds = ("black", "white") if kind == "image" else ("low", "high")
    assert [getattr(there, name) for name in bounds] == [getattr(here, name) for name in bounds] == [-5, 7]
    assert kind != "series" or there.gaps > 0  # type: ignore[attr-defined]  # a Series has gaps


@pytest.mark.parametrize("value", [7.0, -5.0, np.nan])
@pytest.mark.parametrize("step", [0, 31, 32, 99, 100, 131, 299])
def test_bounds_and_gaps_are_exact_for_windows_that_overlap(step: int, value: float) -> None:
    steps = np.random.default_rng(0).random(300).astype(np.float32)
    steps[step] = value
    windows = Mapped((sliding_window_view(steps[:, None], 32, axis=0).swapaxes(1, 2),))
    rows = np.r_[0:101, 110:269]  # windows of two stretches
    cells = windows.sample(rows).to_numpy()
    seen = np.unique(rows[:, None] + np.arange(32))
    assert np.isnan(cells).any() == bool(np.isnan(value))
    assert np.nanmin(cells) == np.nanmin(steps[seen]) and np.nanmax(cells) == np.nanmax(steps[seen])


def test_rows_of_the_data_are_found_in_the_array_when_some_are_left_out(tmp_path: Path) -> None:
    x = _saved(tmp_path / "x.npy", COUNT, 8, 8)
    labels = np.where(np.arange(COUNT) == 4, np.nan, LABELS)
    dataset = read((x, labels))
    assert len(dataset) == COUNT - 1
    prepared = prepare(dataset, split(dataset), Source(task="classification"))
    for batch in prepared.test.batches(40, seed=None):
        numbers = batch.rows + (batch.rows >= 4)
        assert np.array_equal(batch.inputs[0][:, 0].numpy(), x[numbers.numpy()])
    assert prepared.test.locate(4) == "array, row 5"


def test_parts_and_columns_stay_mapped_and_a_small_part_in_memory_joins_them(tmp_path: Path) -> None:
    x, other = _saved(tmp_path / "x.npy", COUNT, 8, 8), _saved(tmp_path / "y.npy", 60, 8, 8)
    prepared = _prepared({"train": ({"photo": x}, LABELS), "test": ({"photo": np.array(other)}, LABELS[:60])})
    batch = next(prepared.test.batches(60, seed=None))
    assert np.array_equal(batch.inputs[0][:, 0].numpy(), other)
    taken = Mapped((x, other)).take(np.array([COUNT + 1, 0, COUNT - 1]))
    assert np.array_equal(taken, np.stack([other[1], x[0], x[-1]]))
    with pytest.raises(DataError, match="'photo' has several shapes or types: 8 x 8, 8 x 4"):
        read({"train": ({"photo": x}, LABELS), "test": ({"photo": np.array(other[:, :, :4])}, LABELS[:60])})


def test_new_rows_are_encoded_in_chunks(tmp_path: Path) -> None:
    x = _saved(tmp_path / "x.npy", COUNT, 8, 8)
    schema = _prepared((x, LABELS)).schema
    chunks = [encode_new(schema, None, chunk)[0] for chunk in read_chunks(Source(x), rows=250)]
    pixels = [batch.inputs[0] for chunk in chunks for batch in chunk.batches(100, seed=None)]
    assert np.array_equal(torch.cat(pixels)[:, 0].numpy(), x)


def test_change_of_the_array_changes_the_fingerprint(tmp_path: Path) -> None:
    x = _saved(tmp_path / "x.npy", 50, 8, 8)
    before = fingerprint(read((x, LABELS[:50])))
    assert fingerprint(read((x, LABELS[:50]))) == before
    changed = np.array(x)
    changed[3] += 1
    np.save(tmp_path / "x.npy", changed)
    assert fingerprint(read((np.load(tmp_path / "x.npy", mmap_mode="r"), LABELS[:50]))).digest != before.digest


def test_masks_on_disk_are_targets_as_in_memory_without_a_copy_of_the_whole(tmp_path: Path) -> None:
    x, y = _saved(tmp_path / "x.npy", COUNT, 8, 6, 3), _saved(tmp_path / "y.npy", COUNT, 8, 6, scale=3.0)
    there, here = _prepared((x, y)), _prepared((np.array(x), np.array(y)))
    assert there.task == here.task
    assert there.task.describe().startswith("segmentation into 3 classes")
    assert isinstance(there.train, InMemory) and isinstance(there.train.target_columns[0], TargetEncoder)
    for one, other in zip(there.train.batches(50, seed=1), here.train.batches(50, seed=1), strict=True):
        assert torch.equal(one.targets[0], other.targets[0])
    assert torch.equal(there.valid.targets()[0], here.valid.targets()[0])


def test_masks_on_disk_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    y = _saved(tmp_path / "y.npy", COUNT, 8, 6, scale=3.0)
    x, spoilt = _saved(tmp_path / "x.npy", COUNT, 8, 6, 3), np.array(y)
    row = int(split(read((np.array(x), spoilt))).valid[0])
    spoilt[row] = 77
    np.save(tmp_path / "spoilt.npy", spoilt)
    there = _prepared((x, np.load(tmp_path / "spoilt.npy", mmap_mode="r")))
    here = _prepared((np.array(x), spoilt))
    assert dict(there.bad) == dict(here.bad)
    assert list(there.bad) == [row]
    assert row not in there.valid.rows.tolist()
