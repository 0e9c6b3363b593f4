"""Rows that differ from the rest: by how much, what a finding says, and the proposal to drop them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netwright.checks.evidence import DataEvidence
from netwright.data.split import Rows
from netwright.records.errors import counted
from netwright.records.finding import Finding, Fix, Measure, Remedy, Severity

NORMAL = 1.4826  # a normal distribution's standard deviation over its median absolute deviation
RARE = 0.2  # share of the rows; above, the data are simply like that and no row is at fault
FEW = 0.001  # share of the rows; below, training and scores lose nothing measurable
ACCIDENTS = 10  # rows; fewer are single accidents, more have a cause that may go on

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Odd:
    """Rows of a column that differ from the others in one way, and the words of the finding."""

    title: str  # "" for that of the check
    mask: Mask  # which of the examined rows
    badness: Floats  # the worst row has the greatest
    text: str  # "are nearly black"
    measures: tuple[Measure, ...]
    confidence: float
    otherwise: str = ""
    severity: Severity | None = None  # None: that of their number
    drop: float | None = None  # confidence of dropping the rows, if not that of the finding; 0: not proposed


def told(
    evidence: DataEvidence, column: str, rows: Rows, noun: str, advice: str, odds: Iterable[Odd]
) -> Iterator[Finding]:
    """A finding for each oddity that some rows have; if they are rare, it proposes to drop them."""
    for odd in odds:
        found = as_rows(rows[worst_first(odd.mask, odd.badness)])
        if not found:
            continue
        many = f"{len(found):,} of {len(rows):,} {noun}"
        if not noun.endswith("s"):  # series
            many = f"{counted(len(found), noun)} of {len(rows):,}"
        sure = odd.confidence if odd.drop is None else odd.drop
        yield Finding(
            odd.severity or severity_of(len(found), len(rows)),
            f"{many} in {column!r} {odd.text}",
            odd.measures,
            (column,),
            found,
            title=odd.title,
            confidence=odd.confidence,
            otherwise=(odd.otherwise,) if odd.otherwise else (),
            remedies=(Remedy(advice, cost=counted(len(found), "row")),),
            fixes=drops(evidence, found, sure) if sure and len(found) <= RARE * len(rows) else (),
        )


def worst_first(mask: Mask, badness: Floats) -> Rows:
    """The marked places, the worst first."""
    places = np.flatnonzero(mask)
    return places[np.argsort(-badness[places], kind="stable")]


def deviations(values: Floats, least: float = 0.0) -> Floats:
    """How many robust standard deviations, at least `least` wide, each value is from the median."""
    middle = np.median(values)
    spread = max(NORMAL * float(np.median(np.abs(values - middle))), least, np.finfo(np.float64).tiny)
    return (values - middle) / spread


def depths(values: Floats, least: float = 0.0) -> Floats:
    """How many standard deviations of the lower half, at least `least` wide, each value is below the median."""
    quarter, middle = np.quantile(values, (0.25, 0.5))
    return (middle - values) / max(float(middle - quarter) * NORMAL, least, np.finfo(np.float64).tiny)


def severity_of(count: int, rows: int) -> Severity:
    """A warning if rare rows are odd; a note if the data are simply like that, or if they are too few to matter."""
    are_few = count < min(FEW * rows, ACCIDENTS)
    return "note" if are_few or count > RARE * rows else "warning"


def drops(evidence: DataEvidence, rows: Iterable[int], confidence: float = 1.0) -> tuple[Fix, ...]:
    """Proposals to drop rows."""
    where = evidence.dataset.locate
    return tuple(Fix(row, where(row), "drop", confidence=confidence) for row in rows)


def as_rows(rows: Rows) -> tuple[int, ...]:
    """Plain numbers, as a finding stores them."""
    return tuple(int(row) for row in rows)
