from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from netwright.checks.evidence import Skip
from netwright.checks.robustness import masking
from netwright.checks.robustness.masking import Signs
from netwright.records.finding import Finding

HONEST = Signs(
    count=200, right=196, left=13, values=64,
    pgd=20, margin=16, transfer=60, hidden=(7,), whole=(0, 190), flat=(), doubled=0,
    curve=((0.1, 0.6), (0.2, 0.05), (1.0, 0.0)), planted=(31, 32),
)  # fmt: skip
Check = Callable[[Signs], Iterator[Finding]]

SICK: dict[Check, dict[str, object]] = {
    masking.transfer_wins: {"transfer": 12},
    masking.whole_range: {"whole": (24, 190)},
    masking.search_wins: {"hidden": (3, 4, 5)},
    masking.losses_disagree: {"pgd": 190},
    masking.no_gradients: {"flat": (1, 2, 3, 4)},
    masking.random_answers: {"is_random": True},
    masking.not_converged: {"doubled": 4},
    masking.not_monotone: {"curve": ((0.1, 0.05), (0.2, 0.15))},
    masking.planted_missed: {"planted": (10, 32)},
}


@pytest.mark.parametrize("check", SICK, ids=lambda check: check.__name__)
def test_each_sign_is_found_where_it_shows_and_not_in_an_honest_attack(check: Check):
    assert not list(check(HONEST))
    (found,) = check(replace(HONEST, **SICK[check]))
    assert found.severity == "warning" and found.remedies


@pytest.mark.parametrize("check", [c for c in SICK if c is not masking.random_answers], ids=lambda c: c.__name__)
def test_what_was_not_measured_is_skipped_with_a_reason(check: Check):
    with pytest.raises(Skip, match=r"\w"):
        list(check(Signs(count=200, right=196, left=13, values=64)))


def test_a_few_values_can_be_searched_honestly():
    with pytest.raises(Skip, match="10 values can be searched"):
        list(masking.search_wins(replace(HONEST, hidden=(1, 2, 3), values=10)))


def test_one_row_is_no_sign():
    few = Signs(
        values=64,
        count=10,
        right=10,
        left=1,
        pgd=3,
        margin=2,
        transfer=2,
        hidden=(1,),
        whole=(1, 9),
        flat=(1,),
        doubled=1,
    )
    checks = [c for c in SICK if c not in (masking.random_answers, masking.not_monotone, masking.planted_missed)]
    assert not [found for check in checks for found in check(few)]


def test_the_attack_surface_is_what_stays_right_of_what_was_right():
    (found,) = masking.attack_surface(HONEST)
    assert found.summary == "13 of 196 right answers stay right"
    assert not list(masking.attack_surface(replace(HONEST, left=150)))
