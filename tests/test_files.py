import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from polars.exceptions import ComputeError
from safetensors.torch import save_file

from netwright import files
from netwright.files import (
    append_line,
    lock_file,
    read_shapes,
    read_tensors,
    read_text,
    replace_tensors,
    replace_text,
    whole,
)
from netwright.records.errors import RunError


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text("old")
    with whole(path) as unfinished:
        unfinished.write_text("ne")
        assert path.read_text() == "old"
        unfinished.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("old")
    with pytest.raises(error), whole(path) as unfinished:
        unfinished.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_place_of_an_unfinished_file_cannot_be_foreseen_and_is_its_owners_alone(tmp_path: Path) -> None:
    places = set[Path]()
    for _ in range(3):
        with whole(tmp_path / "page.html") as unfinished:
            unfinished.write_text("")
            places.add(unfinished.parent)
            assert (unfinished.parent.parent, unfinished.name) == (tmp_path, "page.html")
            assert stat.S_IMODE(unfinished.parent.stat().st_mode) == 0o700
    assert len(places) == 3


def test_links_of_names_that_can_be_foreseen_lead_no_write_elsewhere(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (".page.html.writing", "page.html.tmp", ".writing", ".netwright-"):
        (tmp_path / name).symlink_to(victim)
    replace_text(tmp_path / "page.html", "new")
    assert (victim.read_text(), (tmp_path / "page.html").read_text()) == ("precious", "new")


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "victim").chmod(0o600)
    (tmp_path / "page.html").symlink_to("victim")
    replace_text(tmp_path / "page.html", "new")
    assert not (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "page.html").stat().st_mode == _of_a_new_file(tmp_path)


def test_a_new_file_has_the_mode_that_the_umask_says(tmp_path: Path) -> None:
    replace_text(tmp_path / "a.json", "")
    replace_tensors(tmp_path / "a.safetensors", {"a": torch.ones(2)}, {})
    assert {path.stat().st_mode for path in tmp_path.iterdir()} == {_of_a_new_file(tmp_path)}


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_file_that_is_written_anew_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.safetensors"
    for _ in range(2):
        replace_tensors(path, {"a": torch.ones(2)}, {})
        path.chmod(mode)
    replace_tensors(path, {"a": torch.zeros(2)}, {})
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert read_tensors(path)[0]["a"].tolist() == [0, 0]


@pytest.mark.skipif(sys.platform == "win32", reason="modes of folders mean nothing on Windows")
def test_what_may_not_be_written_is_an_error_and_stays(tmp_path: Path) -> None:
    kept, closed = tmp_path / "kept.html", tmp_path / "closed"
    kept.write_text("precious")
    kept.chmod(0o444)
    with pytest.raises(RunError, match=r"kept\.html cannot be written: it is read-only"):
        replace_text(kept, "new")
    assert kept.read_text() == "precious" and list(tmp_path.iterdir()) == [kept]
    closed.mkdir()
    closed.chmod(0o555)
    told = subprocess.run([sys.executable, "-c", AS_ANOTHER, str(closed)], capture_output=True, text=True, check=True)
    assert told.stdout == f"{closed}/a.html cannot be written: Permission denied\n"


AS_ANOTHER = """
import os, sys
from pathlib import Path
from netwright.files import RunError, replace_text
if os.getuid() == 0:
    os.chmod(Path(sys.argv[1]).parent, 0o755)
    os.setuid(54321)
try:
    replace_text(Path(sys.argv[1]) / "a.html", "new")
except RunError as error:
    print(error.problem)
"""


