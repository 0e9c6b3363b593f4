import pytest

from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe, choices, settings


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
    assert "lr is 1e-07 to 10, not -1" in text
    assert "there is no activation 'rellu': did you mean 'relu'?" in text
    assert "epochs is a whole number, not 'many'" in text
    assert "netwright recipe" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 11.0])
def test_numbers_outside_their_range_cannot_be_built(value: float):
    with pytest.raises(RecipeError, match="lr is 1e-07 to 10"):
        Recipe(lr=value)


def test_an_import_path_is_always_a_choice():
    assert Recipe().edit({"optimizer": "my_package.optimizers:lion"}).optimizer == "my_package.optimizers:lion"


def test_a_value_of_the_wrong_type_is_told():
    with pytest.raises(RecipeError, match="batch_size is a whole number, not True"):
        Recipe().edit({"batch_size": True})


def test_every_setting_has_help_and_a_range_or_choices():
    free = {"layers", "mirror", "nesterov", "adapt"}  # a list of layers, and truth values
    for declared in settings():
        assert declared.metadata["help"]
        assert declared.name in free or choices(declared) or declared.metadata["high"] is not None, declared.name


def test_eight_hyperparameters_are_marked():
    eight = {s.name for s in settings() if s.metadata["eight"]}
    assert eight == {"lr", "batch_size", "depth", "width", "weight_decay", "dropout", "activation", "optimizer"}
