"""Series whose level or scale jumps once and stays: a moved sensor, another unit, a new way of counting."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np

from netwright.checks.data.grid import DAY, grid
from netwright.checks.data.raw_series import Floats, RawSeries, raw_series, severity_of_series
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.kinds.markup import figure
from netwright.records.errors import counted, listed
from netwright.records.finding import Finding, Measure, Remedy

WEEK, PLAIN = 7, 4  # steps in a block of days, and of other steps: a block's median has no outliers and no weekdays
SIDE = 7  # blocks on each side of a jump that are compared: one week of days, seven weeks of weeks
SCALE_SIDE = 21  # the same for a scale, which a block knows only within 40 %
LEAST_SIDE, SIDES = 3, 8  # in short series fewer, so that an eighth of it is a side
LEAST_BLOCKS = 24  # in fewer, eight sides do not fit
SCALE_JUMP = 7.0  # the same for a scale, which is measured on more blocks: 6 was exceeded in none of 600
JUMP = 8.0  # robust standard deviations of all other changes; without a jump 5 were exceeded in 1 of 300 series
APART = 3.0  # times half the range (5 % to 95 %) of the levels before, and of those after: random walks stay below 2
RANGE = 0.05, 0.95
LATER = 4  # sides before and after, between which half of the jump must be left: a week of rain is no shift
STILL = 0.1  # of the blocks may be without a scale; with more, the series is not one that always moves
TIMES = 2.0  # the scale is so many times larger or smaller
NORMAL = 1.4826  # a normal distribution's standard deviation over its median absolute deviation
SAME_TIME = 0.5  # of the jumps at one time: then all have one cause
MOST_COLUMNS = 20  # that are looked at, the targets first
FREE = 1e-9  # of the values: smaller spreads are rounding


@dataclass(frozen=True)
class _Shift:
    series: int
    column: str
    row: int  # the first one after it
    jump: float  # in robust standard deviations of other changes
    before: float
    after: float
    is_scale: bool


def level_shifts(evidence: DataEvidence) -> Iterator[Finding]:
    """level shifts

    Series whose level or scale jumps once, by far more than it usually changes, and stays there.

    Why it matters: a sensor was moved or exchanged, a unit or a way of counting changed. What the network learned
    before the jump does not hold after it, and if the jump is in the test part, the score is about the jump.

    How it is decided: a series is cut into blocks of a day, of 7 days, or of 4 steps (WEEK, PLAIN), each with its
    median as its level and the median distance of neighboring steps as its scale. At each block the 7 blocks (SIDE)
    after it, for a scale 21 (SCALE_SIDE), are compared with those before it. The largest change must be 8 robust
    standard deviations (JUMP; for a scale 7, SCALE_JUMP) from the other changes of this series, so that slopes, seasons
    and random walks, which change all the time, are not reported. And it must be 3 times (APART) half the range of the
    levels before it and of those after it, without the slope, and half as large over 4 sides (LATER): the level had
    never been there, and does not come back. A scale must also become 2 times larger or smaller (TIMES). It is a
    warning if 1 % of the series have one.
    """
    series = evidence.once(raw_series)
    found = evidence.once(shifts)
    if not found:
        return
    first = max(found, key=lambda one: one.jump)
    of = np.array(list(dict.fromkeys(one.series for one in sorted(found, key=lambda one: -one.jump))))
    rows = np.array(list(dict.fromkeys(one.row for one in sorted(found, key=lambda one: -one.jump))))
    names = list(dict.fromkeys(one.column for one in found))
    when, most = Counter(series.time(one.row) for one in found).most_common(1)[0]
    together = f"; {most:,} of them at {when}" if len(found) > 1 and most >= max(2, SAME_TIME * len(found)) else ""
    what = "scale" if first.is_scale else "level"
    whose = f" of {series.name(first.series)}" if series.name(first.series) else ""
    yield Finding(
        severity_of_series(len(of), len(series.starts)),
        f"{counted(len(found), 'jump')}{series.named(of)} in {listed(names, 3)}: the {what} of {first.column}{whose} "
        f"goes from {figure(first.before)} to {figure(first.after)} at {series.time(first.row)} and stays{together}",
        (Measure("robust standard deviations of the largest jump", first.jump, threshold=JUMP),),
        columns=tuple(names),
        places=series.places(rows),
        confidence=0.9,
        otherwise=("something lasting happened: a law, an opening, a new tariff",),
        remedies=(
            Remedy("rescale the values before the jump, if a sensor or a unit changed, or drop them."),
            Remedy("add a column that says what changed, known ahead (--known)."),
        ),
    )


def shifts(evidence: DataEvidence) -> tuple[_Shift, ...]:
    """The lasting jumps of all series, at most one of level and one of scale for each series and column."""
    series = evidence.once(raw_series)
    try:
        step, is_clock = evidence.once(grid).step, series.is_clock
    except Skip:
        step, is_clock = 0.0, False
    size = round(DAY / step) if is_clock and 0 < step < DAY else WEEK if is_clock and step == DAY else PLAIN
    found = list[_Shift]()
    for name in series.measured[:MOST_COLUMNS]:
        for some, values in series.blocks(series.numbers(name)):
            found += _of_block(series, name, some, values, size)
    return tuple(found)


def _of_block(series: RawSeries, name: str, some: Rows, values: Floats, size: int) -> Iterator[_Shift]:
    blocks = series.lengths[some] // size
    for count in np.unique(blocks[blocks >= LEAST_BLOCKS]):  # series of one length are judged together
        here = np.flatnonzero(blocks == count)
        cut = values[here, : count * size].reshape(len(here), count, size)
        steps = np.abs(np.diff(values[here, : count * size], axis=1, prepend=np.nan)).reshape(cut.shape)
        levels, scales = _filled(_medians(cut)), _medians(steps)
        scales[scales == 0] = np.nan  # half of such a block repeats a value
        moving = np.isnan(scales).mean(1) <= STILL
        scales = _filled(scales)
        logs = np.log(np.where(moving[:, None], scales, 1.0))
        for is_scale, numbers, shown, wide, bar, least in (
            (False, levels, levels, SIDE, JUMP, 0.0), (True, logs, scales, SCALE_SIDE, SCALE_JUMP, log(TIMES)),
        ):  # fmt: skip
            side = max(LEAST_SIDE, min(wide, count // SIDES))
            for place, at, jump in _jumps(numbers, side, bar, least):
                sides = shown[place, at - side : at], shown[place, at : at + side]
                before, after = (float(np.median(blocks)) for blocks in sides)
                row = at * size if is_scale else _exact(cut[place].ravel(), at * size, size)
                number = int(some[here[place]])
                yield _Shift(number, name, int(series.starts[number]) + row, jump, before, after, is_scale)


def _medians(cut: Floats) -> Floats:
    """(B, blocks): the median of each block, NaN if all of it is missing."""
    ordered = np.sort(cut, axis=2)  # NaN last
    known = (~np.isnan(cut)).sum(2)
    low, high = np.maximum(known - 1, 0) // 2, known // 2
    high = np.minimum(high, np.maximum(known - 1, 0))
    pick = [np.take_along_axis(ordered, place[:, :, None], 2)[:, :, 0] for place in (low, high)]
    return (pick[0] + pick[1]) / 2


def _filled(levels: Floats) -> Floats:
    """Missing levels become the last known one, those at the start the first."""
    there = ~np.isnan(levels)
    last = np.maximum.accumulate(np.where(there, np.arange(levels.shape[1]), -1), axis=1)
    first = there.argmax(1)[:, None]
    return np.nan_to_num(np.take_along_axis(levels, np.where(last < 0, first, last), 1))


def _jumps(levels: Floats, side: int, bar: float, least: float) -> Iterator[tuple[int, int, float]]:
    """(row of `levels`, first block after the jump, its size) of lasting jumps. (B, blocks)."""
    sums = np.cumsum(np.pad(levels, ((0, 0), (1, 0))), axis=1)
    at = np.arange(side, levels.shape[1] - side + 1)
    change = (sums[:, at + side] - 2 * sums[:, at] + sums[:, at - side]) / side
    slope = np.median(change, axis=1, keepdims=True)
    usual = NORMAL * np.median(np.abs(change - slope), axis=1)
    jump = np.abs(change - slope)
    size = jump.max(1)
    sure = (usual > FREE * np.abs(levels).max(1)) & (size >= bar * usual) & (size >= least)
    for place in np.flatnonzero(sure):
        split = int(at[jump[place].argmax()])
        plain = levels[place] - slope[place] / side * np.arange(levels.shape[1])
        before, after = plain[:split], plain[split:]
        apart, later = (abs(float(np.median(after[:k]) - np.median(before[-k:]))) for k in (side, LATER * side))
        smooth = (np.convolve(part, np.full(side, 1 / side), "valid") for part in (before, after))
        width = max(float(np.diff(np.quantile(part, RANGE))[0]) / 2 for part in smooth)
        if min(apart, 2 * later) >= APART * width and apart >= least:
            yield int(place), split, float(size[place] / usual[place])


def _exact(values: Floats, near: int, size: int) -> int:
    """The step at which values go from the level before to that after, within a block of `near`."""
    low, high = max(0, near - size), min(len(values), near + size)
    before, after = np.nanmedian(values[max(0, low - size) : low + 1]), np.nanmedian(values[high - 1 : high + size])
    costs = np.nan_to_num(np.abs(values[low:high] - before) - np.abs(values[low:high] - after))
    return low + int(np.r_[0.0, np.cumsum(costs)].argmin())
