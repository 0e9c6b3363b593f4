"""What all tests share: a cache of their own, and the command line within this process."""

import os
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from netwright import cli


@dataclass(frozen=True)
class Outcome:
    code: int | str | None
    out: str
    err: str


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """What tests decode and measure stays out of the user's cache."""
    folder, before = tmp_path_factory.mktemp("cache"), os.environ.get("NETWRIGHT_CACHE")
    os.environ["NETWRIGHT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["NETWRIGHT_CACHE"]
    else:
        os.environ["NETWRIGHT_CACHE"] = before


@pytest.fixture
def netwright(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """`netwright("train", path, ...)`: exit code, standard output and standard error of the command."""

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["netwright", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return Outcome(end.value.code, said.out, said.err)

    return run
