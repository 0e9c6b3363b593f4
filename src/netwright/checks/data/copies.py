"""Series that are copies of others: the same values over a long stretch, perhaps in another unit or moved in time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netwright.checks.data.raw_series import Floats, RawSeries, raw_series, severity_of_series
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.records.errors import counted
from netwright.records.finding import Finding, Measure, Remedy

AROUND = 12  # steps on each side of which a change is the largest: then it is an anchor, wherever the series begins
LENGTH = 24  # changes that follow an anchor and are compared
BITS, TABLES = 20, 4  # signs of projections: of copies with a twentieth of noise, a fifth agree in all 20
MOST_BUCKET = 30  # anchors that look alike; more of them follow a pattern
MOST_PAIRS = 5_000  # pairs that are compared in full, those that share the most anchors first: 3 seconds
MOST_ALIKE = 4_000_000  # pairs of anchors that are counted by lag
LEAST_STRETCH = 48  # steps
MOST_OF_SHORT = 0.8  # of a series of fewer steps
NEEDED = 150.0  # bits of surprise in a stretch that agrees; among 10,000 series of 1,000 steps 37 come by chance
DECIMALS = 6  # that values are written with, at most
FAR = 2_000  # steps before and after an anchor that are compared at first
MOSTLY = 0.9  # share of the steps that are equal: then the copy is exact
NOISE = 0.04  # of the spread of second differences: what a copy may differ by; measurements of one thing differ by more
EXACT = 1e-5  # of a number: rounding of float32
OFTEN = 2  # anchors that two series share at one lag; a single one is chance in most cases

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class _Anchors:
    """Places where a series changes more than around them, and how it goes on."""

    of: Rows  # numbers of series (of one target: of target k, k times the number of series is added)
    rows: Rows  # of the data
    keys: Hashes  # (anchors, TABLES)


@dataclass(frozen=True)
class Copy:
    """A stretch of one series that another one has too."""

    one: int  # numbers as in `_Anchors.of`
    other: int
    row: int  # the first of the stretch in `one`, and in `other`
    other_row: int
    steps: int
    factor: float  # `other` is so many times `one`
    bits: float


def copied_series(evidence: DataEvidence) -> Iterator[Finding]:
    """series that are copies

    A long stretch of one series is equal to a stretch of another one, also if it is in another unit or moved in time.

    Why it matters: one of the two was not measured. Copies count twice, and if one of them runs ahead of the other, the
    network knows its future.

    How it is decided: at each step that changes more than the 12 steps (AROUND) before and after it, the next 24
    changes (LENGTH), divided by the first, are hashed by signs of random projections. Series that share two such places
    (OFTEN) at one lag are compared step by step: a straight line must turn one into the other up to the rounding of
    their decimals, for 48 steps (LEAST_STRETCH), or 80 % (MOST_OF_SHORT) of a shorter series. The changes that agree
    must be worth 150 bits (NEEDED), by how often each occurs in its series, so that constant series, zeros and small
    counts, which agree by chance, are not reported. It is a warning if 1 % of the series are copies.
    """
    series = evidence.once(raw_series)
    found = evidence.once(copies)
    if not found:
        return
    best = max(found, key=lambda copy: copy.bits)
    count = len(series.starts)
    both = np.unique([number % count for copy in found for number in (copy.one, copy.other)])
    names = [f"{series.raw.targets[n // count]}{' of ' * bool(series.name(n % count))}{series.name(n % count)}"
             for n in (best.one, best.other)]  # fmt: skip
    lag = (best.other_row - series.starts[best.other % count]) - (best.row - series.starts[best.one % count])
    moved = f", {counted(abs(int(lag)), 'step')} {'later' if lag > 0 else 'earlier'}" if lag else ""
    scaled = "" if abs(best.factor - 1) < EXACT else f" times {best.factor:.4g}"
    yield Finding(
        severity_of_series(len(found), max(count, len(series.raw.targets))),
        f"{counted(len(found), 'pair')} of series{series.named(both)}: {names[1]} is {names[0]}{scaled}{moved} for "
        f"{best.steps:,} steps from {series.time(best.row)} on",
        (Measure("bits of surprise in the stretch", best.bits, threshold=NEEDED),),
        columns=series.raw.targets,
        places=series.places(np.array([row for copy in found for row in (copy.row, copy.other_row)])),
        confidence=0.95,
        otherwise=("both are computed from one measurement",),
        remedies=(Remedy("keep one of the two, or find out which one was measured."),),
    )


def copies(evidence: DataEvidence) -> tuple[Copy, ...]:
    """Pairs of series with a common stretch, for each pair the longest."""
    series = evidence.once(raw_series)
    if len(series.starts) * len(series.raw.targets) < 2:
        raise Skip("there is one series")
    anchors = _anchors(series, evidence.seed)
    found, halves = dict[tuple[int, int], Copy](), dict[int, float]()
    for one, other in _candidates(anchors):
        pair = int(anchors.of[one]), int(anchors.of[other])
        for number in pair:
            if number not in halves:
                halves[number] = half_unit(_own(series, number))
        rows = int(anchors.rows[one]), int(anchors.rows[other])
        copy = _compared(series, pair, rows, [halves[number] for number in pair])
        if copy is not None and (pair not in found or copy.steps > found[pair].steps):
            found[pair] = copy
    return tuple(found.values())


def _own(series: RawSeries, number: int) -> Floats:
    """The values of one series of one target."""
    target, place = divmod(number, len(series.starts))
    return series.numbers(series.raw.targets[target])[series.starts[place] : series.ends[place]]


def _anchors(series: RawSeries, seed: int) -> _Anchors:
    from scipy.ndimage import maximum_filter1d

    generator = np.random.default_rng(seed)
    planes = generator.normal(size=(LENGTH, TABLES * BITS)).astype(np.float32)
    powers = (1 << np.arange(BITS, dtype=np.uint64)).astype(np.uint64)
    parts = list[tuple[Rows, Rows, Hashes]]()
    for target, name in enumerate(series.raw.targets):
        for some, values in series.blocks(series.numbers(name)):
            change = np.nan_to_num(np.diff(values, axis=1)).astype(np.float32)
            if change.shape[1] <= LENGTH:
                continue
            size = np.abs(change)
            peak = maximum_filter1d(size, 2 * AROUND + 1, axis=1, mode="constant")
            before = maximum_filter1d(size, AROUND, axis=1, mode="constant", origin=AROUND // 2 - 1)
            is_anchor = (size == peak) & (size > 0)
            is_anchor[:, 1:] &= size[:, 1:] > before[:, :-1]  # of equal changes the first
            is_anchor[:, -LENGTH:] = False
            place, step = np.nonzero(is_anchor)
            after = change[place[:, None], step[:, None] + np.arange(LENGTH)] / change[place, step][:, None]
            signs = (after @ planes > 0).reshape(len(place), TABLES, BITS)
            parts.append(
                (some[place] + target * len(series.starts), series.starts[some[place]] + step, signs @ powers)
            )  # fmt: skip
    if not parts:
        raise Skip(f"no series has more than {LENGTH} steps")
    of, rows, keys = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Anchors(of, rows, keys)


def _candidates(anchors: _Anchors) -> list[tuple[int, int]]:
    """Pairs of anchors of different series that look alike, one for each pair of series and lag that has several."""
    pairs = list[NDArray[np.int64]]()
    for table in range(TABLES):
        order = np.argsort(anchors.keys[:, table], kind="stable")
        keys = anchors.keys[order, table]
        _, bucket, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        for apart in range(1, MOST_BUCKET):
            alike = np.flatnonzero((keys[apart:] == keys[:-apart]) & (sizes[bucket[apart:]] <= MOST_BUCKET))
            if not len(alike):
                break
            pairs.append(np.column_stack([order[alike], order[alike + apart]]))
    if not pairs:
        return []
    both = np.concatenate(pairs)[:MOST_ALIKE]
    of, rows = anchors.of[both], anchors.rows[both]
    swap = of[:, 0] > of[:, 1]
    both[swap] = both[swap][:, ::-1]
    both = np.unique(both[of[:, 0] != of[:, 1]], axis=0)
    of, rows = anchors.of[both], anchors.rows[both]
    keys = np.column_stack([of, rows[:, 1] - rows[:, 0]])
    _, first, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
    often = np.flatnonzero(counts >= OFTEN)
    often = often[np.argsort(-counts[often], kind="stable")[:MOST_PAIRS]]
    return [(int(one), int(other)) for one, other in both[first[often]]]


def _compared(series: RawSeries, pair: tuple[int, int], rows: tuple[int, int], halves: list[float]) -> Copy | None:
    """The stretch around two rows in which one series is a line of the other; None if it is short or says little.

    `halves` are half the units in which the two are written.
    """
    count = len(series.starts)
    starts, ends = (edges[[number % count for number in pair]] for edges in (series.starts, series.ends))
    back, ahead = int((rows - starts).min()), int((ends - rows).min())
    first = np.array(rows) - back
    x, y = (series.numbers(series.raw.targets[number // count])[at : at + back + ahead]
            for number, at in zip(pair, first.tolist(), strict=True))  # fmt: skip
    low, high, near = max(0, back - 1), back + LENGTH, (max(0, back - FAR), min(back + FAR, len(x)))
    for begin, end in (near, near, (0, len(x))):  # the line of a few steps finds more of them, and they a better line
        line = _line(x[low:high], y[low:high], halves)
        if line is None:
            return None
        off = np.abs(y[begin:end] - line.factor * x[begin:end] - line.base)
        low, high = (begin + edge for edge in _run(off <= line.off, back + 1 - begin))
    steps, shorter = high - low, int((ends - starts).min())
    if steps < min(LEAST_STRETCH, MOST_OF_SHORT * shorter):
        return None
    bits = min(_surprise(x, low, high, line.off / abs(line.factor)), _surprise(y, low, high, line.off))
    if bits < NEEDED:
        return None
    return Copy(pair[0], pair[1], int(first[0]) + low, int(first[1]) + low, steps, line.factor, bits)


@dataclass(frozen=True)
class _Line:
    """`factor` times one series and `base` is the other one, but for `off`."""

    factor: float
    base: float
    off: float


def _line(u: Floats, v: Floats, halves: list[float]) -> _Line | None:
    """The line through some steps of two series; None if there are few, or if one of them never changes."""
    there = ~np.isnan(u) & ~np.isnan(v)
    u, v = u[there], v[there]
    if len(u) < LENGTH // 2 or np.ptp(u) == 0 or np.ptp(v) == 0:
        return None
    exact = EXACT * float(np.abs(v).max())
    base = float(np.median(v - u))
    if np.mean(np.abs(v - u - base) <= exact) > MOSTLY:
        return _Line(1.0, base, exact)  # nothing was rounded again
    factor, base = (float(number) for number in np.polyfit(u, v, 1))
    if factor == 0:
        return None
    rounded = 2 * (halves[1] + abs(factor) * halves[0])
    return _Line(factor, base, max(rounded, exact, NOISE * float(np.std(np.diff(v, 2)))))


def _run(agrees: NDArray[np.bool_], at: int) -> tuple[int, int]:
    """The stretch without a break around a step; empty if the step itself disagrees."""
    breaks = np.flatnonzero(~agrees)
    place = int(np.searchsorted(breaks, at))
    low = int(breaks[place - 1]) + 1 if place else 0
    return low, int(breaks[place]) if place < len(breaks) else len(agrees)


def half_unit(values: Floats) -> float:
    """Half a unit of the last decimal that values are written with; 0 if they have more than DECIMALS."""
    known = values[~np.isnan(values)]
    for decimals in range(DECIMALS):
        scaled = known * 10.0**decimals
        if np.abs(scaled - scaled.round()).max(initial=0.0) <= EXACT * max(
            1.0, EXACT * np.abs(scaled).max(initial=0.0)
        ):
            return 0.5 * 10.0**-decimals
    return 0.0


def _surprise(values: Floats, low: int, high: int, off: float) -> float:
    """Bits: how unlikely it is that the steps from `low` to `high` come so close, if they are drawn from all.

    Second differences are drawn, which do not show what changes smoothly; they are off by up to 4 times as much.
    """
    changes = np.diff(values, 2)
    known = np.sort(changes[~np.isnan(changes)])
    here = changes[low : high - 2]
    here = here[~np.isnan(here)]
    alike = np.searchsorted(known, here + 4 * off, "right") - np.searchsorted(known, here - 4 * off)
    return float(np.log2(len(known) / np.maximum(alike, 1)).sum())
