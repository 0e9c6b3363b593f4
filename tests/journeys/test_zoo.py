"""A slice of the zoo: each planted fault is told first, and its healthy twin is left in peace."""

import pytest
import torch
from benchmarks.zoo.bars import below
from benchmarks.zoo.cases import BASES, DOUBLE, FAULTS, SEEDS, SINGLE, Case, cases
from benchmarks.zoo.data import DATA, PUBLIC
from benchmarks.zoo.measure import measure
from benchmarks.zoo.networks import network
from benchmarks.zoo.plans import Plan
from benchmarks.zoo.scores import is_loud, is_named, said

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


@pytest.mark.parametrize("tier", SEEDS)
def test_no_training_comes_twice_and_three_in_ten_are_healthy(tier: str) -> None:
    some = list(cases(tier))
    assert len({case.plan for case in some}) == len({case.name for case in some}) == len(some)
    assert sum(case.kind != "fault" for case in some) >= 0.3 * len(some)


def test_the_fast_tier_leaves_out_no_fault_and_no_family() -> None:
    assert {case.what for case in ZOO.values() if case.kind == "fault"} == {fault.id for fault in FAULTS}
    assert {case.plan.family for case in ZOO.values()} == {base.split("/")[0] for base in BASES}


@pytest.mark.parametrize(("tier", "data"), [("fast", DATA), ("fresh", DATA), ("full", PUBLIC)])
def test_only_the_full_tier_takes_public_data(tier: str, data: dict[str, object]) -> None:
    assert {case.plan.data for case in cases(tier, "files")} == set(data)


def test_of_two_faults_at_once_either_may_be_told_first() -> None:
    codes = {fault.id: fault.code for fault in reversed(SINGLE)}
    assert len(DOUBLE) == 20
    for fault in DOUBLE:
        assert {codes[name] for name in fault.id.split("+")} <= {fault.code, *fault.also}


def test_whole_numbers_are_words_to_a_network() -> None:
    words = torch.randint(0, 50, (4, 7))
    assert network(Plan("gru", "reviews", 0), words, 2)(words).shape == (4, 2)


def _row(kind: str, severity: str = "") -> dict[str, object]:
    findings = [{"code": "NW332", "severity": severity, "fixes": []}] if severity else []
    return {"kind": kind, "code": "NW332", "also": (), "findings": findings}


def test_a_doctor_that_misses_or_cries_wolf_is_below_the_bars() -> None:
    good = [_row("fault", "error"), _row("twin")]
    assert not below(good)
    assert below([*good, _row("fault")])[0].startswith("recall is 50.0 %")
    assert "flagged" in below([*good, _row("control", "warning")])[0]
