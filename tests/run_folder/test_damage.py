"""Every file of a run, damaged or hostile: RunError, or the run as it was; in bounded time and memory."""

import json
import os
import random
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from tests.test_run_folder import finished

from netwright.files import replace_tensors
from netwright.records.errors import RunError
from netwright.records.run import Run
from netwright.run_folder import load, load_fixes, load_split
from netwright.run_folder.seal import SEAL
from netwright.training.weights import named

OPTIONAL = ("scores.json", "baselines.json")  # a result that is gone is made again


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finished(folder)
    return folder


NAMES = sorted(
    f"{name}{end}"
    for end, names in {
        ".json": ("origin", "schema", "task", "split", "outcome", "watched", "scores", "baselines", "digests"),
        ".toml": ("recipe",),
        ".jsonl": ("history",),
        ".safetensors": ("weights", "sample"),
    }.items()
    for name in names
)


def opened(folder: Path) -> Run:
    """The run, after all files of the folder were read."""
    load_split(folder)
    load_fixes(folder)
    return load(folder)


def loads_as(whole: Path, folder: Path) -> bool:
    """Whether the folder loads, as the run it was; False if it is refused with a remedy."""
    try:
        run = opened(folder)
    except RunError as error:
        assert error.remedy
        return False
    before = load(whole)
    theirs = named(before.network)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in named(run.network).items())
    for name in ("task", "schema", "recipe", "history", "watched", "notes", "source"):
        assert repr(getattr(run, name)) == repr(getattr(before, name)), name
    assert run.results.items() <= before.results.items()
    return True


def test_all_files_of_a_run_are_damaged_here(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_lost_a_byte_or_has_another_is_refused(whole: Path, tmp_path: Path, name: str) -> None:
    draw = random.Random(name)
    shutil.copytree(whole, tmp_path / "run")
    path = tmp_path / "run" / name
    good = path.read_bytes()
    places = sorted({0, len(good) - 1, *(draw.randrange(len(good)) for _ in range(12))})
    for place in places:
        path.write_bytes(good[:place])
        is_loaded = loads_as(whole, tmp_path / "run")
        assert not is_loaded or (name == SEAL and place == len(good) - 1), f"cut at {place}"
        path.write_bytes(good[:place] + bytes([good[place] ^ 1 << draw.randrange(8)]) + good[place + 1 :])
        is_loaded = loads_as(whole, tmp_path / "run")
        # A flip in a name of a digest, or in the padding of a header, may leave all that counts as it was.
        assert not is_loaded or name == SEAL or name.endswith(".safetensors"), f"flipped at {place}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "put",
    [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path.name)],
    ids=["folder", "pipe", "device", "loop"],
)
def test_what_is_no_regular_file_is_refused(
    whole: Path, tmp_path: Path, name: str, put: Callable[[Path], None]
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    put(tmp_path / "run" / name)
    assert not loads_as(whole, tmp_path / "run") or (name in OPTIONAL and (tmp_path / "run" / name).is_symlink())


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_refused_unless_all_else_is_known_without(whole: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    assert loads_as(whole, tmp_path / "run") == (name in (*OPTIONAL, SEAL))


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", [*NAMES, "."])
def test_what_may_not_be_read_is_refused(whole: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / name).chmod(0)
    try:
        with pytest.raises(RunError, match="Permission denied"):
            load(tmp_path / "run")
    finally:
        (tmp_path / "run" / name).chmod(0o700)


# A foreign folder has the digests of what it holds, or none.

HOSTILE = (
    None, True, -1, 0, 10**30, -(10**4000), 2**63, 1e308, float("nan"), float("inf"), "", "x" * 10_000, "\udcff", "\0",
    "../..", "os:abort", [], {}, [[]], {"": {}}, [0] * 1000,
)  # fmt: skip


def changed(record: Any) -> Iterator[Any]:
    """The record with each of its values replaced in turn by something hostile, and with each entry left out."""
    yield from HOSTILE
    places = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in places:
        for other in changed(value):
            if isinstance(record, dict):
                yield {**record, key: other}
            else:
                yield [*record[:key], other, *record[key + 1 :]]
        if isinstance(record, dict):
            yield {k: v for k, v in record.items() if k != key}
            yield {**record, f"{key}_": value}
            yield {**record, key * 1000: value}


def test_names_of_files_that_no_system_takes_are_refused(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    seal = json.loads((whole / SEAL).read_text())
    for name in ("x" * 10_000, "a\0b", "../" * 100 + "x", "/etc/passwd"):
        text = json.dumps({**seal, "files": {**seal["files"], name: ["0"]}})
        (tmp_path / "run" / SEAL).write_text(text)
        with pytest.raises(RunError, match="is missing"):
            opened(tmp_path / "run")


def refused_or_loaded(folder: Path) -> None:
    try:
        opened(folder)
    except RunError as error:
        assert error.remedy


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith((".json", ".jsonl"))])
def test_hostile_values_are_refused_or_harmless(whole: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / SEAL).unlink()
    record = json.loads((whole / name).read_text())
    records = list(changed(record))
    for other in random.Random(name).sample(records, min(80, len(records))):
        text = json.dumps(other) + "\n"
        (tmp_path / "run" / name).write_text(text)
        refused_or_loaded(tmp_path / "run")


def test_hostile_settings_are_refused_or_harmless(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / SEAL).unlink()
    record = tomllib.loads((whole / "recipe.toml").read_text())
    records = list(changed(record))
    for other in random.Random(0).sample(records, 120):
        try:
            text = tomli_w.dumps(other)
        except (TypeError, ValueError, AttributeError):  # what TOML cannot write
            continue
        (tmp_path / "run" / "recipe.toml").write_text(text, errors="surrogatepass")
        refused_or_loaded(tmp_path / "run")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(".safetensors")])
