"""The contract of a check: silent on healthy data, fires on sick data, and says how it decides."""

import re
from collections.abc import Iterable
from math import isfinite
from typing import Any

from netwright.checks.evidence import Check, named, page, title
from netwright.planning import MENDS
from netwright.records.finding import SEVERITIES, Finding
from netwright.records.recipe import Recipe

CODE = re.compile(r"NW[1-6]\d\d")
PARTS = ("Why it matters:", "How it is decided:")


def check_page(code: str, check: Check) -> None:
    """The docstring is the page of `netwright rule`: a title in lower case, what is found, why, how it is decided."""
    _claim(bool(CODE.fullmatch(code)), f"{code} is not a code like NW110")
    text = page(check)
    for part in PARTS:
        _claim(part in text, f"{code}: its page lacks {part!r}")
    name = title(check)
    _claim(bool(name) and not name[0].isupper() and len(name) < 60, f"{code}: {name!r} is not a short lower-case title")


def check_sick(code: str, check: Check, evidence: Any, count: int, rows: Iterable[int] = ()) -> None:
    """A sick case of `count` rows: only sound findings with this code; they include `rows`."""
    findings = named(code, check, check(evidence))
    _claim(bool(findings), f"{code} finds nothing in its sick case")
    for finding in findings:
        check_finding(code, finding, count)
    missed = set(rows) - {row for finding in findings for row in finding.rows}
    _claim(not missed, f"{code} misses rows {sorted(missed)[:5]} of its sick case")


def check_healthy(code: str, check: Check, evidence: Any) -> None:
    """The healthy twin: nothing worse than a note."""
    loud = [str(finding) for finding in check(evidence) if finding.severity != "note"]
    _claim(not loud, f"{code} gives false alarms: {loud}")


def check_finding(code: str, finding: Finding, count: int) -> None:
    """Fields are in range, every remedy's edit is a valid Recipe, every fix is in an existing row."""
    _claim(finding.code == code, f"{code} gave a finding {finding.code}")
    _claim(finding.severity in SEVERITIES, f"{code}: no severity {finding.severity!r}")
    _claim(finding.title == finding.title.strip() and finding.title[:1].islower(), f"{code}: title {finding.title!r}")
    _claim(bool(finding.summary.strip()), f"{code} says nothing")
    _claim(0 <= finding.confidence <= 1, f"{code}: confidence {finding.confidence}")
    _claim(all(0 <= row < count for row in finding.rows), f"{code} names rows that do not exist")
    _claim(len(set(finding.rows)) == len(finding.rows), f"{code} names a row twice")
    _claim(all(isfinite(m.value) for m in finding.measures), f"{code}: a measure is not finite")
    _claim(bool(finding.remedies) or finding.severity == "note", f"{code} says what is wrong but not what to do")
    for remedy in finding.remedies:
        _claim(remedy.advice.endswith("."), f"{code}: the remedy {remedy.advice!r} is not a sentence")
        Recipe().edit(remedy.edit)
        _claim(not remedy.mend or remedy.mend in MENDS, f"{code}: there is no mend {remedy.mend!r}")
    for fix in finding.fixes:
        _claim(fix.code == code and 0 <= fix.row < count and 0 <= fix.confidence <= 1, f"{code}: fix {fix}")


def _claim(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
