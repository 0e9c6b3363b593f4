"""Series that have little to learn from: they ended, they are short, or they never change."""

from collections.abc import Iterator

import numpy as np

from netwright.checks.data.raw_series import RawSeries, raw_series, severity_of_series
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.records.errors import listed
from netwright.records.finding import Finding, Measure, Remedy

ENDED = 0.1  # of the whole time: a series that ended so long before the others has no row in most test parts
TOGETHER = 0.5  # of the series end at one time; if fewer do, series come and go
SHORT = 0.1  # of the rows of the middle series
LEAST_SERIES = 3  # of fewer, none is the usual one


def thin_series(evidence: DataEvidence) -> Iterator[Finding]:
    """series with little to learn from

    Series that end long before the others, that have far fewer rows, or whose target never changes.

    Why it matters: what ended is not in the test part, so its score is unknown. Short series are left out of training,
    or are seen without their past. Constant ones are predicted without an error, which makes the mean score look
    better than it is.

    How it is decided: a series ended if its last row is before that of most series by 10 % of the whole time (ENDED),
    if at least half of the series end together (TOGETHER). It is short if it has less than 10 % of the rows of the
    middle series (SHORT). Both are notes. It is constant if a target has one value in all of its rows; this is a
    warning from 1 % of the series, and a note below.
    """
    series = evidence.once(raw_series)
    if len(series.starts) < LEAST_SERIES:
        raise Skip(f"there are fewer than {LEAST_SERIES} series")
    yield from _ended(series)
    middle = float(np.median(series.lengths))
    short = np.flatnonzero(series.lengths < SHORT * middle)
    if len(short):
        short = short[np.argsort(series.lengths[short], kind="stable")]
        least = int(series.lengths[short[0]])
        yield _finding(
            series, short, "short series",
            f"have less than a tenth of the {middle:,.0f} rows of the middle series; the shortest has {least:,}",
            "add their past, or leave them out.",
        )  # fmt: skip
    for name in series.raw.targets:
        yield from _constant(series, name)


def _ended(series: RawSeries) -> Iterator[Finding]:
    if series.seconds is None:
        return
    last = series.seconds[series.ends - 1]
    usual, whole = float(np.median(last)), float(series.seconds.max() - series.seconds.min())
    before = usual - last
    if whole == 0 or (np.abs(before) < ENDED * whole / 2).mean() < TOGETHER:
        return
    ended = np.flatnonzero(before >= ENDED * whole)
    if len(ended):
        ended = ended[np.argsort(-before[ended], kind="stable")]
        yield _finding(
            series, ended, "series that ended",
            f"end long before the others, the first at {series.time(int(series.ends[ended[0]]) - 1)}",
            "leave them out, unless the future of others can be learned from them.",
        )  # fmt: skip


def _constant(series: RawSeries, name: str) -> Iterator[Finding]:
    values = series.numbers(name)
    low = np.fmin.reduceat(values, series.starts)
    is_constant = low == np.fmax.reduceat(values, series.starts)
    same = np.flatnonzero(is_constant & (series.lengths > 1))
    if len(same):
        zeros = int((low[same] == 0).sum())
        yield _finding(
            series, same, "constant series", f"never change in {name}, {zeros:,} of them at 0",
            "leave them out: a rule predicts them.", name,
        )  # fmt: skip


def _finding(series: RawSeries, odd: Rows, title: str, text: str, advice: str, column: str = "") -> Finding:
    count, names = len(series.starts), [series.name(int(number)) for number in odd[:3]]
    share = len(odd) / count
    more = ", ..." if len(odd) > len(names) else ""
    return Finding(
        severity_of_series(len(odd), count) if column else "note",
        f"{len(odd):,} of {count:,} series ({listed(names)}{more}) {text}",
        (Measure("share of the series", share),),
        columns=(column,) if column else (),
        title=title,
        places=series.places(series.starts[odd]),
        confidence=0.95,
        remedies=(Remedy(advice),),
    )
