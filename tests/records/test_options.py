"""Words made of records: what Python functions and commands are made from."""

import inspect
from dataclasses import dataclass
from pathlib import Path

import pytest

import netwright as nw
from netwright.records.errors import NetwrightError, RecipeError
from netwright.records.options import option, options, worded
from netwright.records.source import Source


@dataclass(frozen=True)
class Looks:
    text: str = option("", "What to say.", is_argument=True)
    times: int = option(2, "How often.", low=1)
    to: str = option("", "Where to write it.", writes=True)
    loudly: bool = option(False, "Only for those who type.", in_python=False)
    inner: int = 0


def said(source: Source, looks: Looks, *, loud: bool = False) -> tuple[Source, Looks, bool]:
    """Says it."""
    return source, looks, loud


SAID = worded(said)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("t.csv", "l.csv"):
        (tmp_path / name).touch()


def test_words_find_their_records() -> None:
    source, looks, loud = SAID("t.csv", "hm", target="y", times=3, loud=True)
    assert source == Source("t.csv", ("y",))
    assert looks == Looks("hm", 3)
    assert loud


def test_a_record_is_taken_in_place_of_its_words_and_words_beside_it_change_it() -> None:
    source, looks, loud = SAID(Source("t.csv", ("y",)), drop=["a", "b"], labels=Path("l.csv"))
    assert source == Source("t.csv", ("y",), drop=("a", "b"), labels="l.csv")
    assert (looks, loud) == (Looks(), False)


def test_none_means_choose_for_me() -> None:
    assert SAID("t.csv", kinds=None, labels=None, times=None)[:2] == (Source("t.csv"), Looks())


def test_an_unknown_word_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"said\(\) has no option 'tmies'") as caught:
        SAID("t.csv", tmies=3)
    assert caught.value.remedy == "did you mean 'times'?"


def test_paths_and_ranges_are_checked() -> None:
    for words, told in (
        ({"data": "tt.csv"}, "did you mean 't.csv'?"),
        ({"data": "t.csv", "to": "no/x.txt"}, "its folder does not exist"),
        ({"data": "t.csv", "to": "."}, "it is a folder"),
        ({"data": "t.csv", "times": 0}, "times must be 1 or more, not 0"),
    ):
        with pytest.raises(NetwrightError) as caught:
            SAID(**words)
        assert told in str(caught.value)


def test_what_only_the_command_line_has_is_no_word_of_python() -> None:
    with pytest.raises(RecipeError, match="has no option 'loudly'"):
        SAID("t.csv", loudly=True)
    assert worded(said, is_typed=True)("t.csv", loudly=True)[1].loudly


def test_signature_and_docstring_are_made_from_the_records() -> None:
    parameters = inspect.signature(SAID).parameters
    assert list(parameters)[:3] == ["data", "text", "target"]
    assert parameters["times"].default == 2
    assert "inner" not in parameters and "is_labelled" not in parameters
    assert parameters["data"].default is inspect.Parameter.empty
    assert "times: How often." in str(SAID.__doc__)


def test_public_functions_tell_their_words() -> None:
    assert {"target", "by_time", "fixes", "against"} <= set(inspect.signature(nw.audit).parameters)
    assert "by_time: Column of times; the latest rows are the test part." in str(nw.audit.__doc__)


def test_what_a_source_says_is_what_differs_from_the_defaults() -> None:
    assert Source("t.csv", ("y",), by_time="day").said() == {"data": "t.csv", "target": ("y",), "by_time": "day"}
    assert [o.name for o in options(Source)][:2] == ["data", "target"]
