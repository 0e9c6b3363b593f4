from dataclasses import asdict, dataclass
from typing import Any

import pytest

from netwright.records.errors import RecipeError
from netwright.records.recipe import (
    GROUPS,
    NoOptions,
    Recipe,
    choices,
    code_of,
    early,
    flat,
    named_code,
    own_names,
    own_settings,
    setting,
    settings,
)


@dataclass(frozen=True)
class Forecast:
    """The own settings of a task."""

    horizon: int = setting(24, "steps ahead", low=1, high=1000)
    quantiles: tuple[Any, ...] = setting((0.1, 0.9), "shares of steps below the answer")
    link: str = setting("identity", "what outputs go through", table="netwright.models:ACTIVATIONS")


def test_text_is_read_as_the_type_of_the_setting():
    recipe = Recipe().edit({"lr": "3e-4", "batch_size": "64", "nesterov": "false", "augment": "flip, shift"})
    assert (recipe.lr, recipe.batch_size, recipe.nesterov, recipe.augment) == (3e-4, 64, False, ("flip", "shift"))


def test_layers_are_read_from_json():
    assert Recipe().edit({"layers": '[{"dense": 8}, "relu"]'}).layers == ({"dense": 8}, "relu")


def test_all_problems_are_told_at_once_with_the_nearest_name():
    with pytest.raises(RecipeError) as caught:
        Recipe().edit({"learning": 1, "drop_out": 0.1, "lr": -1.0, "activation": "rellu", "epochs": "many"})
    text = str(caught.value)
    assert "there is no setting 'drop_out': did you mean 'dropout'?" in text
    assert "there is no setting 'learning'" in text
    assert "lr must be 1e-07 to 10, not -1" in text
    assert "there is no activation 'rellu': did you mean 'relu'?" in text
    assert "epochs must be a whole number, not 'many'" in text
    assert "netwright recipe" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 11.0])
def test_numbers_outside_their_range_cannot_be_built(value: float):
    with pytest.raises(RecipeError, match="lr must be 1e-07 to 10"):
        Recipe(lr=value)


def test_an_import_path_is_always_a_choice():
    assert Recipe().edit({"optimizer": "my_package.optimizers:lion"}).optimizer == "my_package.optimizers:lion"


def test_a_value_of_the_wrong_type_is_told():
    with pytest.raises(RecipeError, match="batch_size must be a whole number, not True"):
        Recipe().edit({"batch_size": True})


def test_every_setting_has_help_and_a_range_or_choices():
    free = {"layers", "mirror", "nesterov", "adapt"}  # a list of layers, and truth values
    for declared in settings():
        assert declared.metadata["help"]
        assert declared.name in free or choices(declared) or declared.metadata["high"] is not None, declared.name


def test_eight_hyperparameters_are_marked():
    eight = {s.name for s in settings() if s.metadata["eight"]}
    assert eight == {"lr", "batch_size", "depth", "width", "weight_decay", "dropout", "activation", "optimizer"}


def test_every_setting_is_of_one_group_and_a_search_range_lies_within_its_range():
    assert {s.metadata["group"] for s in settings()} == {"model", "training", "machine"}
    searched = [s for s in settings() if s.metadata["search"]]
    assert searched
    for s in searched:
        low, high = s.metadata["search"]
        assert s.metadata["low"] <= low < high <= s.metadata["high"]


def test_a_recipe_of_sections_or_without_any_is_read_alike():
    recipe = Recipe(own=Forecast()).edit({"lr": 0.5, "horizon": 96, "layers": [{"dense": 3}]})
    sections = recipe.sections()
    assert tuple(sections) == GROUPS
    assert (sections["training"]["lr"], sections["model"]["width"], sections["task"]["horizon"]) == (0.5, 256, 96)
    assert Recipe(own=Forecast()).edit(flat(sections)) == recipe
    without = {name: value for name, value in asdict(recipe).items() if name != "own"} | asdict(recipe.own)
    assert Recipe(own=Forecast()).edit(flat(without)) == recipe
    assert tuple(Recipe().sections()) == GROUPS[:3]


def test_a_tasks_own_settings_have_flat_names_and_the_ranges_that_it_declares():
    recipe = Recipe(own=Forecast()).edit({"horizon": "96", "lr": "0.5", "quantiles": "[0.5]"})
    assert (recipe.lr, recipe.own) == (0.5, Forecast(96, (0.5,)))
    assert recipe.edit({"width": 8}).own == recipe.own
    with pytest.raises(RecipeError, match="horizon must be 1 to 1000, not 5000"):
        recipe.edit({"horizon": 5000})
    with pytest.raises(RecipeError, match="there is no setting 'horizons': did you mean 'horizon'"):
        recipe.edit({"horizons": 5})
    with pytest.raises(RecipeError, match="horizon must be 1 to 1000, not 0"):
        Recipe(own=Forecast(horizon=0))


def test_a_task_finds_its_own_settings_in_a_recipe_that_was_made_without_it():
    assert Recipe().of(Forecast) == Forecast()
    assert Recipe(own=Forecast(5)).of(Forecast) == Forecast(5)


def test_a_tasks_own_setting_has_no_name_of_another():
    @dataclass(frozen=True)
    class Greedy:
        lr: float = setting(0.1, "another rate", low=0.0, high=1.0)

    with pytest.raises(RecipeError, match="the task's own lr has the name of a setting"):
        Recipe(own=Greedy())


def test_unknown_names_are_errors_before_the_task_is_known_unless_it_may_be_the_users_own():
    assert early({"lr": "0.5"}).lr == 0.5
    for task in (None, "classification"):
        with pytest.raises(RecipeError, match="there is no setting 'horizon'") as caught:
            early({"horizon": 96, "lr": 11.0}, task)
        assert "lr must be 1e-07 to 10, not 11" in str(caught.value)  # all problems at once
    for task in ("my.module:Forecasting", Forecast):
        assert early({"horizon": 96, "lr": 0.5}, task) == Recipe(lr=0.5)
    assert set(own_names()) == {s.name for s in own_settings()}
    assert not set(own_names()) & {s.name for s in settings()}
    assert Recipe().own == NoOptions()


def test_code_is_found_in_a_recipe_however_deep_and_in_a_tasks_own_settings():
    layers = [{"residual": [{"dense": 8}, "mine:f"]}]
    recipe = Recipe(own=Forecast()).edit({"layers": layers, "loss": "mine:g", "link": "mine:h"})
    assert set(code_of(recipe)) == {"layers = 'mine:f'", "loss = 'mine:g'", "link = 'mine:h'"}
    given = {"loss": "mine:g", "link": "mine:h", "format": "%H:%M", "at": "12:30", "horizon": 3}
    assert set(named_code(given)) == {"loss = 'mine:g'", "link = 'mine:h'"}
