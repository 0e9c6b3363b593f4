import inspect

import netwright
from netwright import cli

NOT_A_STAGE = {"recipe"}  # explains settings; in Python that is help(netwright.Recipe)


def test_every_verb_of_the_command_line_is_a_function_of_the_same_name():
    for verb in cli.netwright.commands:
        assert verb in NOT_A_STAGE or callable(getattr(netwright, verb)), verb


def test_every_option_of_train_is_a_parameter_of_the_function_train():
    # what differs by nature: many `--kind a=b` become one dictionary, files become what they hold
    words = {"kind": "kinds", "recipe_file": "settings", "quiet": "show", "is_json": "show"}
    parameters = set(inspect.signature(netwright.train).parameters)
    for option in cli.netwright.commands["train"].params:
        assert words.get(str(option.name), option.name) in parameters, option.name