@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"1" + b"0" * 5000, b"NaN",
     b"\0" * 100, b'"\xed\xa0\x80"'],
    ids=["empty", "bytes", "deep", "deeper", "digits", "NaN", "zeros", "surrogate"],
)  # fmt: skip
def test_hostile_texts_are_refused(whole: Path, tmp_path: Path, name: str, content: bytes) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / SEAL).unlink()
    (tmp_path / "run" / name).write_bytes(content)
    if (name, content) == ("history.jsonl", b"") or (name == "history.jsonl" and b"\n" not in content):
        refused_or_loaded(tmp_path / "run")  # an unfinished line is a killed process's
    else:
        assert not loads_as(whole, tmp_path / "run")


@pytest.mark.parametrize(
    "settings", ["width = 16384\ndepth = 1000", "layers = [{dense = 1000000000000}]", "width = 16384\nmembers = 64"]
)
def test_a_recipe_of_a_network_beyond_all_memory_is_refused_before_it_is_built(
    whole: Path, tmp_path: Path, settings: str
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / SEAL).unlink()
    (tmp_path / "run" / "recipe.toml").write_text(settings)
    with pytest.raises(RunError, match="does not fit the network of its recipe"):
        load(tmp_path / "run")


@pytest.mark.parametrize("name", ["lr", "width"])
@pytest.mark.parametrize("value", ["1" + "0" * 4000, "-1" + "0" * 4000, "1e999", "nan"])
def test_a_setting_beyond_all_numbers_is_refused(whole: Path, tmp_path: Path, name: str, value: str) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "recipe.toml").write_text(f"{name} = {value}".replace("1e999", "inf"))
    with pytest.raises(RunError, match=rf"recipe\.toml: {name} must be "):
        load(tmp_path / "run")


def test_a_sample_that_is_none_is_refused(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / SEAL).unlink()
    for names in (["1"], ["0", "2"], ["a"], ["0", "00"]):
        replace_tensors(tmp_path / "run" / "sample.safetensors", {name: torch.ones(2) for name in names}, {})
        with pytest.raises(RunError, match=r"sample\.safetensors is not a sample of training rows"):
            load(tmp_path / "run")
