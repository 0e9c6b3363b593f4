"""Rows that are unlike the rest: how far they are off, and the proposal to leave them out."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from netwright.checks.evidence import DataEvidence
from netwright.data.split import Rows
from netwright.records.finding import Fix, Severity

NORMAL = 1.4826  # standard deviations of a normal distribution in its median absolute deviation
RARE = 0.2  # share of the rows above which something is how the data are, and no fault of single rows

Floats = NDArray[np.float64]


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
    """A warning where few rows are off; a note where it is how the data are."""
    return "warning" if count <= RARE * rows else "note"


def drops(evidence: DataEvidence, rows: Iterable[int], confidence: float) -> tuple[Fix, ...]:
    """Proposals to leave rows out."""
    where = evidence.dataset.locate
    return tuple(Fix(row, where(row), "drop", confidence=confidence) for row in rows)


def as_rows(rows: Rows) -> tuple[int, ...]:
    """Plain numbers, as a finding holds them."""
    return tuple(int(row) for row in rows)
