"""Command line and Python are made from the same options; what can still differ is what each alone has."""

import inspect
from dataclasses import Field

import click
import pytest

import netwright as nw
from netwright import cli
from netwright.public import verb, verbs
from netwright.records.options import words

TYPED_ALONE = {"fail_on", "command"}  # the exit code, and the words themselves
OF_PYTHON_ALONE = {"show", "report"}  # objects, which cannot be typed


@pytest.mark.parametrize("name", verbs())
def test_every_word_of_a_verb_is_an_option_and_a_parameter(name: str) -> None:
    spoken = set(inspect.signature(getattr(nw, name)).parameters)
    typed = {param.name for param in cli.command(name).params if not getattr(param, "hidden", False)}
    assert spoken - typed == spoken & OF_PYTHON_ALONE
    assert typed - spoken <= TYPED_ALONE | {"is_json", "quiet"}


@pytest.mark.parametrize("name", verbs())
def test_every_option_has_help_and_a_word_of_its_own(name: str) -> None:
    for word in words(verb(name)).values():
        assert not isinstance(word, Field) or word.metadata["help"].endswith((".", "...")), word.name
    flags = [flag for param in cli.command(name).params for flag in (*param.opts, *param.secondary_opts)]
    assert len(flags) == len(set(flags))


def test_old_flags_are_hidden_and_name_the_verb_that_they_have_become() -> None:
    hidden = {param.name for name in ("audit", "diagnose") for param in cli.command(name).params if _is_hidden(param)}
    assert hidden == {"fix_file", "prove", "count", "to", "settings", "treat", "codes", "seeds"}


def _is_hidden(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and param.hidden
