"""Ways to harden a network."""

from netwright.defenses import DEFENSES
from netwright.defenses.methods import METHODS
from netwright.models import GUARDS
from netwright.records.hardened import Defended
from netwright.records.recipe import Recipe
from netwright.stages.hardening import cheapest_of_the_best


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


def test_of_defenses_that_hold_alike_the_cheapest_is_best() -> None:
    rows = [
        Defended("fast", "", {"all": 0.6, "cost": 5.0}, (0.54, 0.66)),
        Defended("adversarial", "", {"all": 0.73, "cost": 8.0}, (0.67, 0.78)),
        Defended("adversarial_ensemble", "", {"all": 0.74, "cost": 39.0}, (0.68, 0.79)),
    ]
    assert cheapest_of_the_best(rows, is_share=True) == "adversarial"
    assert cheapest_of_the_best(rows, is_share=False) == "fast"
