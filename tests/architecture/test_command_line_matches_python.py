import inspect

import pytest

import netwright
from netwright import cli

NOT_A_STAGE = {"recipe", "rule"}  # explain settings and findings; in Python those are docstrings


def test_every_verb_of_the_command_line_is_a_function_of_the_same_name():
    for verb in cli.netwright.commands:
        assert verb in NOT_A_STAGE or callable(getattr(netwright, verb)), verb


@pytest.mark.parametrize("verb", ["audit", "train"])
def test_every_option_of_a_verb_is_a_parameter_of_its_function(verb: str):
    # what differs by nature: many `--kind a=b` become one dictionary, files become what they hold
    words = {
        "kind": "kinds",
        "recipe_file": "settings",
        "quiet": "show",
        "is_json": "show",
        "fail_on": "show",
        "page_file": "page",
    }
    # an audit's own follow-ups, each a function in Python
    stages = (
        {}
        if verb != "audit"
        else {
            "settings": "prove",
            "fix_file": "write_fixes",
            "prove": "prove",
            "count": "next_labels",
            "to": "next_labels",
        }
    )
    parameters = set(inspect.signature(getattr(netwright, verb)).parameters)
    for option in cli.netwright.commands[verb].params:
        if (stage := stages.get(str(option.name))) is not None:
            assert callable(getattr(netwright, stage))
            continue
        assert words.get(str(option.name), option.name) in parameters, option.name