def _of_a_new_file(folder: Path) -> int:
    path = folder / "made by open"
    path.write_text("")
    return path.stat().st_mode


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="folder cannot be written: it is a folder"):
        replace_text(tmp_path / "folder", "")
    with pytest.raises(RunError, match="pipe cannot be written: it is not a regular file"):
        replace_text(tmp_path / "pipe", "")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_an_error_of_the_system_that_polars_reports_names_the_file(tmp_path: Path) -> None:
    told = "a.parquet cannot be written: No space left on device"
    with pytest.raises(RunError, match=told), whole(tmp_path / "a.parquet"):
        raise ComputeError("parquet: File out of specification: underlying IO error: x (os error 28)")
    with pytest.raises(ComputeError), whole(tmp_path / "a.parquet"):
        raise ComputeError("cannot cast")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere/a.txt cannot be written: No such file or directory"):
        replace_text(tmp_path / "nowhere" / "a.txt", "")


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from netwright.records.errors import RunError
from netwright.files import append_line, replace_tensors, replace_text
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write in (
    lambda: replace_text(folder / "scores.json", "x" * 100_000),
    lambda: replace_tensors(folder / "weights.safetensors", {"a": torch.zeros(100_000)}, {}),
    lambda: append_line(folder / "history.jsonl", "x" * 100_000),
):
    try:
        write()
    except RunError as error:
        print(error.problem)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes to set")
def test_a_file_that_grows_too_large_is_named_and_the_old_one_stays(tmp_path: Path) -> None:
    replace_text(tmp_path / "scores.json", "old")
    replace_tensors(tmp_path / "weights.safetensors", {"a": torch.ones(2)}, {})
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        f"{tmp_path}/{name} cannot be written: File too large"
        for name in ("scores.json", "weights.safetensors", "history.jsonl")
    ], done.stderr
    assert (tmp_path / "scores.json").read_text() == "old"
    assert read_tensors(tmp_path / "weights.safetensors")[0]["a"].tolist() == [1, 1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["history.jsonl", "scores.json", "weights.safetensors"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told_with_the_file_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"history\.jsonl cannot be written: No space left on device") as caught:
        append_line(tmp_path / "history.jsonl", "{}")
    assert caught.value.remedy == "free some space or choose another folder, then run the same command again."


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    tensors, header = {"b": torch.arange(3), "a": torch.ones(2, 2)}, {name: name for name in "zyxwvutsrq"}
    code = (
        "import sys, json, torch; from pathlib import Path; from netwright.files import replace_tensors\n"
        "tensors = {'b': torch.arange(3), 'a': torch.ones(2, 2)}\n"
        "replace_tensors(Path(sys.argv[1]), tensors, {name: name for name in 'zyxwvutsrq'})"
    )
    replace_tensors(tmp_path / "here", tensors, header)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True)
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.uint8])
def test_every_flipped_bit_of_tensors_is_noticed(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "a.safetensors"
    replace_tensors(path, {"a": torch.ones(2, 3).to(dtype), "none": torch.empty(0), "one": torch.tensor(1.0)}, {})
    good = path.read_bytes()
    start = int.from_bytes(good[:8], "little") + 8
    for place in range(start, len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :])
        with pytest.raises(RunError, match=r"a\.safetensors"):
            read_tensors(path)


def test_tensors_of_older_versions_have_no_digest_and_are_read(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", metadata={"format": "2"})
    tensors, header = read_tensors(tmp_path / "a.safetensors")
    assert (tensors["a"].tolist(), header) == ([1.0, 1.0], {"format": "2"})


def test_shapes_are_read_without_tensors(tmp_path: Path) -> None:
    replace_tensors(tmp_path / "a.safetensors", {"a": torch.ones(2, 3), "b": torch.tensor(1)}, {"x": "y"})
    shapes, header = read_shapes(tmp_path / "a.safetensors")
    assert (shapes, header["x"]) == ({"a": (2, 3), "b": ()}, "y")


def test_a_text_file_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "TEXT_BYTES", 10)
    (tmp_path / "a.json").write_text("0123456789")
    assert read_text(tmp_path / "a.json") == "0123456789"
    (tmp_path / "a.json").write_text("0123456789a")
    with pytest.raises(RunError, match=r"a\.json is longer than 10 bytes"):
        read_text(tmp_path / "a.json")


def test_a_file_that_one_has_locked_alone_is_locked_for_others_until_it_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    first, second = (tmp_path / "a").open("r+"), (tmp_path / "a").open("r+")
    with second:
        with first:
            lock_file(first, alone=True)
            for alone in (True, False):
                with pytest.raises((BlockingIOError, PermissionError)):
                    lock_file(second, alone=alone)
        lock_file(second, alone=True)
