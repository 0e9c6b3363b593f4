"""Rows of a series that are in the data twice."""

from collections.abc import Iterator

import numpy as np

from netwright.checks.data.raw_series import raw_series
from netwright.checks.evidence import DataEvidence, Skip
from netwright.records.errors import counted
from netwright.records.finding import Finding, Remedy
from netwright.statistics import share
from netwright.tasks.doubles import doubles

WORTH = 0.01  # of the rows are copies: files were joined twice, and other rows may be wrong too


def doubled_rows(evidence: DataEvidence) -> Iterator[Finding]:
    """two rows at one time

    Rows of a series that repeat the row before them, time included.

    Why it matters: they are used as one. Usually files that overlap were joined; where they do not agree, nobody
    knows which one is right.

    How it is decided: two rows of one series have the same time, and the same cells or at least the same targets. Rows
    with the same time and other targets are refused when the data are read, and hours that a clock has twice are in
    NW181. It is a warning from 1 % of the rows (WORTH), below that a note.
    """
    series = evidence.once(raw_series)
    if series.raw.times is None:
        raise Skip("there is no column of times (--time)")
    rows = np.flatnonzero(doubles(series.raw)[0])
    if not len(rows):
        return
    found = share(len(rows), series.raw.table.height)
    yield Finding(
        "warning" if found.value >= WORTH else "note",
        f"{counted(len(rows), 'row')}{series.named(np.unique(series.of(rows)))} "
        f"{'are' if len(rows) > 1 else 'is'} in the data twice, {found.value:.2%} of all",
        (found.measure("share of the rows", WORTH),),
        columns=(series.raw.source.time,),
        places=series.places(rows),
        remedies=(Remedy("leave the copies out, and look at how the data were joined."),),
    )
