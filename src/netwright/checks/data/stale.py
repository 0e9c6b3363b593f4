"""Sensors that report their last value for too long."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from netwright.checks.data.raw_series import Floats, RawSeries, raw_series, severity_of_series
from netwright.checks.evidence import DataEvidence
from netwright.data.split import Rows
from netwright.kinds.markup import figure
from netwright.records.errors import counted, listed
from netwright.records.finding import Finding, Measure, Remedy, Severity

LEAST = 20  # steps, nearly a day of hours: weather filled in between hours stayed for 19 steps of ten minutes
LONGER = 8.0  # times a usual long run; long nights and calm days were up to 6 times as long
USUAL, LEAST_RUNS = 0.01, 2  # of a series' runs of one value, and at least two, may be longer than a usual long run
MOVES = 20  # runs that a series must have to say what is usual
RICH = 10  # distinct values of a measurement; with fewer it is a state, which may last
RESTS = 0.2  # of the steps with one value, from which on long runs of it are usual
VISITS = 3  # runs at the least or the greatest value from which on it is a bound, where values rest
WORTH = 0.001  # of the steps are stale: enough for a warning
MOST_COLUMNS = 20  # that are looked at, the targets first


@dataclass(frozen=True)
class _Run:
    series: int
    column: str
    row: int  # its first one
    steps: int
    usual: float  # steps of a usual long run
    value: float


def stale_values(evidence: DataEvidence) -> Iterator[Finding]:
    """values that are stuck

    A measurement repeats one value for far longer than is usual for its series: a sensor that is stuck, or missing
    values that were filled in.

    Why it matters: such steps look like measurements and are none. A network learns that values can stay, and in the
    test part it is scored against something that did not happen.

    How it is decided: one value fills 20 steps (LEAST) or more, and 8 times (LONGER) as many as a usual long run of
    this series, which 1 % of its runs, and at least two, exceed (USUAL, LEAST_RUNS). Runs of a value that fills 20 % of
    the other steps (RESTS) are usual: zeros of rain, of sales, of solar power at night. So are those of the least and
    the greatest value, if they are reached at least 3 times (VISITS): they are bounds. Columns with fewer than 10
    values (RICH) are states, not measurements, and those known ahead are plans. It is a warning if 0.1 % of the steps
    (WORTH) are stuck, in 1 % of the series.
    """
    series = evidence.once(raw_series)
    found = sorted(evidence.once(stuck), key=lambda run: -run.steps)
    if not found:
        return
    longest = found[0]
    of = np.array(list(dict.fromkeys(run.series for run in found)))
    names = list(dict.fromkeys(run.column for run in found))
    share = max(sum(run.steps for run in found if run.column == name) for name in names) / series.raw.table.height
    severity: Severity = "note" if share < WORTH else severity_of_series(len(of), len(series.starts))
    whose = f" of {series.name(longest.series)}" if series.name(longest.series) else ""
    yield Finding(
        severity,
        f"{counted(len(found), 'stretch', 'stretches')}{series.named(of)} in {listed(names, 3)}: "
        f"{longest.column}{whose} is {figure(longest.value)} for {longest.steps:,} steps from "
        f"{series.time(longest.row)} on",
        (
            Measure("steps of the longest stretch", longest.steps, threshold=max(LEAST, LONGER * longest.usual)),
            Measure("share of stuck steps", share, threshold=WORTH),
        ),
        columns=tuple(names),
        places=series.places(np.array(list(dict.fromkeys(run.row for run in found)))),
        confidence=0.9,
        otherwise=("it was really so still", "missing values were filled with the last or the next one"),
        remedies=(Remedy("make these cells missing, or leave their rows out: a gap is honest."),),
    )


def stuck(evidence: DataEvidence) -> tuple[_Run, ...]:
    """The stretches of all series and columns in which one value is repeated for too long."""
    series = evidence.once(raw_series)
    return tuple(run for name in series.measured[:MOST_COLUMNS] for run in _of_column(series, name))


def _of_column(series: RawSeries, name: str) -> Iterator[_Run]:
    whole = series.numbers(name)
    rows = np.flatnonzero(~np.isnan(whole))
    if not len(rows):
        return
    values, of = whole[rows], series.of(rows)
    first = np.flatnonzero(np.r_[True, (values[1:] != values[:-1]) | (of[1:] != of[:-1])])
    steps = np.diff(np.r_[first, len(rows)])
    values, of = values[first], of[first]
    runs = np.bincount(of, minlength=len(series.starts))
    usual = _usual(of, steps, runs)
    far = (steps >= LEAST) & (steps >= LONGER * usual[of]) & (runs[of] >= MOVES)
    for number in np.unique(of[far]):
        here = of == number
        found, inverse = np.unique(values[here], return_inverse=True)
        if len(found) < RICH:
            continue
        visits, filled = np.bincount(inverse), np.bincount(inverse, np.where(far[here], 0, steps[here]))
        resting = filled >= RESTS * steps[here].sum()
        resting[[0, -1]] |= visits[[0, -1]] >= VISITS
        for place in np.flatnonzero(far & here)[~resting[inverse[far[here]]]]:
            run = int(rows[first[place]]), int(steps[place]), float(usual[number]), float(values[place])
            yield _Run(int(number), name, *run)


def _usual(of: Rows, steps: Rows, runs: Rows) -> Floats:
    """(series,): the length of a run that few of its runs exceed."""
    order = np.lexsort((-steps, of))
    rank = np.minimum(np.maximum(LEAST_RUNS, (USUAL * runs).astype(np.int64)), np.maximum(runs - 1, 0))
    return steps[order][np.minimum(np.cumsum(runs) - runs + rank, len(steps) - 1)].astype(np.float64)
