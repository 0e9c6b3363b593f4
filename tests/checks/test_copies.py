import numpy as np
import pytest
from tests.sick import series as sick

from netwright.checks.data.copies import copied_series, copies, half_unit
from netwright.checks.evidence import Skip
from netwright.records.finding import Finding


def _found(values: np.ndarray) -> list[Finding]:
    return list(copied_series(sick.raw(values)))


def _noise(count: int = 20, steps: int = 600) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, steps))


@pytest.mark.parametrize(
    ("factor", "base", "lag", "decimals"), [(1, 0, 0, 9), (1.8, 32, 0, 9), (1, 0, 7, 9), (1.8, 32, 5, 1), (-1, 0, 0, 9)]
)
def test_a_copied_stretch_is_found(factor: float, base: float, lag: int, decimals: int) -> None:
    values = _noise().round(2) if decimals < 9 else _noise()
    values[11, 100 + lag : 400 + lag] = (values[3, 100:400] * factor + base).round(decimals)
    (found,) = _found(values)
    assert found.summary.startswith("1 pair of series of 2 of 20 series (p3, p11): load of p11 is load of p3")
    (copy,) = copies(sick.raw(values))
    assert (copy.one, copy.other) == (3, 11) and copy.other_row - copy.row == 8 * 600 + lag
    assert abs(copy.steps - 300) <= 6 and copy.factor == pytest.approx(factor, abs=0.01)
    assert ("5 steps later" in found.summary) == (lag == 5)


@pytest.mark.parametrize(
    "values",
    {
        "noise": _noise(100),
        "walks": _noise(100).cumsum(1).round(1),
        "constant": np.ones((100, 600)),
        "nearly constant": (np.random.default_rng(1).random((100, 600)) < 0.01) * 1.0,
        "small counts": np.random.default_rng(1).poisson(0.3, (300, 600)) * 1.0,
        "one day": 10 * np.sin(np.arange(600) * 2 * np.pi / 24) + _noise(100) * 0.3,
        "few short counts": np.random.default_rng(1).poisson(2, (300, 40)) * 1.0,
    }.items(),
    ids=lambda case: case[0],
)
def test_series_of_one_kind_are_no_copies(values: tuple[str, np.ndarray]) -> None:
    assert not _found(values[1])


def test_a_copy_of_rare_sales_is_found_if_it_is_long() -> None:
    values = np.random.default_rng(1).poisson(0.3, (300, 600)) * 1.0
    values[7] = values[250]
    (found,) = _found(values)
    assert "(p7, p250)" in found.summary


def test_of_two_targets_one_can_be_the_copy() -> None:
    evidence = sick.evidence(sick.healthy())
    raw = evidence.dataset.raw
    assert raw is not None
    object.__setattr__(raw, "table", raw.table.with_columns(copy=raw.table["load"] * 2))
    object.__setattr__(raw, "targets", ("load", "copy"))
    (found,) = copied_series(evidence)
    assert found.summary.startswith("3 pairs of series of 3 of 3 series")


def test_one_series_has_no_copy() -> None:
    with pytest.raises(Skip, match="one series"):
        copies(sick.raw(_noise(1)))


def test_half_a_unit_is_that_of_the_last_decimal() -> None:
    assert half_unit(np.array([1.0, 20.0])) == 0.5
    assert half_unit(np.array([1.25, 20.0])) == pytest.approx(0.005)
    assert half_unit(np.array([np.pi, np.nan])) == 0.0
