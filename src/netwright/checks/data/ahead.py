"""Columns that hold what a forecast should find out: the target of later steps, or the target itself."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from netwright.checks.data.columns import as_numbers
from netwright.checks.data.formulas import joint_leaks
from netwright.checks.data.raw_series import Floats, RawSeries, raw_series
from netwright.checks.data.target_leaks import LOOKED_AT, leaking_columns
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.dataset import Dataset
from netwright.records.errors import counted
from netwright.records.finding import Finding, Measure, Remedy

MOST_STEPS = 20_000  # that are compared: correlations are then known within 0.015
STRETCH = 4_000  # of one series
LEAST_STEPS = 200  # fewer agree by chance
FAR = 1_000  # steps ahead and back at which a column is compared with the target
COPY = 0.99  # correlation of changes from which on a column is the target of another step; weather has 0.6 at most
OPENLY = 0.9  # the same at a step that is known anyway: then the target repeats itself, and its cycle is taken off
NEAR = 24  # steps ahead and back of which a column may be a sum: averages over a day of hours around the step
PROMISING = 0.3  # sum of the squares of correlations around the step, without which no line is tried
LEFT = 0.02  # share of a column's changes that the target around it leaves: rounding
SAME = 0.98  # of the highest correlation, from which on the nearest step has it: a day ago, not three weeks
HIDDEN, MOSTLY = 0.005, 0.1  # the part of the target that is known then leaves more than this, and ten times as much
MOST_COLUMNS, MOST_TARGETS = 40, 10
CLIP = 4.0  # spreads of the changes: one filled cell at the end of a series must not decide
FREE = 1e-9  # of a column's spread: smaller changes are rounding


@dataclass(frozen=True)
class _Leak:
    column: str
    target: str
    lead: int  # steps that it is ahead; negative for one that is late, but known ahead too early
    share: float  # correlation of changes with the target at `lead`, or of a sum around the step
    is_sum: bool


def future_leaks(evidence: DataEvidence) -> Iterator[Finding]:
    """columns that know the future

    A column holds the target of a later step, or a mean of steps around it. For a column that is known ahead
    (--known), the target of any step that is still to be predicted is too much; for that of its own step see NW186.

    Why it matters: the forecast is read off this column and scores are near perfect. In use, the column's value is as
    unknown as the target.

    How it is decided: the changes from step to step of the column and of the target are compared, so that seasons and
    trends, which all series share, count little. It is a finding if they correlate by 0.99 (COPY) at a step that is not
    known then, up to 1,000 steps (FAR) away, and by less than 0.9 (OPENLY) at all steps that are; what repeats itself
    in a cycle is taken off first. It is also one if a straight line of the target's changes up to 24 steps (NEAR) ahead
    and back leaves less than 2 % of the column's changes (LEFT), and those that are known leave ten times as much
    (HIDDEN, MOSTLY).
    """
    series = evidence.once(raw_series)
    for leak in evidence.once(leaks_ahead):
        is_known = leak.column in series.raw.source.known
        steps = counted(abs(leak.lead), "step")
        when = f"{steps} {'later' if leak.lead > 0 else 'earlier'}"
        what = f"a sum of {leak.target} around its step" if leak.is_sum else f"{leak.target} {when}"
        how = ", and it is said to be known ahead" if is_known else ""
        advice = f"drop it with --drop {leak.column}, unless its value is known at its own step."
        if is_known:
            advice = f"leave it out of --known, or drop it (--drop {leak.column})."
        yield Finding(
            "error",
            f"{leak.column} is {what}{how}",
            (Measure("correlation of the changes", leak.share, threshold=COPY if not leak.is_sum else 1 - LEFT),),
            columns=(leak.column,),
            confidence=0.95,
            otherwise=("it is known so early, as today's closing price is tomorrow's opening price",),
            remedies=(Remedy(advice, effect="the score in use"),),
        )


def known_answers(evidence: DataEvidence) -> Iterator[Finding]:
    """columns known ahead that give the answer away

    Columns that are said to be known ahead (--known) determine the target of the same step: one alone, or a formula of
    several, as casual and registered riders add up to all riders.

    Why it matters: a column that is known ahead is given to the network for the steps it predicts. The network learns
    to add, scores are near perfect, and in use the columns are as unknown as the target. Columns of which only the past
    is seen may determine the target of their own step: they are not judged here.

    How it is decided: as in NW134 for each column and as in NW135 for formulas, on 20,000 rows (LOOKED_AT), with the
    columns known ahead as the only inputs. Of a column alone the changes must correlate with those of the target by 0.9
    (OPENLY) too: prices of one day are alike, but the opening does not give the close away.
    """
    series = evidence.once(raw_series)
    raw = series.raw
    known = [name for name in raw.source.known if name in raw.table.columns and name not in raw.targets]
    if not known:
        raise Skip("no column is known ahead (--known)")
    table = raw.table.select(*known, *raw.targets)
    if len(table) > LOOKED_AT:
        rows = np.random.default_rng(evidence.seed).choice(len(table), LOOKED_AT, replace=False)
        table = table[np.sort(rows)]
    rows = DataEvidence(Dataset(table, raw.targets, evidence.dataset.origin), seed=evidence.seed)
    for check in (leaking_columns, joint_leaks):
        for found in check(rows):
            if len(found.columns) == 1 and not _change_together(series, found.columns[0], evidence.seed):
                continue
            names = " and ".join(found.columns)
            advice = f"leave {names} out of --known: then only their past is seen."
            yield replace(found, severity="error", remedies=(Remedy(advice, effect="the score in use"),))


def _change_together(series: RawSeries, name: str, seed: int) -> bool:
    """Whether a column changes when a target does; a column of names is not compared."""
    if as_numbers(series.raw.table[name].head(1)) is None:
        return True
    stretches = _stretches(series, seed)
    column, *targets = (
        np.nan_to_num(np.concatenate([_scaled(np.diff(series.numbers(one)[low:high])) for low, high in stretches]))
        for one in (name, *series.raw.targets[:MOST_TARGETS])
    )
    ranks = [pl.Series(one).rank().to_numpy() for one in (column, *targets)]
    return any(one.std() > 0 and abs(np.corrcoef(ranks[0], one)[0, 1]) >= OPENLY for one in ranks[1:])


def leaks_ahead(evidence: DataEvidence) -> tuple[_Leak, ...]:
    """For each column the target that it holds too early, if there is one."""
    series = evidence.once(raw_series)
    table, known = series.raw.table, series.raw.source.known
    names = [n for n in table.columns if n not in series.raw.targets and as_numbers(table[n].head(1)) is not None]
    if not names:
        raise Skip("there is no column of numbers beside the targets")
    stretches = _stretches(series, evidence.seed)
    found = list[_Leak]()
    for name in names[:MOST_COLUMNS]:
        here = [np.diff(series.numbers(name)[low:high]) for low, high in stretches]
        columns = [_scaled(changes) for changes in here]
        if not any(np.nan_to_num(column).any() for column in columns):
            continue
        first = -series.horizon + 1 if name in known else 1  # the first step at which the target is still unknown
        for target in series.raw.targets[:MOST_TARGETS]:
            there = [np.diff(series.numbers(target)[low:high]) for low, high in stretches]
            targets = [_scaled(changes) for changes in there]
            leak = _shifted(name, target, columns, targets, first)
            if leak is None and _may_be_sum(_alike(columns, targets)):
                leak = _summed(name, target, here, there, first)
            if leak is not None:
                found.append(leak)
                break
    return tuple(found)


def _stretches(series: RawSeries, seed: int) -> list[tuple[int, int]]:
    """Rows of series, drawn at random, that are compared."""
    found, count = list[tuple[int, int]](), 0
    for number in np.random.default_rng(seed).permutation(len(series.starts)):
        start, end = int(series.starts[number]), int(series.ends[number])
        steps = range(start, end, STRETCH) if len(series.starts) == 1 else (start,)
        parts = [(low, min(low + STRETCH, end)) for low in steps]
        for low, high in parts:
            if count < MOST_STEPS and high - low >= 2 * NEAR:
                found.append((low, high))
                count += high - low
    if count < LEAST_STEPS:
        raise Skip(f"fewer than {LEAST_STEPS} steps agree by chance")
    return found


def _scaled(changes: Floats) -> Floats:
    """Of spread one, clipped at CLIP spreads; NaN where they are missing; 0 if all are equal."""
    for _ in range(2):  # the second time without what was clipped
        spread = 0.0 if np.isnan(changes).all() else float(np.nanstd(changes))
        usable = spread > FREE * float(np.nanmax(np.abs(changes), initial=0.0))
        changes = (changes / spread).clip(-CLIP, CLIP) if usable else np.zeros(len(changes))
    return changes


def _alike(columns: list[Floats], targets: list[Floats]) -> Floats:
    """The correlation of changes with those of the target at -far, ..., far steps ahead, over all stretches.

    Steps of which one is missing are left out. 0 where fewer than LEAST_STEPS are left.
    """
    from scipy.signal import correlate

    far = min(FAR, max(len(column) for column in columns) // 2)
    sums = np.zeros((4, 2 * far + 1))  # of products, of squares of either side, of steps
    for column, goal in zip(columns, targets, strict=True):
        sides = [(np.nan_to_num(one), (~np.isnan(one)).astype(np.float64)) for one in (goal, column)]
        (ahead, is_ahead), (here, is_here) = sides
        reach = min(far, len(column) - 1)
        middle, inside = len(column) - 1, slice(far - reach, far + reach + 1)
        pairs = (ahead, here), (ahead**2, is_here), (is_ahead, here**2), (is_ahead, is_here)
        for total, (later, now) in zip(sums, pairs, strict=True):
            whole: Floats = np.asarray(correlate(later, now, method="fft"))
            total[inside] += whole[middle - reach : middle + reach + 1]
    products, left, right, counts = sums
    spread = np.sqrt(np.maximum(left * right, 0.0))
    return np.where((counts < LEAST_STEPS) | (spread < FREE), 0.0, products / np.maximum(spread, FREE))


def _shifted(name: str, target: str, columns: list[Floats], targets: list[Floats], first: int) -> _Leak | None:
    """A copy of a step that is still unknown, by more than what repeats itself from step to step of a cycle."""
    for _ in range(2):
        alike = _alike(columns, targets)
        far = len(alike) // 2
        lead = int(np.abs(alike).argmax()) - far
        alike = alike * np.sign(alike[lead + far])
        if alike[lead + far] < COPY or lead < first or not lead:
            return None
        known = alike[: max(0, first + far)]
        if np.abs(known).max(initial=0.0) < OPENLY:
            return _Leak(name, target, lead, float(min(alike[lead + far], 1.0)), is_sum=False)
        if known.max() <= 0:
            return None
        cycle = lead + far - int(np.flatnonzero(known >= SAME * known.max())[-1])
        columns, targets = ([_scaled(one[cycle:] - one[:-cycle]) for one in many] for many in (columns, targets))
    return None


def _may_be_sum(alike: Floats) -> bool:
    """Whether a column is no copy, but like the target at the steps around."""
    far = len(alike) // 2
    near = alike[max(0, far - NEAR) : far + NEAR + 1]
    return float(np.abs(alike).max()) < COPY and float(np.square(near).sum()) >= PROMISING


def _summed(name: str, target: str, columns: list[Floats], targets: list[Floats], first: int) -> _Leak | None:
    """A sum of steps around its own, by a straight line of the target's changes."""
    leads = np.arange(min(first - NEAR, -NEAR), NEAR + 1)
    lags, goal = list[Floats](), list[Floats]()
    for column, values in zip(columns, targets, strict=True):
        if len(column) <= leads[-1] - leads[0]:
            continue
        spread = 0.0 if np.isnan(values).all() else float(np.nanstd(values))
        if not spread:
            continue
        # Both in units of the target, so that its factors are the same in all stretches.
        window, column = np.lib.stride_tricks.sliding_window_view(values / spread, len(leads)), column / spread
        own = column[-leads[0] : -leads[0] + len(window)]
        there = ~np.isnan(window).any(1) & ~np.isnan(own)
        lags.append(window[there])
        goal.append(own[there])
    if not lags:
        return None
    x, y = np.concatenate(lags), np.concatenate(goal)
    if len(y) < 10 * len(leads) or not y.any():
        return None
    whole, known = _left(x, y), _left(x[:, leads < first], y)
    is_leak = whole < LEFT and known > HIDDEN and whole < MOSTLY * known
    return _Leak(name, target, 0, 1 - whole, is_sum=True) if is_leak else None


def _left(x: Floats, y: Floats) -> float:
    """The share of y's squares that a straight line of x leaves."""
    weights = np.linalg.lstsq(x.T @ x + FREE * len(x) * np.eye(x.shape[1]), x.T @ y, rcond=None)[0]
    return float(np.square(y - x @ weights).sum() / np.square(y).sum())
