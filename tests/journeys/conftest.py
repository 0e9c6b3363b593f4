"""The command line within this process, so that torch is imported once."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from netwright import cli


@dataclass(frozen=True)
class Outcome:
    code: int | str | None
    out: str
    err: str


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
