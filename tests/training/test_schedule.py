import math

import pytest

from netwright.records.recipe import Recipe
from netwright.training.schedule import constant, cosine, flat_cosine, one_cycle, plateau, schedule, triangular


def test_warmup_rises_linearly_and_its_first_step_is_above_zero() -> None:
    assert [constant(step, 100, 0.04) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_constant_and_plateau_keep_the_peak() -> None:
    assert {constant(step, 10, 0.0) for step in range(10)} == {plateau(step, 10, 0.0) for step in range(10)} == {1.0}


def test_cosine_is_at_half_its_height_in_the_middle_of_the_fall() -> None:
    assert cosine(60, 100, 0.2) == pytest.approx(0.5)
    assert cosine(99, 100, 0.0) == pytest.approx((1 + math.cos(math.pi * 0.99)) / 2)


def test_flat_cosine_keeps_the_peak_for_half_of_the_steps() -> None:
    assert {flat_cosine(step, 100, 0.0) for step in range(51)} == {1.0}
    assert flat_cosine(75, 100, 0.0) == pytest.approx(0.5)


def test_one_cycle_peaks_after_three_tenths_or_the_longer_warmup() -> None:
    assert one_cycle(0, 100, 0.0) == pytest.approx(1 / 25)
    assert one_cycle(30, 100, 0.05) == one_cycle(60, 100, 0.6) == 1.0


def test_triangular_rises_and_falls_on_straight_lines() -> None:
    rates = [triangular(step, 100, 0.05) for step in range(100)]
    assert rates[:20] == pytest.approx([n / 20 for n in range(1, 21)])
    assert rates[20:] == pytest.approx([n / 80 for n in range(80, 0, -1)])


def test_triangular_takes_the_longer_warmup() -> None:
    assert triangular(49, 100, 0.5) == triangular(50, 100, 0.5) == 1.0


def test_schedule_scales_by_the_peak_and_keeps_the_last_rate() -> None:
    rate = schedule(Recipe(lr=0.3, schedule="cosine", warmup=0.0), 10)
    assert rate(0) == 0.3
    assert rate(25) == rate(9) > 0


def test_schedule_of_ones_own_is_an_import_path() -> None:
    assert schedule(Recipe(schedule="netwright.training.schedule:constant", warmup=0.0, lr=0.5), 10)(3) == 0.5


def test_every_schedule_is_its_formula_at_every_step() -> None:
    def fall(share: float) -> float:
        return (1 + math.cos(math.pi * share)) / 2

    steps = range(20)
    rise = [0.25, 0.5, 0.75] + [1.0] * 17  # warmup of 0.2: four steps
    assert [constant(n, 20, 0.2) for n in steps] == [plateau(n, 20, 0.2) for n in steps] == rise
    assert [cosine(n, 20, 0.2) for n in steps] == pytest.approx([rise[n] * fall(max(0, n - 4) / 16) for n in steps])
    flat = [rise[n] * fall(max(0, n - 10) / 10) for n in steps]
    assert [flat_cosine(n, 20, 0.2) for n in steps] == pytest.approx(flat)
    assert flat_cosine(17, 20, 0.7) == pytest.approx(fall(3 / 6))
    up = [1 / 25 + 24 / 25 * (1 - math.cos(math.pi * n / 6)) / 2 for n in range(6)]  # 0.3 of 20 steps
    assert [one_cycle(n, 20, 0.2) for n in steps] == pytest.approx(up + [fall((n - 6) / 14) for n in range(6, 20)])
    assert [triangular(n, 20, 0.1) for n in steps] == pytest.approx([min((n + 1) / 4, (20 - n) / 16) for n in steps])


def test_a_rise_of_less_than_a_step_is_none() -> None:
    assert constant(0, 10, 0.05) == 1.0


def test_a_training_of_one_step_is_at_its_peak() -> None:
    assert schedule(Recipe(lr=0.3, schedule="cosine", warmup=0.0), 1)(0) == 0.3
