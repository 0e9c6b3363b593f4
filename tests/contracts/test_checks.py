"""The contract of checks, over every entry of their tables: a page, a sick case that is found, a healthy twin.

A module in tests/sick/ holds CASES: for each code how to make the sick evidence, the rows that must be found among
others, and the healthy evidence.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.checks import DATA_CHECKS, MODEL_CHECKS
from netwright.checks.evidence import DataEvidence, page, title
from netwright.resolve import resolve
from netwright.testing.checks import check_healthy, check_page, check_sick

ROOT = Path(__file__).parents[2]
TABLE = {**DATA_CHECKS, **MODEL_CHECKS}
Evidence = Callable[[], DataEvidence]


def _cases() -> dict[str, tuple[Evidence, tuple[int, ...], Evidence]]:
    cases: dict[str, tuple[Evidence, tuple[int, ...], Evidence]] = {}
    for path in sorted((ROOT / "tests" / "sick").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"sick_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        twice = cases.keys() & module.CASES.keys()
        assert not twice, f"two cases for {twice}"
        cases |= module.CASES
    return cases


CASES = _cases()


def test_every_check_has_a_sick_case_and_a_healthy_twin():
    assert CASES.keys() == TABLE.keys()
    assert not DATA_CHECKS.keys() & MODEL_CHECKS.keys()


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
    sick, rows, _ = CASES[code]
    check_sick(code, resolve("check", TABLE[code], TABLE), sick(), rows)


@pytest.mark.parametrize("code", sorted(CASES))
def test_healthy_twin_is_not(code: str):
    _, _, healthy = CASES[code]
    check_healthy(code, resolve("check", TABLE[code], TABLE), healthy())
