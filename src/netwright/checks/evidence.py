"""What checks examine, and how they run."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from inspect import cleandoc
from typing import Any, TypeVar, cast, final

import numpy as np

from netwright.checks import ATTACK_CHECKS, DATA_CHECKS, MODEL_CHECKS, TRAINING_STAGES
from netwright.data.dataset import Dataset
from netwright.data.fixes import part_of, scored_parts
from netwright.data.prepare import Prepared
from netwright.data.split import Rows, Split
from netwright.records.errors import NetwrightError
from netwright.records.finding import SEVERITIES, SHOWN, Checked, Finding, Fix, Report
from netwright.records.schema import Field
from netwright.resolve import resolve

T = TypeVar("T")

APPLIED = 0.9  # confidence from which a fix is proposed with apply = yes: nine of ten changed rows were wrong
FAST_ROWS = 20_000  # examined by a fast check: enough to see what affects one row in a hundred


@final
@dataclass(frozen=True, eq=False)
class DataEvidence:
    """The data as they were read, split and encoded. What several checks need is computed `once`."""

    dataset: Dataset  # raw cells
    parts: Split | None = None  # of all rows, also unreadable ones; None if they cannot be split
    prepared: Prepared | None = None  # its tensors have all rows of the data; None if they cannot be encoded
    problem: str = ""  # why they cannot be split or encoded
    against: Dataset | None = None  # new data to compare with
    seed: int = 0
    is_fast: bool = False  # part of training: examine FAST_ROWS rows, train nothing
    tell: Callable[[str], object] = lambda _note: None
    known: dict[Callable[..., Any], Any] = field(default_factory=dict[Callable[..., Any], Any], repr=False)

    @property
    def fields(self) -> tuple[Field, ...]:
        """Those of the inputs; none if the data cannot be encoded."""
        return () if self.prepared is None else self.prepared.schema.inputs

    @property
    def bad(self) -> Rows:
        """Rows that cannot be read."""
        bad = {} if self.prepared is None else self.prepared.bad
        return np.fromiter(bad, np.int64, len(bad))

    def once(self, compute: "Callable[[DataEvidence], T]") -> T:
        """`compute(self)`, remembered."""
        if compute not in self.known:
            self.known[compute] = compute(self)
        return cast(T, self.known[compute])

    def rows(self, most: int = FAST_ROWS) -> Rows:
        """All rows, or in a fast check at most so many, drawn by the seed; ascending."""
        count = len(self.dataset)
        if not self.is_fast or count <= most:
            return np.arange(count, dtype=np.int64)
        return np.sort(np.random.default_rng(self.seed).choice(count, most, replace=False)).astype(np.int64)


Check = Callable[[Any], Iterable[Finding]]
"""(evidence) -> findings; raises `Skip` if it cannot judge."""


class Skip(Exception):
    """Why a check cannot judge: a line in the report, not a finding."""


def require_apart(evidence: DataEvidence) -> None:
    """Raises Skip if examples overlap: their likeness, their drift and what is odd in them is that of shared rows."""
    if evidence.once(_overlaps):
        raise Skip("examples overlap, as windows of a series and pasts of a user do: their rows are checked")


def _overlaps(evidence: DataEvidence) -> bool:
    return evidence.dataset.overlaps


def examine(evidence: DataEvidence, table: Mapping[str, str], clock: Callable[[], float] = time.perf_counter) -> Report:
    """Runs all checks of a table; the worst findings come first. Checks that cannot judge are listed with a reason."""
    findings, checks = list[Finding](), list[Checked]()
    for code, path in table.items():
        found, checked = made(code, resolve("check", path, table), evidence, clock)
        findings += [replace(one, fixes=_advised(evidence, one.fixes)) for one in found]
        checks.append(checked)
    return report(evidence.dataset.origin, len(evidence.dataset), findings, checks, evidence.dataset.locate)


def _advised(evidence: DataEvidence, fixes: tuple[Fix, ...]) -> tuple[Fix, ...]:
    """The fixes with their rows' parts, and whether to apply them."""
    if evidence.parts is None:
        return tuple(replace(fix, apply=fix.confidence >= APPLIED) for fix in fixes)
    scored = scored_parts(evidence.dataset, evidence.parts, fixes)
    return tuple(
        replace(fix, part=part_of(evidence.parts, fix.row), apply=fix.confidence >= APPLIED and not part)
        for fix, part in zip(fixes, scored, strict=True)
    )


def made(
    code: str, check: Check, evidence: Any, clock: Callable[[], float], *, skipped: str = ""
) -> tuple[list[Finding], Checked]:
    """The findings of a check, and how it went; with `skipped` it does not run, and that is why."""
    began, found = clock(), list[Finding]()
    try:
        if not skipped:
            found += named(code, check, check(evidence))
    except Skip as reason:
        skipped = str(reason)
    except NetwrightError as error:
        skipped = error.problem
    except Exception as error:  # noqa: BLE001  data and modules of any kind come here: one bug must not hide other checks
        skipped = f"a bug in netwright: {type(error).__name__}: {error}"
    return found, Checked(code, title(check), clock() - began, skipped)


def named(code: str, check: Check, findings: Iterable[Finding]) -> list[Finding]:
    """Findings with their check's key in the table; one without its own title gets the check's."""
    return [
        replace(
            found,
            code=code,
            title=found.title or title(check),
            fixes=tuple(replace(fix, code=code) for fix in found.fixes),
        )
        for found in findings
    ]


def titled(finding: Finding) -> Finding:
    """A finding made for a check of which only the code is known, with the check's title."""
    table = all_checks()
    return named(finding.code, resolve("check", table[finding.code], table), [finding])[0]


def report(
    subject: str,
    count: int,
    findings: Iterable[Finding],
    checks: Iterable[Checked],
    locate: Callable[[int], str],
) -> Report:
    """The worst findings first, each with the places of its first rows."""
    ordered = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    placed = (f if f.places else replace(f, places=tuple(map(locate, f.rows[:SHOWN]))) for f in ordered)
    return Report(subject, count, tuple(placed), tuple(checks))


def title(check: Check) -> str:
    """A check's name for people: the first line of its page, without the full stop."""
    return (check.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def page(check: Check) -> str:
    """The whole docstring of a check: what it finds, why it matters, how it is decided."""
    return cleandoc(check.__doc__ or "")


def all_checks() -> dict[str, str]:
    """The path of each code's check, for data, training and attacks."""
    return {
        **DATA_CHECKS,
        **MODEL_CHECKS,
        **ATTACK_CHECKS,
        **{c: path for table in TRAINING_STAGES.values() for c, path in table.items()},
    }
