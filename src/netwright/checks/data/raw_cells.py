"""Odd cells in the rows that series are made of: the checks of columns, on rows instead of windows."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from netwright.checks.data.missing import missing_values
from netwright.checks.data.mixed import mixed_types
from netwright.checks.data.raw_series import raw_series
from netwright.checks.data.units import unit_change
from netwright.checks.data.values import impossible_values, outlying_values
from netwright.checks.evidence import DataEvidence, Skip, title
from netwright.data.dataset import Dataset
from netwright.records.finding import SHOWN, Finding

CHECKS = (missing_values, mixed_types, impossible_values, outlying_values, unit_change)


def odd_cells(evidence: DataEvidence) -> Iterator[Finding]:
    """odd cells of a series

    Values that stand for missing ones (-999), words among numbers, impossible and far outlying values, and units that
    change, in the rows of series.

    Why it matters: windows overlap, so one wrong cell is in hundreds of examples, and in the errors of all that look
    back at it.

    How it is decided: as in NW130, NW136, NW137, NW138 and NW139, for the columns of the data the target among
    them, as if each row were an example.
    """
    series = evidence.once(raw_series)
    raw, places = series.raw, evidence.dataset.raw_places
    rows = DataEvidence(
        Dataset(raw.table, (), evidence.dataset.origin, places, unit=evidence.dataset.unit),
        seed=evidence.seed,
        is_fast=evidence.is_fast,
    )
    skipped = list[str]()
    for check in CHECKS:
        try:
            for found in check(rows):
                where = found.places or series.places(np.array(found.rows[:SHOWN], np.int64))
                yield replace(found, title=found.title or title(check), rows=(), fixes=(), places=where)
        except Skip as reason:
            skipped.append(str(reason))
    if len(skipped) == len(CHECKS):
        raise Skip(skipped[0])
