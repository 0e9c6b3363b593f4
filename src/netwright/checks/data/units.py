"""Columns whose unit changes between rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from netwright.checks.data.columns import Columns, Floats, Mask, columns, fixes, listed_rows, share_text
from netwright.checks.data.missing import distinct, sentinels
from netwright.checks.evidence import DataEvidence
from netwright.data.split import Rows
from netwright.kinds.written import foreign_units
from netwright.records.errors import counted, listed
from netwright.records.finding import Finding, Measure, Remedy
from netwright.statistics import share

# (factor, base) of a greater number in terms of a smaller one, by name
UNITS = {
    "10 times": (10.0, 0.0),
    "100 times (percent, cents, cm to m)": (100.0, 0.0),
    "1000 times (milli, kilo, thousands)": (1000.0, 0.0),
    "a million times": (1e6, 0.0),
    "2.54 times (inches to cm)": (2.54, 0.0),
    "25.4 times (inches to mm)": (25.4, 0.0),
    "12 times (feet to inches, years to months)": (12.0, 0.0),
    "3.281 times (m to feet)": (3.28084, 0.0),
    "1.609 times (miles to km)": (1.609344, 0.0),
    "2.205 times (kg to pounds)": (2.204623, 0.0),
    "4.184 times (calories to joules)": (4.184, 0.0),
    "60 times (minutes to seconds)": (60.0, 0.0),
    "3600 times (hours to seconds)": (3600.0, 0.0),
    "24 times (days to hours)": (24.0, 0.0),
    "Fahrenheit among Celsius": (1.8, 32.0),
    "Kelvin among Celsius": (1.0, 273.15),
}
LEAST_ROWS = 100
LEAST_SHARE, LEAST_FEW = 0.005, 20  # of the rows: fewer in another unit are outlying values
LEAST_DISTINCT = 15  # on each side; fewer are two categories
HOLE = 0.15  # of the spread, between two clusters: gaps in a tail are smaller
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
ALIKE, ERROR = 0.06, 0.8  # largest error of quantiles, of the spread; and their sampling error times root of rows
APART = 4.0  # how many times better the quantiles fit after the change of unit
BLOCKS, BLOCK_ROWS = 40, 25  # blocks of the rows in order, at most; and rows in each, at least
JUMP = 6.0  # times the scatter of the blocks' medians about their two levels
SORTED = 0.3  # difference of a class's share between the stretch and the rest: then the rows are sorted by something


@dataclass(frozen=True)
class Change:
    """Rows of a column in another unit than most."""

    is_other: Mask
    text: str  # what the unit is
    factor: float  # a usual value = (value - base) / factor
    base: float
    miss: float  # error of quantiles after the change, of the spread
    where: str


def unit_changes(evidence: DataEvidence) -> Mapping[str, Change]:
    """For each numeric column, the change that was found."""
    seen = evidence.once(columns)
    found = dict[str, Change]()
    for name, x in seen.numbers.items():
        values, counts = evidence.once(distinct)[name]
        usable = np.isfinite(x)
        for code in evidence.once(sentinels).get(name, ()):
            usable &= ~code.is_here
            counts = counts[values != code.value]
            values = values[values != code.value]
        if usable.sum() < LEAST_ROWS or len(values) < 2 * LEAST_DISTINCT:
            continue
        change = _scattered(x, usable, values, counts) or _stretch(x, usable)
        if change is not None and not _is_sorted(evidence, change):
            found[name] = change
    return found


def unit_change(evidence: DataEvidence) -> Iterator[Finding]:
    """units that change

    Some rows of a column are in another unit than the others: metres and feet, Celsius and Fahrenheit, euros and cents.

    It is also a finding if cells say so: `$5` among `€5`.

    Why it matters: the same number means two things, and the network cannot know which. The column's scale is wrong for
    both.

    How it is decided: the values form two clusters with a gap between them, or a stretch of rows has medians that
    differ from the rest by six times their scatter (JUMP, of 40 blocks of rows, fewer if they would have less than 25).
    It is a finding if one cluster or stretch has the shape of the other after division by a factor between common
    units: its quantiles are off by less than 6 % of the spread (ALIKE, and 0.8 over the root of the rows for the
    sampling error), four times less than before (APART). It needs at least 0.5 % of the rows (LEAST_SHARE) and 20
    (LEAST_FEW); fewer are outlying values. Rows that are sorted by class are left out: their levels change for a
    reason.
    """
    seen = evidence.once(columns)
    yield from _written(seen)
    for name, change in evidence.once(unit_changes).items():
        rows = seen.rows[change.is_other]
        values = (seen.numbers[name][change.is_other] - change.base) / change.factor
        of = share(len(rows), len(seen.rows))
        yield Finding(
            "warning",
            f"{name} seems to be in another unit in {len(rows):,} rows ({share_text(of.value)}), {change.where}: "
            f"{change.text}",
            (
                of.measure("share of the rows"),
                Measure("error of the quantiles after the change", change.miss),
            ),
            (name,),
            listed_rows(rows),
            confidence=0.85,
            otherwise=("two groups of rows that naturally differ by such a factor",),
            remedies=(Remedy(f"write all of {name} in one unit."),),
            fixes=fixes(evidence, name, rows, "impute", [f"{v:.7g}" for v in values], 0.85),
        )


def _written(seen: Columns) -> Iterator[Finding]:
    """Numbers with another unit beside them than most: they are read as if it were the same."""
    for name, cells in seen.texts():
        units = foreign_units(cells) if name in seen.numbers else pl.Series(dtype=pl.String)
        rows = (
            seen.rows[np.isfinite(seen.numbers[name]) & units.is_not_null().to_numpy()] if len(units) else seen.rows[:0]
        )
        if len(rows):
            of = share(len(rows), len(seen.rows))
            others = listed(sorted(set(units.drop_nulls())))
            yield Finding(
                "warning",
                f"{name} has another unit in {counted(len(rows), 'row')} ({share_text(of.value)}) than in the others: "
                f"{others}; the numbers are read as they are",
                (of.measure("share of the rows"),),
                (name,),
                listed_rows(rows),
                confidence=0.99,
                remedies=(Remedy(f"convert all of {name} to one unit."),),
            )


def _scattered(x: Floats, usable: Mask, values: Floats, counts: Rows) -> Change | None:
    """Two clusters with a gap between them."""
    below = np.cumsum(counts)[:-1]
    least = max(LEAST_FEW, LEAST_SHARE * counts.sum())
    fair = (below >= least) & (counts.sum() - below >= least)
    for heights in (np.log(values), values) if values[0] > 0 else (values,):
        gaps = np.where(fair, np.diff(heights), 0.0)
        cut = int(gaps.argmax())
        if gaps[cut] < HOLE * _width(heights, counts, cut) or min(cut + 1, len(values) - cut - 1) < LEAST_DISTINCT:
            continue
        is_high = usable & (x > (values[cut] + values[cut + 1]) / 2)
        is_other = is_high if is_high.sum() * 2 <= usable.sum() else usable & ~is_high
        found = _matched(x, is_other, usable & ~is_other, "scattered")
        if found is not None:
            return found
    return None


def _width(heights: Floats, counts: Rows, cut: int) -> float:
    """From the tenth to the ninetieth percentile of the larger cluster."""
    below, above = slice(None, cut + 1), slice(cut + 1, None)
    heap = below if counts[below].sum() >= counts[above].sum() else above
    reached = np.cumsum(counts[heap]) / counts[heap].sum()
    low, high = np.searchsorted(reached, (0.1, 0.9))
    return float(heights[heap][high] - heights[heap][low])


def _stretch(x: Floats, usable: Mask) -> Change | None:
    """Rows from one place to another whose medians differ from the rest."""
    places = np.flatnonzero(usable)
    heights = np.log(x[places]) if x[places].min() > 0 else x[places]
    blocks = min(BLOCKS, len(places) // BLOCK_ROWS)
    bounds = np.linspace(0, len(places), blocks + 1).astype(int)
    medians = _medians(heights, bounds)
    sums = np.concatenate([[0.0], np.cumsum(medians)])
    starts, ends = _stretches(blocks)
    size = ends - starts
    inside = (sums[ends] - sums[starts]) / size
    outside = (sums[-1] - inside * size) / (blocks - size)
    best = int(((inside - outside) ** 2 * size * (blocks - size)).argmax())
    start, end = int(starts[best]), int(ends[best])
    is_inside = np.zeros(blocks, bool)
    is_inside[start:end] = True
    levels = np.where(is_inside, np.median(medians[is_inside]), np.median(medians[~is_inside]))
    stray = 1.5 * float(np.quantile(np.abs(medians - levels), 0.75))
    if abs(levels[start] - levels[(start - 1) if start else end]) < max(JUMP * stray, 1e-9):
        return None
    nearer = np.sign(np.abs(heights - levels[(start - 1) if start else end]) - np.abs(heights - levels[start]))
    first, last = _edges(nearer, bounds, start, end)
    is_other = np.zeros(len(x), bool)
    is_other[places[first:last]] = True
    where = f"from row {places[first]:,} to {places[last - 1]:,} in their order"
    return _matched(x, is_other, usable & ~is_other, where)


def _medians(heights: Floats, bounds: Rows) -> Floats:
    """Of each block; all blocks of one length at once, since thousands of columns have 40 each."""
    starts, lengths = bounds[:-1], np.diff(bounds)
    medians = np.empty(len(lengths))
    for length in np.unique(lengths):
        here = lengths == length
        medians[here] = np.median(heights[starts[here, None] + np.arange(length)], axis=1)
    return medians


@cache
def _stretches(blocks: int) -> tuple[Rows, Rows]:
    """The first block of each stretch to try, and the block after its last one."""
    starts, ends = np.triu_indices(blocks + 1, 2)
    fair = (ends - starts <= blocks / 2) & ((starts == 0) | (ends == blocks) | (ends - starts >= 2))
    return starts[fair], ends[fair]


def _edges(nearer: Floats, bounds: Rows, start: int, end: int) -> tuple[int, int]:
    """The start and end of the stretch, within a block of those of its blocks: most rows inside are nearer to it."""
    sums = np.concatenate([[0.0], np.cumsum(nearer)])
    first, last = int(bounds[start]), int(bounds[end])
    if start:
        around = slice(int(bounds[start - 1]), int(bounds[start + 1]) + 1)
        first = around.start + int(sums[around].argmin())
    if end < len(bounds) - 1:
        around = slice(int(bounds[end - 1]), int(bounds[end + 1]) + 1)
        last = around.start + int(sums[around].argmax())
    return first, max(last, first + 1)


def _matched(x: Floats, is_other: Mask, is_usual: Mask, where: str) -> Change | None:
    """The change of unit that makes the few rows look like the many."""
    few, many = x[is_other], x[is_usual]
    if len(few) < LEAST_FEW or len(many) < LEAST_FEW:
        return None
    is_greater = np.median(few) > np.median(many)
    if min(len(np.unique(few)), len(np.unique(many))) < LEAST_DISTINCT:
        return None
    # Amounts in logarithms: the end of a long tail is as wide as all the rest, but narrow in logarithms.
    scale = np.log if few.min() > 0 and many.min() > 0 else np.asarray
    goal, given = scale(np.quantile(many, QUANTILES)), np.quantile(few, QUANTILES)
    spread = float(goal[-1] - goal[0])
    if spread <= 0:
        return None
    before = float(np.abs(scale(given) - goal).max()) / spread
    best: Change | None = None
    for text, (factor, base) in UNITS.items():
        divisor, shift = (factor, base) if is_greater else (1 / factor, -base / factor)
        changed = (given - shift) / divisor
        if scale is np.log and changed[0] <= 0:
            continue
        miss = float(np.abs(scale(changed) - goal).max()) / spread
        if best is None or miss < best.miss:
            best = Change(is_other, text if is_greater else f"the inverse of {text}", divisor, shift, miss, where)
    allowed = ALIKE + ERROR / float(np.sqrt(min(len(few), len(many))))
    return best if best is not None and best.miss <= allowed and best.miss * APART <= before else None


def _is_sorted(evidence: DataEvidence, change: Change) -> bool:
    """Whether the rows of another level have other classes too."""
    seen = evidence.once(columns)
    for target in seen.targets:
        cells = seen.table[target]
        if cells.n_unique() > BLOCKS:
            continue
        codes = cells.rank("dense").fill_null(0).to_numpy().astype(np.int64)
        shares = [
            np.bincount(codes[w], minlength=codes.max() + 1) / max(w.sum(), 1)
            for w in (change.is_other, ~change.is_other)
        ]
        if np.abs(shares[0] - shares[1]).max() > SORTED:
            return True
    return False
