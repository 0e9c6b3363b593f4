import numpy as np
import pytest
from tests.sick import series as sick

from netwright.checks.data.stale import stale_values
from netwright.records.finding import Finding


def _found(values: np.ndarray) -> list[Finding]:
    return list(stale_values(sick.raw(np.atleast_2d(values))))


def _measured(count: int = 1) -> np.ndarray:
    return (20 + np.random.default_rng(0).normal(size=(count, 1_000))).round(1)


def test_a_stuck_sensor_is_found_with_its_value_and_time() -> None:
    values = _measured(3)
    values[2, 500:540] = 21.7
    (found,) = _found(values)
    assert found.severity == "warning"
    assert found.summary == (
        "1 stretch of 1 of 3 series (p2) in load: load of p2 is 21.7 for 40 steps from 2023-03-21 20:00:00 on"
    )
    assert found.places == (f"x.csv, line {2_500 + 2}",)


def test_a_few_stuck_steps_among_many_are_a_note() -> None:
    values = (20 + np.random.default_rng(0).normal(size=(1, 40_000))).round(1)
    values[0, 500:524] = 21.7
    (found,) = _found(values)
    assert found.severity == "note"


def test_a_gap_within_a_stuck_stretch_counts_for_nothing() -> None:
    values = _measured()
    values[0, 500:540] = 21.7
    values[0, 510:520] = np.nan
    (found,) = _found(values)
    assert "for 30 steps" in found.summary


def _rain() -> np.ndarray:
    random = np.random.default_rng(1)
    wet = np.repeat(random.random(100) < 0.3, 10)
    return np.where(wet, random.exponential(5, 1_000).round(1), 0.0)


def _sun() -> np.ndarray:
    hour = np.arange(1_000) % 24
    sun = np.maximum(np.sin((hour - 6) * np.pi / 12), 0) * np.random.default_rng(1).uniform(50, 100, 1_000)
    return sun.round(1)


def _closed() -> np.ndarray:
    return np.where((np.arange(1_000) // 24) % 7 == 6, 0, np.random.default_rng(1).poisson(30, 1_000)) * 1.0


def _saturated() -> np.ndarray:
    damp = 80 + 25 * np.sin(np.arange(1_000) / 40) + np.random.default_rng(1).normal(size=1_000)
    return damp.clip(max=100).round(1)


def _price() -> np.ndarray:
    return np.repeat(np.random.default_rng(1).uniform(5, 9, 40).round(2), 25)


def _switch() -> np.ndarray:
    return (np.arange(1_000) > 700) * 1.0


@pytest.mark.parametrize("values", [_rain, _sun, _closed, _saturated, _price, _switch, _measured])
def test_what_is_usual_for_a_series_is_not_stuck(values) -> None:
    assert not _found(values())
