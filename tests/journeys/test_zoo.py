"""A slice of the zoo: each planted fault is told first, and its healthy twin is left in peace."""

import pytest
from benchmarks.zoo.cases import Case, cases
from benchmarks.zoo.measure import measure
from benchmarks.zoo.scores import is_loud, is_named, said, wilson

ZOO = {case.name: case for case in cases("fast")}
SLICE = [
    next(case for case in ZOO.values() if case.what == what and case.plan.data == data and case.plan.family == "dense")
    for what, data in (("W3", "tabular"), ("W5", "tabular"), ("W6", "tabular"), ("D2", "tabular"), ("S2", "circles"))
]


@pytest.mark.parametrize("case", SLICE, ids=lambda case: case.what)
def test_a_planted_fault_is_told_first(case: Case) -> None:
    row = measure(case)
    assert is_named(row, 1), said(row)


@pytest.mark.parametrize("name", sorted({case.twin for case in SLICE}))
def test_its_healthy_twin_is_left_in_peace(name: str) -> None:
    row = measure(ZOO[name])
    assert not is_loud(row), said(row)


def test_each_fault_has_a_healthy_twin_that_differs_from_it() -> None:
    faults = [case for case in ZOO.values() if case.kind == "fault"]
    assert all(ZOO[case.twin].kind == "twin" and ZOO[case.twin].plan != case.plan for case in faults)


def test_no_training_comes_twice() -> None:
    assert len({case.plan for case in cases("full")}) == len(list(cases("full")))


def test_wilsons_interval_is_that_of_the_book() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
