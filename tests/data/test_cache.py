import gc
import json
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from stat import S_IMODE
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image as PIL

from netwright.data import cache
from netwright.data.cache import clear, encode_column, entries, folder, read_cache
from netwright.data.prepare import Prepared, prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.kinds.image import Image
from netwright.kinds.number import Number
from netwright.machine.folders import temporary_folder
from netwright.records.errors import BudgetError, RecipeError, Unreadable

SIDE = 8
ROW = 3 * SIDE * SIDE  # bytes of an encoded picture
COUNT = 20


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test, that takes small columns too and writes them in several blocks."""
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    monkeypatch.delenv(cache.BYTES, raising=False)
    monkeypatch.setattr(cache, "IN_MEMORY", 0)
    monkeypatch.setattr(cache, "BLOCK_BYTES", 3 * ROW)
    return tmp_path


@pytest.fixture
def cells(tmp_path: Path) -> pl.Series:
    """Pictures in two labels; the one in row 7 is cut off."""
    generator = np.random.default_rng(0)
    paths = [tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png" for number in range(COUNT)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.fromarray(generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
    paths[7].write_bytes(paths[7].read_bytes()[:60])
    return pl.Series("image", [str(path) for path in paths])


def _field(cells: pl.Series) -> Image:
    return Image.learn("image", cells)


def _was_kept(notes: tuple[str, ...]) -> bool:
    return "already decoded" in notes[0]


def test_rows_equal_those_decoded_into_memory_and_so_do_the_reasons_of_unreadable_ones(cells: pl.Series) -> None:
    with pytest.raises(Unreadable) as direct:
        _field(cells).encode(cells)
    for is_kept in (False, True):
        decoded = encode_column(_field(cells), cells)
        assert torch.equal(decoded.tensor, direct.value.encoded[0])
        assert decoded.bad == direct.value.bad
        assert list(decoded.bad) == [7]
        assert _was_kept(decoded.notes) is is_kept


def test_building_is_told_with_the_place(cells: pl.Series) -> None:
    (note,) = encode_column(_field(cells), cells).notes
    assert note == f"image: 20 files decoded in 0 s, cached in {entries()[0].path} (0 MB)"
    assert entries()[0].files == str(Path(cells[0]).parents[1])
    assert entries()[0].shape == (COUNT, 3, SIDE, SIDE)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.utime(path, (1, 1)),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: path.unlink(),
    ],
    ids=["time", "size", "removed"],
)
def test_changed_file_is_decoded_again(cells: pl.Series, change: Any) -> None:
    encode_column(_field(cells), cells)
    change(Path(cells[3]))
    decoded = encode_column(_field(cells), cells)
    assert not _was_kept(decoded.notes)
    assert (3 in decoded.bad) is not Path(cells[3]).exists()


def test_file_changed_without_a_new_size_or_date_is_decoded_again(cells: pl.Series) -> None:
    before = encode_column(_field(cells), cells).tensor[3].clone()
    path, state = Path(cells[3]), os.stat(cells[3])
    content = bytearray(path.read_bytes())
    PIL.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes().ljust(len(content), b"\0"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert before.any()
    assert not encode_column(_field(cells), cells).tensor[3].any()


def test_new_file_and_other_size_of_pictures_make_other_entries(cells: pl.Series) -> None:
    encode_column(_field(cells), cells[:-1])
    assert not _was_kept(encode_column(_field(cells), cells).notes)
    assert not _was_kept(encode_column(replace(_field(cells), width=16), cells).notes)
    assert len(entries()) == 3
    other = replace(_field(cells), mean=(0.0, 0.0, 0.0), name="photo")  # neither decides a pixel
    assert _was_kept(encode_column(other, cells).notes)


def test_entry_cut_short_is_not_used_but_made_again(cells: pl.Series) -> None:
    whole = encode_column(_field(cells), cells).tensor.clone()
    rows = Path(entries()[0].path) / "rows.bin"
    rows.write_bytes(rows.read_bytes()[:-1])
    decoded = encode_column(_field(cells), cells)
    assert not _was_kept(decoded.notes)
    assert torch.equal(decoded.tensor, whole)
    about = Path(entries()[0].path) / "about.json"
    about.write_text(about.read_text()[:20])
    assert not _was_kept(encode_column(_field(cells), cells).notes)


def test_stopped_building_leaves_nothing(cells: pl.Series, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        encode_column(_field(cells), cells)
    assert list(folder().iterdir()) == []


def test_full_disk_while_writing_leaves_the_column_in_memory(cells: pl.Series, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    decoded = encode_column(_field(cells), cells)
    assert decoded.notes[0].endswith("No space left on device")
    assert list(decoded.bad) == [7]
    assert list(folder().iterdir()) == []


def test_folder_that_cannot_be_made_leaves_the_column_in_memory(
    cells: pl.Series, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "file").write_text("")
    monkeypatch.setenv(cache.FOLDER, str(here / "file"))
    decoded = encode_column(_field(cells), cells)
    assert decoded.notes == (f"image: decoded into memory, not cached in {folder()}: Not a directory",)
    assert len(decoded.tensor) == COUNT
    monkeypatch.setattr(cache, "free_memory", lambda: ROW)
    with pytest.raises(BudgetError, match=r"of memory are free.*Not a directory"):
        encode_column(_field(cells), cells)


def test_two_that_build_the_same_get_the_same_and_leave_one_entry(
    cells: pl.Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier, build = threading.Barrier(2, timeout=10), cache._build

    def together(*given: Any) -> None:
        barrier.wait()
        build(*given)

    monkeypatch.setattr(cache, "_build", together)
    field = _field(cells)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: encode_column(field, cells), range(2))
    assert torch.equal(first.tensor, second.tensor)
    assert first.bad == second.bad
    assert len(list(folder().iterdir())) == len(entries()) == 1


def test_least_recently_used_entries_go_where_the_bound_is_reached(
    cells: pl.Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.BYTES, str(20 * ROW))
    field = _field(cells)
    first, second, third = cells[:8], cells[8:16], cells[10:18]
    encode_column(field, first)
    encode_column(field, second)
    for number, entry in enumerate(entries()):
        os.utime(Path(entry.path) / "about.json", (number + 1, number + 1))
    assert _was_kept(encode_column(field, first).notes)  # and so the second is the least recently used
    encode_column(field, third)
    assert _was_kept(encode_column(field, first).notes)
    assert not _was_kept(encode_column(field, second).notes)
    assert read_cache().bytes <= 20 * ROW


def test_entry_in_use_is_neither_cleared_nor_pushed_out(cells: pl.Series, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.BYTES, str(10 * ROW))
    field = _field(cells)
    held = encode_column(field, cells[:6])
    refused = encode_column(field, cells[8:16])
    assert refused.notes[0].endswith("entries in use fill it")
    assert clear().freed == 0
    assert torch.equal(held.tensor, field.encode(cells[:6]))
    del held
    gc.collect()
    assert clear().freed == 6 * ROW
    assert read_cache().entries == ()


def test_columns_larger_than_the_bound_are_not_kept(cells: pl.Series, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.BYTES, "0")
    (note,) = encode_column(_field(cells), cells).notes
    assert note.endswith("0 MB exceed its limit of 0 MB (NETWRIGHT_CACHE_BYTES)")
    monkeypatch.setenv(cache.BYTES, "much")
    with pytest.raises(RecipeError, match="is 'much', not a number of bytes"):
        encode_column(_field(cells), cells)


def test_clearing_removes_what_killed_processes_left_and_nothing_of_others(cells: pl.Series) -> None:
    encode_column(_field(cells), cells)
    (folder() / "building-abc").mkdir()
    (folder() / "building-abc" / "rows.bin").write_bytes(b"12345")
    (folder() / "mine.txt").write_text("not ours")
    assert clear().freed == COUNT * ROW + 5
    assert [path.name for path in folder().iterdir()] == ["mine.txt"]


def test_nothing_but_tensors_without_code_is_kept(cells: pl.Series) -> None:
    encode_column(_field(cells), cells)
    kept = {path.name: path for path in Path(entries()[0].path).iterdir()}
    assert set(kept) == {"rows.bin", "about.json"}
    assert kept["rows.bin"].stat().st_size == COUNT * ROW
    assert json.loads(kept["about.json"].read_text())["dtype"] == "uint8"


def test_small_columns_and_columns_without_files_stay_in_memory(
    cells: pl.Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = pl.Series("age", [1.0, 2.0, None])
    assert encode_column(Number.learn("age", numbers), numbers).notes == ()
    contents = pl.Series("image", [Path(cell).read_bytes() for cell in cells])
    assert encode_column(_field(contents), contents).notes == ()
    monkeypatch.setattr(cache, "IN_MEMORY", COUNT * ROW)
    assert encode_column(_field(cells), cells).notes == ()
    assert not folder().exists()


def _prepared(where: Path) -> Prepared:
    dataset = read(where)
    return prepare(dataset, split(dataset))


def test_batches_out_of_the_cache_equal_those_without_it(
    cells: pl.Series, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = [_prepared(here / "photos"), _prepared(here / "photos")]
    monkeypatch.setattr(cache, "IN_MEMORY", 1 << 30)
    prepared.append(_prepared(here / "photos"))
    built, kept, direct = ([batch for batch in p.train.batches(5, seed=3)] for p in prepared)
    assert len(direct) > 1
    for batches in (built, kept):
        for one, other in zip(batches, direct, strict=True):
            assert torch.equal(one.inputs[0], other.inputs[0])
            assert torch.equal(one.rows, other.rows)
    lost = [[note for note in p.notes if "unreadable" in note] for p in prepared]
    assert lost[0] == lost[1] == lost[2] != []
    assert any("already decoded" in note for note in prepared[1].notes)


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_a_flipped_bit_is_noticed_and_the_entry_made_again(cells: pl.Series) -> None:
    first = encode_column(_field(cells), cells).tensor.clone()
    _flip_a_bit(Path(entries()[0].path) / "rows.bin")
    again = encode_column(_field(cells), cells)
    assert torch.equal(again.tensor, first) and not _was_kept(again.notes)
    assert _was_kept(encode_column(_field(cells), cells).notes)


def test_entries_are_their_owners_alone(cells: pl.Series) -> None:
    folder().mkdir(parents=True, mode=0o777)
    folder().chmod(0o777)  # of an earlier version
    encode_column(_field(cells), cells)
    assert S_IMODE(folder().stat().st_mode) == S_IMODE(Path(entries()[0].path).stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="modes of files mean nothing there")
def test_entries_that_others_may_write_to_or_that_are_links_are_not_used(cells: pl.Series, here: Path) -> None:
    first = encode_column(_field(cells), cells).tensor.clone()
    path = Path(entries()[0].path)
    path.chmod(0o770)
    assert not _was_kept(encode_column(_field(cells), cells).notes)
    path.rename(here / "elsewhere")
    path.symlink_to(here / "elsewhere")
    found = encode_column(_field(cells), cells)
    assert torch.equal(found.tensor, first) and not any(_was_kept((note,)) for note in found.notes)


def test_a_link_in_place_of_the_folder_is_not_followed(cells: pl.Series, here: Path) -> None:
    (here / "others").mkdir()
    folder().parent.mkdir(parents=True)
    folder().symlink_to(here / "others")
    (note,) = encode_column(_field(cells), cells).notes
    assert note.startswith("image: decoded into memory, not cached in")
    assert not any((here / "others").iterdir()) and entries() == ()


def test_without_a_home_the_folder_is_among_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (cache.FOLDER, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "nowhere")  # not absolute, as `~` is without HOME and user entry
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary_folder.cache_clear()
    assert folder() == tmp_path / f"netwright-{os.getuid()}" / "decoded"
    assert S_IMODE(folder().parent.stat().st_mode) == 0o700
    temporary_folder.cache_clear()
    (tmp_path / f"netwright-{os.getuid()}").rename(tmp_path / "moved")
    (tmp_path / f"netwright-{os.getuid()}").symlink_to(tmp_path / "moved")  # somebody was faster
    assert folder().parent.parent == tmp_path and folder().parent.name not in ("moved", f"netwright-{os.getuid()}")
    temporary_folder.cache_clear()
