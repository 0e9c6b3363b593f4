"""Ways to harden a network."""

from netwright.defenses import DEFENSES
from netwright.defenses.methods import METHODS
from netwright.models import GUARDS
from netwright.records.recipe import Recipe


def test_every_defense_and_every_guard_has_a_method_and_every_edit_is_one_of_a_recipe() -> None:
    recipes = {name: Recipe().edit(method.edits(0.1, "2")) for name, method in METHODS.items()}
    assert {defense for recipe in recipes.values() for defense in recipe.defense} == set(DEFENSES)
    assert {name for recipe in recipes.values() for name in recipe.guard} == set(GUARDS)
    assert all(recipe.defense_norm == "2" for recipe in recipes.values())


def test_exactly_the_guards_are_lessons() -> None:
    assert {name for name, method in METHODS.items() if method.is_lesson} == set(GUARDS)


def test_the_reach_goes_where_a_method_follows_it() -> None:
    smoothing = METHODS["smoothing"]
    assert Recipe().edit(smoothing.edits(0.3, "inf")).smoothing == 0.3
    assert Recipe().edit(smoothing.edits(0.0, "inf")).smoothing > 0
    assert METHODS["adversarial"].edits(0.0, "inf").get("defense_eps", 0.0) == 0.0
