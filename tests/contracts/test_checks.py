"""The contract of checks, over every entry of their tables: a page, a sick case that is found, a healthy twin.

A module in tests/sick/ holds CASES: for each code how to make the sick evidence, the rows that must be found among
others, and the healthy evidence. Those in tests/sick_trainings/ name no rows.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netwright.checks import ATTACK_CHECKS, DATA_CHECKS, MODEL_CHECKS, TRAINING_STAGES
from netwright.checks.evidence import DataEvidence, page, title
from netwright.checks.training.evidence import TrainingEvidence
from netwright.resolve import resolve
from netwright.testing.checks import check_healthy, check_page, check_sick

ROOT = Path(__file__).parents[2]
DATA_TABLE = {**DATA_CHECKS, **MODEL_CHECKS}
TRAINING_TABLE = {code: path for table in TRAINING_STAGES.values() for code, path in table.items()}
TABLE = {**DATA_TABLE, **TRAINING_TABLE, **ATTACK_CHECKS}  # the last have their cases in tests/checks/test_masking.py
Evidence = Callable[[], DataEvidence]


def _cases(folder: str) -> dict[str, Any]:
    cases: dict[str, Any] = {}
    for path in sorted((ROOT / "tests" / folder).glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"sick_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        twice = cases.keys() & module.CASES.keys()
        assert not twice, f"two cases for {twice}"
        cases |= module.CASES
    return cases


CASES: dict[str, tuple[Evidence, tuple[int, ...], Evidence]] = _cases("sick")
TRAININGS: dict[str, tuple[Callable[[], TrainingEvidence], Callable[[], TrainingEvidence]]] = _cases("sick_trainings")


def test_every_check_has_a_sick_case_and_a_healthy_twin():
    assert CASES.keys() == DATA_TABLE.keys()
    assert TRAININGS.keys() == TRAINING_TABLE.keys()
    count = len(DATA_CHECKS) + len(MODEL_CHECKS) + sum(map(len, TRAINING_STAGES.values())) + len(ATTACK_CHECKS)
    assert len(TABLE) == count


@pytest.mark.parametrize("code", sorted(TABLE))
def test_check_is_explained(code: str):
    check_page(code, resolve("check", TABLE[code], TABLE))


@pytest.mark.parametrize("code", sorted(TABLE))
def test_page_in_the_docs_is_the_docstring(code: str):
    check = resolve("check", TABLE[code], TABLE)
    written = (ROOT / "docs" / "rules" / f"{code}.md").read_text(encoding="utf-8")
    assert written == f"# {code}: {title(check)}\n\n{page(check).partition(chr(10))[2].strip()}\n"


@pytest.mark.parametrize("code", sorted(CASES))
def test_sick_case_is_found(code: str):
    make, rows, _ = CASES[code]
    sick = make()
    check_sick(code, resolve("check", TABLE[code], TABLE), sick, len(sick.dataset), rows)


@pytest.mark.parametrize("code", sorted(CASES))
def test_healthy_twin_is_not(code: str):
    _, _, healthy = CASES[code]
    check_healthy(code, resolve("check", TABLE[code], TABLE), healthy())


@pytest.mark.parametrize("code", sorted(TRAININGS))
def test_sick_training_is_found(code: str):
    evidence = TRAININGS[code][0]()
    check_sick(code, resolve("check", TABLE[code], TABLE), evidence, len(evidence.train))


@pytest.mark.parametrize("code", sorted(TRAININGS))
def test_healthy_training_is_not(code: str):
    check_healthy(code, resolve("check", TABLE[code], TABLE), TRAININGS[code][1]())
