from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from netwright.records.errors import RunError
from netwright.run_folder import seal
from netwright.run_folder.records import left
from netwright.run_folder.seal import (
    SEAL,
    Seal,
    done,
    keep,
    load_seal,
    require_intact,
    write_seal,
    write_tensors,
    write_texts,
)


class Killed(BaseException):
    """As by kill -9."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_texts(tmp_path, {"recipe.toml": "lr = 1\n", "scores.json": "{}\n"})
    write_tensors(tmp_path, "weights.safetensors", {"a": torch.ones(3)}, {"format": "2"})
    return tmp_path


def test_what_was_written_is_intact(folder: Path) -> None:
    require_intact(folder)
    assert load_seal(folder).files.keys() == {"recipe.toml", "scores.json", "weights.safetensors"}


@pytest.mark.parametrize("name", ["recipe.toml", "scores.json"])
def test_a_changed_file_is_named_with_a_way_out(folder: Path, name: str) -> None:
    (folder / name).write_text((folder / name).read_text() + " ")
    with pytest.raises(RunError, match=f"{name} is damaged, or was changed after the run was written") as caught:
        require_intact(folder)
    assert caught.value.remedy.startswith("restore it from a copy, or train again")
    assert ("--recipe FILE" in caught.value.remedy) == (name == "recipe.toml")


def test_weights_of_another_run_are_not_this_runs(folder: Path, tmp_path: Path) -> None:
    write_tensors(folder, "weights.safetensors", {"a": torch.zeros(3)}, {"format": "2"})
    theirs = (folder / "weights.safetensors").read_bytes()
    write_tensors(folder, "weights.safetensors", {"a": torch.ones(3)}, {"format": "2"})
    require_intact(folder)
    (folder / "weights.safetensors").write_bytes(theirs)
    with pytest.raises(RunError, match=r"weights\.safetensors is damaged"):
        require_intact(folder)


def test_a_missing_file_is_refused_unless_it_is_optional(folder: Path) -> None:
    (folder / "scores.json").unlink()
    require_intact(folder, optional=["scores.json"])
    with pytest.raises(RunError, match=r"scores\.json is missing"):
        require_intact(folder)


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Kills at the given number of writes from now."""
    when, real = [10**9], seal.replace_text

    def write(path: Path, text: str) -> None:
        when[0] -= 1
        if when[0] == 0:
            raise Killed
        real(path, text)

    monkeypatch.setattr(seal, "replace_text", write)
    yield when


@pytest.mark.parametrize("first", [1, 2, 3, 4])
@pytest.mark.parametrize("second", [1, 2, 3, 4])
def test_killed_between_any_two_writes_everything_is_still_one_of_those_written(
    folder: Path, killed_at: list[int], first: int, second: int
) -> None:
    for number, when in ((1, first), (2, second)):
        killed_at[0] = when
        with suppress(Killed):
            write_texts(folder, {"recipe.toml": f"lr = {number}\n", "scores.json": f"[{number}]\n"})
        require_intact(folder)
    killed_at[0] = 10**9
    write_texts(folder, {"recipe.toml": "last", "scores.json": "last"})
    require_intact(folder)
    (folder / "recipe.toml").write_text("lr = 1\n")  # an older one is not accepted for good
    with pytest.raises(RunError):
        require_intact(folder)


def test_a_file_that_was_written_line_by_line_is_kept_as_it_is(folder: Path) -> None:
    (folder / "history.jsonl").write_text("1\n")
    keep(folder, "history.jsonl")
    require_intact(folder)
    (folder / "history.jsonl").write_text("2\n")
    with pytest.raises(RunError, match=r"history\.jsonl"):
        require_intact(folder)


def test_stages_that_are_done_are_not_left(folder: Path) -> None:
    write_seal(folder, Seal(load_seal(folder).files, ("scores", "diagnosis")))
    assert left(folder) == ("scores", "diagnosis")
    done(folder, "scores")
    assert left(folder) == ("diagnosis",)
    done(folder, "scores", "diagnosis")
    assert left(folder) == ()


def test_a_result_whose_file_is_gone_is_left(folder: Path) -> None:
    (folder / "scores.json").unlink()
    assert left(folder) == ("scores",)
    (folder / "weights.safetensors").unlink()
    assert left(folder) == ()  # of a run that is not whole, training is left


def test_a_run_of_an_older_version_has_no_seal(tmp_path: Path) -> None:
    require_intact(tmp_path)
    assert load_seal(tmp_path) == Seal()
    assert not (tmp_path / SEAL).exists()


@pytest.mark.parametrize("name", ["../outside.json", "/etc/passwd", "..", ""])
def test_a_foreign_seal_names_no_file_outside_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.json").write_text("x")
    (tmp_path / "run").mkdir()
    write_seal(tmp_path / "run", Seal({name: ("0",)}))
    with pytest.raises(RunError, match="run"):
        require_intact(tmp_path / "run")


def test_a_broken_file_is_replaced_all_the_same(folder: Path) -> None:
    (folder / "scores.json").write_bytes(b"\xff")
    write_texts(folder, {"scores.json": "[]\n"})
    require_intact(folder)
