import numpy as np
import pytest
from tests.sick import series as sick

from netwright.checks.data.ahead import future_leaks, known_answers
from netwright.checks.evidence import Skip
from netwright.records.finding import Finding

HOURS = np.arange(900)


def _load(count: int = 2) -> np.ndarray:
    random = np.random.default_rng(0)
    return 10 * np.sin(HOURS * 2 * np.pi / 24) + random.normal(size=(count, 900)).cumsum(1) * 0.5


def _later(steps: int) -> np.ndarray:
    """What the load was so many steps before; missing at the start, or at the end."""
    moved = np.roll(_load(), steps, axis=1)
    moved[:, slice(0, steps) if steps > 0 else slice(steps, None)] = np.nan
    return moved


def _leaks(column: np.ndarray, *, known: bool = False) -> list[Finding]:
    return list(future_leaks(sick.raw(_load(), known=("other",) if known else (), other=column)))


def test_a_column_that_is_the_target_of_a_later_step_is_an_error() -> None:
    (found,) = _leaks(_later(-5) * 2 + 1)
    assert found.severity == "error" and found.summary == "other is load 5 steps later"
    assert found.columns == ("other",)


def test_the_target_of_an_earlier_step_is_the_past() -> None:
    assert not _leaks(_later(5))


def test_a_late_target_that_is_known_ahead_tells_the_steps_between() -> None:
    (found,) = _leaks(_later(3), known=True)  # of 6 steps, the last 3 find their target
    assert found.summary == "other is load 3 steps earlier, and it is said to be known ahead"
    assert "--known" in found.remedies[0].advice
    assert not _leaks(_later(6), known=True)


def test_a_centered_mean_knows_the_future_and_one_of_the_past_does_not() -> None:
    window = np.ones(13) / 13
    centered = np.stack([np.convolve(np.pad(row, 6, mode="edge"), window, "valid") for row in _load()])
    (found,) = _leaks(centered)
    assert found.summary == "other is a sum of load around its step"
    assert not _leaks(np.roll(centered, 6, axis=1))


def test_weather_and_calendars_leak_nothing() -> None:
    random = np.random.default_rng(3)
    warm = 0.8 * _later(-2) + random.normal(size=(2, 900))  # rises before the load
    assert not _leaks(warm)
    assert not _leaks(np.tile(np.sin(HOURS * 2 * np.pi / 24), (2, 1)), known=True)
    assert not _leaks(np.tile((HOURS % 24 > 8) * 1.0, (2, 1)), known=True)
    assert not _leaks(np.ones((2, 900)))


def test_a_target_that_repeats_itself_is_no_secret() -> None:
    pure = np.tile(np.sin(HOURS * 2 * np.pi / 24), (2, 1))
    assert not list(future_leaks(sick.raw(pure, other=np.roll(pure, -5, axis=1))))


def test_parts_of_a_sum_that_are_known_ahead_are_an_error_and_else_none() -> None:
    random = np.random.default_rng(0)
    casual, registered = random.poisson(20, (2, 900)) * 1.0, random.poisson(90, (2, 900)) * 1.0
    both = {"casual": casual, "registered": registered}
    (found,) = known_answers(sick.raw(casual + registered, known=("casual", "registered"), **both))
    assert found.severity == "error" and set(found.columns) == {"casual", "registered"}
    assert not list(known_answers(sick.raw(casual + registered, known=("casual",), **both)))
    with pytest.raises(Skip, match="known ahead"):
        list(known_answers(sick.raw(casual + registered, **both)))


def test_an_opening_price_does_not_give_the_close_away() -> None:
    close = 1_000 + np.random.default_rng(0).normal(size=(1, 900)).cumsum(1)
    opening = np.roll(close, 1, axis=1)
    assert not list(known_answers(sick.raw(close, known=("opening",), opening=opening)))


def test_a_known_copy_of_the_target_is_an_error() -> None:
    (found,) = known_answers(sick.raw(_load(), known=("copy",), copy=_load() * 3))
    assert found.columns == ("copy",) and not found.rows
