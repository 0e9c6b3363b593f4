from datetime import timedelta

import numpy as np
import pytest
from tests.sick import series as sick

from netwright.checks.data.shifts import level_shifts
from netwright.records.finding import Finding

DAY = timedelta(days=1)
STEPS = np.arange(1_400)


def _found(values: np.ndarray) -> list[Finding]:
    return list(level_shifts(sick.raw(np.atleast_2d(values), every=DAY)))


def _random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_lasting_jump_is_found_at_its_step() -> None:
    values = 20 + _random().normal(size=(3, 1_400))
    values[1, 803:] += 9
    (found,) = _found(values)
    assert found.severity == "warning"
    assert "1 jump of 1 of 3 series (p1) in load: the level of load of p1 goes from 19.99" in found.summary
    assert found.places[0] == f"x.csv, line {1_400 + 803 + 2}"


def test_a_lasting_change_of_scale_is_found() -> None:
    values = _random().normal(size=(1, 1_400))
    values[0, 700:] *= 8
    (found,) = _found(values)
    assert "the scale of load goes from" in found.summary


def test_jumps_of_many_series_at_one_time_are_one_finding_with_that_time() -> None:
    values = 20 + _random().normal(size=(40, 1_400))
    values[:30, 700:] += 15
    (found,) = _found(values)
    assert found.summary.startswith("30 jumps of 30 of 40 series")
    assert "30 of them at 2025-01-29" in found.summary


@pytest.mark.parametrize(
    "healthy",
    {
        "noise": _random().normal(size=(30, 1_400)),
        "trend": STEPS * 0.05 + _random().normal(size=(30, 1_400)),
        "year": 10 * np.sin(STEPS * 2 * np.pi / 365) + _random().normal(size=(30, 1_400)),
        "week": 10.0 * (STEPS % 7 > 4) + _random().normal(size=(30, 1_400)),
        "walk": _random().normal(size=(30, 1_400)).cumsum(1),
        "intermittent": _random().poisson(0.2, (30, 1_400)) * _random().geometric(0.2, (30, 1_400)) * 1.0,
        "growth": np.exp(STEPS / 400) * (10 + _random().normal(size=(30, 1_400))),
    }.items(),
    ids=lambda case: case[0],
)
def test_healthy_series_have_no_jump(healthy: tuple[str, np.ndarray]) -> None:
    assert not _found(healthy[1])


def test_a_burst_that_ends_is_no_shift() -> None:
    values = 20 + _random().normal(size=(1, 1_400))
    values[0, 600:650] += 30
    assert not _found(values)


def test_missing_values_hide_no_jump() -> None:
    values = 20 + _random().normal(size=(1, 1_400))
    values[0, 700:] += 9
    values[0, 100:160] = np.nan
    values[0, ::11] = np.nan
    assert len(_found(values)) == 1


def test_series_that_are_too_short_are_not_judged() -> None:
    values = np.r_[np.zeros(60), np.ones(60)] + _random().normal(size=120) * 0.01
    assert not _found(values)
