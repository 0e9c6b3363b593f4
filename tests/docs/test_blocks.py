"""Every code block of the README and the guides is run, in the order of the page, in a folder with the demo's data."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = {"text", "toml"}  # pictures of folders and files, no commands
SETS_UP = ("make ", "git clone", "pip install", ". .venv/")  # what a test cannot do inside its own environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("docs")
    subprocess.run(
        [sys.executable, ROOT / "examples" / "demo_data.py", where / "demo"], check=True, capture_output=True
    )
    return where


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_the_page_runs_and_says_what_the_page_says(page: Path, folder: Path):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks, f"{page.name} has no code block"
    for language, text in blocks:
        if language == "python":
            _run([sys.executable, "-W", "error", "-c", text], folder)
        elif language == "console":
            _run_console(text, folder)
        else:
            assert language in NOT_RUN, f"{page.name}: no test knows how to run a {language!r} block"


def _run_console(text: str, folder: Path) -> None:
    """Lines behind `$` are commands, the others what they print; `...` stands for any lines."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.replace("\\\n", " ").partition("\n")  # a command may go on in the next line
        if command.startswith(SETS_UP):
            continue
        words = shlex.split(command)
        if words[0] == "netwright":
            words = [sys.executable, "-c", "from netwright.cli import main; main()", *words[1:]]
        printed = _run(words, folder, fails=expected.startswith("error:"))
        _assert_alike(expected.strip(), printed.strip())


def _run(words: list[str], folder: Path, *, fails: bool = False) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("examples", "src"))}
    result = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment)
    assert (result.returncode == 2) if fails else (result.returncode == 0), result.stdout + result.stderr
    return result.stderr + result.stdout


def _assert_alike(expected: str, printed: str) -> None:
    """The same words in the same order; numbers may differ between machines, and `...` skips lines."""
    pieces = [words for piece in expected.split("...") if (words := _words(piece))]
    rest = _words(printed)
    for piece in pieces:
        assert piece in rest, f"the page says\n{piece}\nbut this was printed:\n{rest}"
        rest = rest.partition(piece)[2]


def _words(text: str) -> str:
    """Text with every number as `#` and white space and marks of the best epoch as one blank."""
    return " ".join(re.sub(r"[-+]?\d[\d.,:]*(e[-+]?\d+)?", "#", text).replace("*", " ").split())
