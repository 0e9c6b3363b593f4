"""Findings get the code and the title of their check."""

import pytest

from netwright.checks.evidence import made, titled
from netwright.records.finding import Finding, Fix


def odd_rows(evidence: object):
    """odd rows

    Rows that are odd.
    """
    yield Finding("warning", "one row is odd", rows=(0,), fixes=(Fix(0, "row 0", "drop"),))
    yield Finding("note", "so is another one", title="another odd row")


def test_finding_and_its_fixes_get_the_code_of_the_table_and_the_first_line_of_the_page():
    (found, own), checked = made("NW199", odd_rows, None, lambda: 0.0)
    assert (found.code, found.title, found.fixes[0].code, checked.title) == ("NW199", "odd rows", "NW199", "odd rows")
    assert (own.code, own.title) == ("NW199", "another odd row")


@pytest.mark.parametrize("code", ["NW302", "NW110"])
def test_finding_in_the_name_of_a_check_gets_its_title(code: str):
    assert (
        titled(Finding("error", "so it is", code=code)).title
        == {
            "NW302": "vanishing gradients",
            "NW110": "label errors",
        }[code]
    )
