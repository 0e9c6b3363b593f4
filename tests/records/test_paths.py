import os
import socket
from pathlib import Path

import pytest

from netwright.records.errors import DataError
from netwright.records.paths import open_regular, real, spelled, stat_of

NAMES = [
    b"plain.png", b"\xff\xfe.png", b"\xe9t\xe9", b"\\xff.png", b"\\\\xe9", b"\\x5cxe9", b"AC\\DC", b"\\x",
    b"\xe2\x82\xac", b"\\x5c\\xff\xff",
]  # fmt: skip


def test_every_name_becomes_valid_text_and_comes_back() -> None:
    spellings = [spelled(os.fsdecode(name)) for name in NAMES]
    for name, text in zip(NAMES, spellings, strict=True):
        assert text.encode().decode() == text
        assert os.fsencode(real(text)) == name
    assert len(set(spellings)) == len(NAMES)


def test_only_names_with_other_bytes_or_what_looks_like_them_change() -> None:
    assert spelled("AC\\DC/ü.png") == "AC\\DC/ü.png"
    assert spelled(os.fsdecode(b"\xe9t\xe9")) == r"\xe9t\xe9"


def test_pipes_sockets_devices_folders_and_links_to_them_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        for path, what in (("pipe", "a pipe"), ("link", "a device"), ("s", "a socket"), (".", "a folder")):
            with pytest.raises(OSError, match=f"it is {what}, not a regular file"):
                open_regular(tmp_path / path)


def test_a_link_to_a_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"x"


def test_a_path_that_the_system_does_not_take_is_an_error_and_one_with_nothing_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    assert stat_of(tmp_path / "file") is not None
    assert stat_of(tmp_path / "nothing") is stat_of(tmp_path / "file" / "below") is None
    for path in (tmp_path / "loop", tmp_path / ("x" * 5000), "a\0b"):
        with pytest.raises(DataError) as raised:
            stat_of(path)
        assert len(raised.value.problem) < 300
        assert raised.value.remedy == "correct the path."
