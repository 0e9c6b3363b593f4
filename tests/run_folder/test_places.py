from pathlib import Path

import pytest

from netwright.run_folder.lock import locked
from netwright.run_folder.places import named_after, next_locked
from netwright.run_folder.seal import Seal, write_seal

ORIGIN = (
    '{"format": 2, "data": "", "fingerprint": {"bytes": 1, "modified": 0.0, "digest": ""}, "versions": {}, '
    '"command": ["train", "people.csv"], "parent": "", "reading": {}}'
)


def chosen(first: Path, *command: str) -> str:
    with next_locked(first, command=command) as folder:
        return folder.name


def whole(folder: Path, *left: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "origin.json").write_text(ORIGIN)
    (folder / "weights.safetensors").write_bytes(b"")
    write_seal(folder, Seal(left=left))


@pytest.mark.parametrize(
    ("data", "name"), [("data/people.csv", "people"), ("my photos/", "my_photos"), ("/", "run"), ("a.b c.csv", "a.b_c")]
)
def test_a_folder_is_named_after_the_data(data: str, name: str, tmp_path: Path) -> None:
    assert named_after(data, under=tmp_path) == tmp_path / name
    assert named_after("_x_.csv") == Path("runs/x")


def test_the_first_folder_without_a_whole_run_is_taken_from_two_on_numbered(tmp_path: Path) -> None:
    for name in ("people", "people-2", "people-3"):
        assert chosen(tmp_path / "people") == name
        assert not (tmp_path / name).exists()
        (tmp_path / name).mkdir()
        (tmp_path / name / "resume.safetensors").write_bytes(b"")
        assert chosen(tmp_path / "people") == name  # interrupted training resumes
        whole(tmp_path / name)


def test_a_folder_that_another_process_writes_is_passed_over(tmp_path: Path) -> None:
    told = list[str]()
    with locked(tmp_path / "people"), next_locked(tmp_path / "people", told.append) as second:
        assert second == tmp_path / "people-2"
        with next_locked(tmp_path / "people") as third:
            assert third == tmp_path / "people-3"
    assert len(told) == 1
    assert "people is being written by process" in told[0]
    assert told[0].endswith("taking the next number")


def test_a_whole_run_is_taken_again_only_by_the_command_that_left_a_stage_undone(tmp_path: Path) -> None:
    whole(tmp_path / "people", "diagnosis")
    assert chosen(tmp_path / "people", "train", "people.csv") == "people"
    assert chosen(tmp_path / "people", "train", "people.csv", "--set=lr=1") == "people-2"
    whole(tmp_path / "people")
    assert chosen(tmp_path / "people", "train", "people.csv") == "people-2"


def test_a_broken_run_is_passed_over(tmp_path: Path) -> None:
    whole(tmp_path / "people", "diagnosis")
    (tmp_path / "people" / "digests.json").write_text("[")
    assert chosen(tmp_path / "people", "train", "people.csv") == "people-2"
