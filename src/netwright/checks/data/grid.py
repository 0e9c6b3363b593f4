"""Times of series: steps that are missing, and hours that clocks skip or repeat."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from netwright.checks.data.raw_series import Floats, RawSeries, raw_series
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.records.errors import counted, listed
from netwright.records.finding import Finding, Measure, Remedy
from netwright.statistics import share as share_of
from netwright.tasks.doubles import doubles

HOUR, DAY, WEEK = 3_600.0, 86_400.0, 604_800.0
LONGER = 1.5  # usual steps: months differ by a tenth, clocks drift; a missing step doubles the distance
MULTIPLE = 0.1  # of a step that a distance may be away from a multiple: months again
ON_GRID = 0.95  # share of the distances that are multiples of the usual one; events at random times have half of that
CLOSED = 0.05  # share of the weeks in which a slot of the week has a row; below, it is closed: nights, weekends
WEEKS = 4  # that show which slots are closed
USUAL = 0.98  # share of the distances that are usual where slots are closed
TWICE = 2.0  # times the longest usual distance, where slots are closed: holidays next to weekends are usual
MOST_EXPANDED = 5_000_000  # missing steps that are looked at one by one
WORTH = 0.01  # share of missing steps: with 100 steps in a window, a gap then falls into every other one

SKIPPED = 0.25  # share of the rows of the hours before and after that an hour lacks, or has in addition
HOURS = (0, 1, 2, 3)  # in which clocks are changed
BY_CHANCE = 0.02  # probability that as many of the dates show it as other days do


@dataclass(frozen=True, eq=False)
class Grid:
    """The usual step, and the rows before which steps are missing."""

    step: float  # in seconds, or in the unit of the column
    is_closed: bool  # whether some hours or days of the week never have rows
    rows: Rows  # the first rows after a gap, in the order of the data
    missing: Rows  # for each of them the steps that are missing before it


def grid(evidence: DataEvidence) -> Grid:
    """The grid that the times of all series are on. Raises Skip if they are on none."""
    series = evidence.once(raw_series)
    if series.seconds is None:
        raise Skip("there is no column of times (--time)")
    apart = np.diff(series.seconds)
    inside = np.ones(len(apart), bool)
    inside[series.starts[1:] - 1] = False
    inside &= apart > 0
    if not inside.any():
        raise Skip("no series has two rows")
    step = float(np.median(apart[inside]))
    usual = apart[inside] / step
    if (np.abs(usual - usual.round()) <= MULTIPLE * np.maximum(usual, 1)).mean() < ON_GRID:
        raise Skip("times are not evenly spaced")
    rows = np.flatnonzero(inside & (apart > LONGER * step)) + 1
    missing = (apart[rows - 1] / step).round().astype(np.int64) - 1
    is_closed = series.is_clock and _closes(series.seconds, step)
    if is_closed:
        longest = TWICE * float(np.quantile(apart[inside], USUAL))
        rows, missing = rows[apart[rows - 1] > longest], missing[apart[rows - 1] > longest]
        missing = _open(series.seconds, step, rows, missing)
    return Grid(step, is_closed, rows[missing > 0], missing[missing > 0])


def _slots(seconds: Floats, step: float) -> Rows:
    """The number of the slot of the week at each time."""
    return ((seconds % WEEK) / step).astype(np.int64)


def _is_open(seconds: Floats, step: float) -> np.ndarray:
    """For each slot of the week, whether it has rows."""
    moments = np.unique(seconds)
    weeks = (moments[-1] - moments[0]) / WEEK
    counts = np.bincount(_slots(moments, step), minlength=int(np.ceil(WEEK / step)))
    return counts >= CLOSED * weeks


def _closes(seconds: Floats, step: float) -> bool:
    if step >= WEEK / 2 or seconds.max() - seconds.min() < WEEKS * WEEK:
        return False
    return not _is_open(seconds, step).all()


def _open(seconds: Floats, step: float, rows: Rows, missing: Rows) -> Rows:
    """Of the missing steps before each row, those in slots that are open."""
    if missing.sum() > MOST_EXPANDED:
        return missing
    is_open = _is_open(seconds, step)
    of = np.repeat(np.arange(len(rows)), missing)
    number = np.arange(len(of)) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    slots = _slots(seconds[rows - 1][of] + number * step, step)
    return np.bincount(of, is_open[np.minimum(slots, len(is_open) - 1)], minlength=len(rows)).astype(np.int64)


def gaps(evidence: DataEvidence) -> Iterator[Finding]:
    """missing time steps

    Steps of the regular grid of times for which a series has no row, or no value of a target.

    Why it matters: these steps are unknown: the network cannot look back at them, is not scored on them, and windows of
    which they are most are left out. In sales a missing row often means that nothing was sold; then what is learned is
    too high without it.

    How it is decided: the usual step is the median distance of two rows of a series. Times are on a grid if 95 % of the
    distances (ON_GRID) are multiples of it; else they are not judged. Distances of more than 1.5 steps (LONGER) are
    gaps. If some hours or days of the week have rows in less than 5 % of the weeks (CLOSED), such as nights and
    weekends, only distances of more than twice the usual ones (TWICE) count, and only steps in open hours. It is a
    warning from 1 % missing steps (WORTH), below that a note.
    """
    series = evidence.once(raw_series)
    found = [one for name in series.raw.targets for one in _without_value(series, name)]
    try:
        found += _without_row(series, evidence.once(grid))
    except Skip:
        if not found:
            raise
    yield from found


def _without_value(series: RawSeries, name: str) -> Iterator[Finding]:
    """The rows in which a target is missing, and the longest stretch of them."""
    is_lost = np.isnan(series.numbers(name))
    lost = np.flatnonzero(is_lost)
    if not len(lost):
        return
    of = series.of(lost)
    begins = np.flatnonzero((np.diff(lost, prepend=-2) > 1) | (np.diff(of, prepend=-1) > 0))
    lengths = np.diff(np.r_[begins, len(lost)])
    order = np.argsort(-lengths, kind="stable")
    row, share = int(lost[begins[order[0]]]), share_of(len(lost), len(is_lost))
    worst = np.argsort(-np.bincount(of, minlength=len(series.starts)), kind="stable")[: len(np.unique(of))]
    yield Finding(
        "warning" if share.value >= WORTH else "note",
        f"{counted(len(lost), 'value')} of {name}{series.named(worst)} {'are' if len(lost) > 1 else 'is'} missing, "
        f"{share.value:.2%} of all; most in a row are {counted(int(lengths[order[0]]), 'step')} from "
        f"{series.time(row)} on",
        (Measure("share of missing values", share.value, threshold=WORTH),),
        columns=(name,),
        title="missing values of the target",
        places=series.places(lost[begins[order]]),
        remedies=(Remedy("find out why they are missing: a forecast cannot be judged there."),),
    )


def _without_row(series: RawSeries, found: Grid) -> Iterator[Finding]:
    """The gaps between rows."""
    if not len(found.rows):
        return
    steps = int(found.missing.sum())
    missing = share_of(steps, steps + series.raw.table.height)
    of = series.of(found.rows)
    worst = np.argsort(-np.bincount(of, found.missing, minlength=len(series.starts)), kind="stable")
    longest = found.rows[np.argsort(-found.missing, kind="stable")]
    row = int(longest[0])
    yield Finding(
        "warning" if missing.value >= WORTH else "note",
        f"{counted(steps, 'step')} in {counted(len(found.rows), 'gap')}{series.named(worst[: len(np.unique(of))])} "
        f"{'have' if steps > 1 else 'has'} no row, {missing.value:.2%} of all; the longest gap is "
        f"{counted(int(found.missing.max()), 'step')} from {series.time(row - 1)} to {series.time(row)}",
        (Measure("share of missing steps", missing.value, threshold=WORTH),),
        columns=(series.raw.source.time,),
        places=series.places(longest),
        confidence=0.95,
        otherwise=("nothing happened there, and such steps are left out on purpose",),
        remedies=(
            Remedy("insert the missing steps; where a missing row means that nothing was sold or counted, with 0."),
        ),
    )


@dataclass(frozen=True)
class _Rule:
    """When a region changes its clocks."""

    region: str
    spring: tuple[int, int]  # month, and which Sunday of it: 1, 2, ..., or -1 for the last
    autumn: tuple[int, int]


RULES = (
    _Rule("Europe", (3, -1), (10, -1)),
    _Rule("North America", (3, 2), (11, 1)),
    _Rule("North America before 2007", (4, 1), (10, -1)),
    _Rule("Australia", (10, 1), (4, 1)),
    _Rule("New Zealand", (9, -1), (4, 1)),
)


def clock_changes(evidence: DataEvidence) -> Iterator[Finding]:
    """clocks that change

    Times are those of a clock that is put forward in spring and back in autumn: on these Sundays one hour is missing,
    and one comes twice.

    Why it matters: after each change everything is one step away from where the network looks for it: what happened at
    the same hour yesterday is 23 or 25 steps ago.

    How it is decided: for steps of an hour or less. On the Sundays on which Europe, North America, Australia or New
    Zealand change their clocks, an hour between 0:00 and 4:00 has at least a quarter (SKIPPED) fewer or more rows than
    the hours before and after it. It is reported if nearly all such Sundays show it and if other days show it so
    rarely that chance would give as many in fewer than 2 % of such data (BY_CHANCE).
    """
    series = evidence.once(raw_series)
    found = evidence.once(grid)
    if not series.is_clock or series.seconds is None or found.step > HOUR:
        raise Skip("there are no times of hours or less")
    seconds = series.seconds[~doubles(series.raw)[0]]  # copies are no clock changes
    first = int(seconds.min() // DAY)
    hours = np.bincount((seconds // HOUR).astype(np.int64) - first * 24)
    hours = np.pad(hours, (0, -len(hours) % 24)).astype(np.float64)
    around = (np.roll(hours, 1) + np.roll(hours, -1)) / 2
    off = np.where(around > 0, hours / np.maximum(around, 1), np.nan).reshape(-1, 24)
    best = max(
        (_matched(rule, sign, off, first) for rule in RULES for sign in (-1, 1)),
        key=lambda one: one.score,
        default=None,
    )
    if best is None or not best.days:
        return
    where = [first + day for day in best.days]
    what = "is missing" if best.sign < 0 else "comes twice"
    dates = [str(date(1970, 1, 1) + timedelta(days=day)) for day in where]
    rows = np.array([int(np.abs(series.seconds - (day * DAY + best.hour * HOUR)).argmin()) for day in where])
    yield Finding(
        "warning",
        f"the hour from {best.hour}:00 {what} on {listed(dates, 3)}, when clocks change in {best.region}",
        (Measure("share of other days that show it", best.others, threshold=BY_CHANCE),),
        columns=(series.raw.source.time,),
        places=series.places(rows),
        confidence=0.95,
        otherwise=("measuring paused on these days",),
        remedies=(Remedy("write times in UTC, or in the standard time of the whole year."),),
    )


@dataclass(frozen=True)
class _Match:
    region: str
    sign: int  # -1: an hour is missing; 1: it comes twice
    hour: int
    days: tuple[int, ...]  # after the first day
    others: float  # share of the other days that show it
    score: float


def _matched(rule: _Rule, sign: int, off: Floats, first: int) -> _Match:
    """How well a rule explains hours with too few (-1) or too many (1) rows."""
    month, which = rule.spring if sign < 0 else rule.autumn
    begin, end = (date(1970, 1, 1) + timedelta(days=first + day) for day in (0, len(off) - 1))
    sundays = [_sunday(year, month, which) for year in range(begin.year, end.year + 1)]
    days = np.array([(day - begin).days for day in sundays if begin < day < end], np.int64)
    nothing = _Match(rule.region, sign, 0, (), 1.0, 0.0)
    if not len(days):
        return nothing
    best = nothing
    for hour in HOURS:
        judged = ~np.isnan(off[:, hour])
        shows = judged & (sign * (off[:, hour] - 1) >= SKIPPED)
        hits, seen = days[shows[days]], int(judged[days].sum())
        others = (int(shows.sum()) - len(hits) + 0.5) / (len(off) - len(days) + 1)  # Jeffreys
        chance = others ** len(hits) if len(hits) else 1.0
        if len(hits) * 5 >= seen * 4 and chance <= BY_CHANCE and -np.log(chance) > best.score:
            best = _Match(rule.region, sign, hour, tuple(hits.tolist()), others, float(-np.log(chance)))
    return best


def _sunday(year: int, month: int, which: int) -> date:
    """The first, second, ... or with -1 the last Sunday of a month."""
    if which < 0:
        last = date(year, month + 1, 1) - timedelta(days=1)
        return last - timedelta(days=(last.weekday() + 1) % 7)
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (which - 1))
