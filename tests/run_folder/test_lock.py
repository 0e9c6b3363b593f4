import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netwright.records.errors import RunError
from netwright.run_folder import lock
from netwright.run_folder.lock import LOCK, InUse, locked

HOLD = """
import sys, time
from pathlib import Path
from netwright.run_folder.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "run"),
        pytest.raises(InUse, match=rf"run is being written by process {os.getpid()} on .+ since 20\d\d-"),
        locked(tmp_path / "run"),
    ):
        pass


def test_the_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    with locked(tmp_path / "runs" / "a") as folder:
        assert folder == tmp_path / "runs" / "a"
        assert [path.name for path in folder.iterdir()] == [LOCK]
    assert not list(tmp_path.iterdir())  # folders that stay empty go too
    with locked(tmp_path / "runs" / "a") as folder:
        (folder / "origin.json").write_text("")
    assert [path.name for path in folder.iterdir()] == ["origin.json"]
    with locked(tmp_path / "runs" / "a"):  # and it can be taken again
        pass


def test_the_lock_of_another_living_process_holds_and_that_of_a_killed_one_does_not(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        with pytest.raises(InUse, match=f"process {first.pid} on "), locked(tmp_path / "run"):
            pass
        first.kill()
    assert (tmp_path / "run" / LOCK).exists()
    with locked(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / LOCK).read_text())["pid"] == os.getpid()


def test_a_lock_file_that_was_removed_and_made_again_does_not_lock_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One opens the file, its owner removes it, a third makes a new one: the first must not hold the removed one."""
    real, calls = lock.lock_file, list[str]()

    def slow(file: object, *, alone: bool) -> None:
        if not calls:
            calls.append("")
            (tmp_path / LOCK).unlink()
            (tmp_path / LOCK).write_text("")
        real(file, alone=alone)  # type: ignore[arg-type]  a file

    monkeypatch.setattr(lock, "lock_file", slow)
    with locked(tmp_path), (tmp_path / LOCK).open("r+") as file, pytest.raises(BlockingIOError):
        real(file, alone=True)


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, *, alone: bool) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "lock_file", refuse)
    told = list[str]()
    with locked(tmp_path / "run", told.append):
        pass
    assert told == [
        f"{tmp_path / 'run'} cannot be locked (No locks available): let no other process write to it meanwhile"
    ]


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"pid": "x", "host": 1, "since": 2}', "[" * 999, "\udcff"])
def test_a_holder_that_did_not_write_its_name_is_another_process(tmp_path: Path, text: str) -> None:
    with locked(tmp_path):
        (tmp_path / LOCK).write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(InUse, match="by another process"), locked(tmp_path):
            pass


def test_no_link_pipe_or_folder_is_taken_for_the_lock(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    for name, make in (
        ("link", lambda path: path.symlink_to(tmp_path / "victim")),
        ("pipe", os.mkfifo),
        ("folder", Path.mkdir),
    ):
        (tmp_path / name).mkdir()
        make(tmp_path / name / LOCK)
        with pytest.raises(RunError), locked(tmp_path / name):
            pass
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_file_cannot_be_locked_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_text("")
    with pytest.raises(RunError, match=r"cat\.jpg is a file"), locked(tmp_path / "cat.jpg"):
        pass
    with pytest.raises(RunError, match="cannot be written: Not a directory"), locked(tmp_path / "cat.jpg" / "run"):
        pass
