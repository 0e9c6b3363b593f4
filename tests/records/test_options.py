"""Words made of records: what Python functions and commands are made from."""

import inspect
from dataclasses import dataclass
from pathlib import Path

import pytest

import netwright as nw
from netwright.records.errors import RecipeError
from netwright.records.options import option, options, worded
from netwright.records.source import Source


@dataclass(frozen=True)
class Looks:
    text: str = option("", "What to say.", is_argument=True)
    times: int = option(2, "How often.")
    inner: int = 0


def said(source: Source, looks: Looks, *, loud: bool = False) -> tuple[Source, Looks, bool]:
    """Says it."""
    return source, looks, loud


SAID = worded(said)


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


def test_signature_and_docstring_are_made_from_the_records() -> None:
    parameters = inspect.signature(SAID).parameters
    assert list(parameters)[:3] == ["data", "text", "target"]
    assert parameters["times"].default == 2
    assert "inner" not in parameters and "is_labelled" not in parameters
    assert parameters["data"].default is inspect.Parameter.empty
    assert "times: How often." in str(SAID.__doc__)


def test_public_functions_tell_their_words() -> None:
    assert {"target", "by_time", "fixes", "against"} <= set(inspect.signature(nw.audit).parameters)
    assert "by_time: The latest rows are the test part." in str(nw.audit.__doc__)


def test_what_a_source_says_is_what_differs_from_the_defaults() -> None:
    assert Source("t.csv", ("y",), by_time="day").said() == {"data": "t.csv", "target": ("y",), "by_time": "day"}
    assert [o.name for o in options(Source)][:2] == ["data", "target"]
