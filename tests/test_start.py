import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ENTRY = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["scripts"]["netwright"]
START = """
import os
import signal
import sys
from importlib import import_module

module, name = sys.argv.pop(1).split(":")
awaited, _, function = sys.argv.pop(1).partition(":")


class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == awaited and function:
            sys.setprofile(call)
        elif name == awaited:
            os.kill(os.getpid(), signal.SIGINT)


def call(frame, event, argument):
    if event == "call" and frame.f_code.co_name == function:
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Interrupt())
signal.signal(signal.SIGINT, {"default": signal.default_int_handler, "ignored": signal.SIG_IGN}[sys.argv.pop(1)])
getattr(import_module(module), name)()
"""


def started(awaited: str, handler: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """The command line, sent Ctrl-C when it imports a module, or first calls a function of a name from then on."""
    command = [sys.executable, "-c", START, ENTRY, awaited, handler, *words]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("awaited", ["netwright.cli", "click", "netwright.machine.interrupts", "netwright.public"])
def test_ctrl_c_while_modules_are_imported_ends_with_its_code_and_one_line(awaited: str) -> None:
    done = started(awaited, "default", "--help")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, b"", b"\n")


@pytest.mark.parametrize("awaited", ["netwright.verbs.audit", "netwright.verbs.audit:__set_name__"])
def test_ctrl_c_while_a_verb_is_imported_does_so_too(awaited: str) -> None:
    done = started(awaited, "default", "audit", "no.csv")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, b"", b"\n")


def test_a_ctrl_c_that_the_shell_ignores_stays_ignored() -> None:
    done = started("click", "ignored", "--version")
    assert (done.returncode, done.stderr) == (0, b"")
