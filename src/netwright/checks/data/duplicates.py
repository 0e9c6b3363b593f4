"""Rows that come more than once."""

from collections.abc import Iterator

import numpy as np

from netwright.checks.data.repeats import repeats, together
from netwright.checks.evidence import DataEvidence
from netwright.data.readers.files import counted
from netwright.data.split import Rows, Split
from netwright.records.finding import Finding, Fix, Measure, Remedy

WARN_SHARE = 0.01  # of the rows, from which repeats move a score by about as much as its interval


def duplicate_rows(evidence: DataEvidence) -> Iterator[Finding]:
    """duplicate rows

    Rows whose content stands in the data more than once: pictures, series and texts with the same content (of texts
    without regard to case and blanks), rows of a table with the same inputs and target. Columns that name the rows are
    left out of the comparison.

    Why it matters: a row that stands in the data five times counts five times in training, and makes the data look
    larger than they are. Copies in several parts make scores too good: see NW127.

    How it is decided: by 64-bit hashes of the content. In a table of few distinct values equal rows are natural; how
    many chance gives is estimated from pairs of rows that differ in one column only, and up to CHANCE_RATIO = 3 times
    as many pairs are no finding. It is a note, and a warning from WARN_SHARE = 1 % of the rows that are superfluous.
    """
    found = evidence.once(repeats)
    if found.pairs == 0 or found.are_natural:
        return
    groups = together(found.rows, found.first)
    chance = Measure("pairs of equal rows by chance", found.chance)
    yield _finding(evidence, "NW170", "duplicate rows", "repeat another row exactly", groups, len(found.rows), chance)


def _finding(
    evidence: DataEvidence, code: str, title: str, what: str, groups: list[Rows], count: int, chance: Measure
) -> Finding:
    kept_first = [spared(group, evidence.parts) for group in groups]
    spare = [int(row) for group in kept_first for row in group[1:]]
    share = len(spare) / count
    fixes = tuple(
        Fix(int(row), evidence.dataset.locate(int(row)), "drop", code=code) for group in kept_first for row in group[1:]
    )
    first = kept_first[0]
    example = f"{evidence.dataset.locate(int(first[1]))} as {evidence.dataset.locate(int(first[0]))}"
    return Finding(
        code,
        "warning" if share >= WARN_SHARE else "note",
        title,
        f"{counted(len(spare), 'row')} of {count:,} ({share:.2%}) {what}, in {counted(len(groups), 'group')}; "
        f"the first is {example}",
        (Measure("share of superfluous rows", share, threshold=WARN_SHARE), chance),
        rows=tuple(spare),
        otherwise=("the same thing was measured again, and counts as often as it occurred",),
        remedies=(Remedy("keep one row of each group: drop the others.", cost=counted(len(spare), "row")),),
        fixes=fixes,
    )


def spared(group: Rows, parts: Split | None) -> Rows:
    """The rows of a group, the one to keep first: one of the test part, then of the validation part, then the first.

    What is dropped of rows that stand in several parts is dropped from training.
    """
    if parts is None:
        return group
    rank = np.where(np.isin(group, parts.test), 0, np.where(np.isin(group, parts.valid), 1, 2))
    return group[np.argsort(rank, kind="stable")]
