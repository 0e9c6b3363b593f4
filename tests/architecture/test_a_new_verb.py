"""A verb is one file and one line: nothing else is needed for help, options, text, JSON, an exit code and Python."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import netwright as nw
from netwright.verbs import VERBS

FILE = '''
"""Counts rows."""

from dataclasses import dataclass

from netwright.records.options import fail_option, option
from netwright.records.source import Source


@dataclass(frozen=True)
class Options:
    """What to count."""

    least: int = option(1, "Fewer rows are a failure.", low=0)
    how: str = option("rows", "What is counted.", choices=("rows", "columns"))
    fail_on: str = fail_option()


@dataclass(frozen=True)
class Count:
    count: int
    least: int

    def __str__(self):
        return f"{self.count} found"

    def record(self):
        return {"count": self.count}

    def sections(self):
        return ()

    def fails(self, severity):
        return self.count < self.least


def count(source: Source, options: Options, tell) -> Count:
    """Count the rows of DATA: nothing more.

    In Python, DATA may be anything.
    """
    from netwright.data.read import read

    table = read(source).table
    tell("counting")
    return Count(table.height if options.how == "rows" else table.width, options.least)
'''


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "counting").mkdir()
    (tmp_path / "counting" / "__init__.py").touch()
    (tmp_path / "counting" / "count.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(VERBS["data"], "count", "counting.count:count")
    (tmp_path / "people.csv").write_text("age,town\n1,Bonn\n2,Oslo\n3,Rome\n")
    return tmp_path / "people.csv"


def test_it_is_in_the_help_with_its_options(people: Path, netwright: Callable) -> None:
    assert "count  Count the rows of DATA." in netwright("--help").out
    told = netwright("count", "--help").out
    for text in (
        "--least INTEGER",
        "Fewer rows are a failure.",
        "[rows|columns]",
        "--target COLUMN",
        "--json",
        "--quiet",
    ):
        assert text in told
    assert "In Python" not in told


def test_it_prints_gives_json_and_an_exit_code(people: Path, netwright: Callable) -> None:
    assert netwright("count", people).out == "3 found\n"
    assert netwright("count", people, "--drop", "age", "--how", "columns", "--quiet").out == "1 found\n"
    few = netwright("count", people, "--json", "--least", 4)
    assert (few.code, json.loads(few.out)) == (1, {"count": 3})
    assert netwright("count", people, "--least", 4, "--fail-on", "never").code == 0


def test_its_words_are_checked_alike_in_both(people: Path, netwright: Callable) -> None:
    wrong = netwright("count", people, "--least", -1)
    assert (wrong.code, wrong.err) == (2, "error: least must be 0 or more, not -1\n  fix: choose a larger number.\n")
    assert netwright("count", people.with_name("peopel.csv")).err.endswith(f"did you mean '{people}'?\n")
    with pytest.raises(nw.NetwrightError, match="least must be 0 or more, not -1"):
        nw.count(people, least=-1)
    with pytest.raises(nw.NetwrightError, match="there is no how 'row'"):
        nw.count(people, how="row")
    with pytest.raises(nw.NetwrightError, match=r"count\(\) has no option 'leest'"):
        nw.count(people, leest=2)


def test_it_is_a_function_in_python(people: Path) -> None:
    heard: list[object] = []
    found = nw.count(people, least=4, drop="age", show=heard.append)
    assert (found.count, found.fails("warning"), heard) == (3, True, ["counting"])
    assert nw.count(nw.Source(people)).count == 3
    assert "least: Fewer rows are a failure." in nw.count.__doc__
