"""Series that are stuck, clipped, have gaps, or are noisier than the others."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from netwright.checks.data.encoded import encoded, readable
from netwright.checks.data.unlike import Floats, Mask, Odd, as_rows, deviations, severity_of, told
from netwright.checks.evidence import DataEvidence, Skip, require_apart
from netwright.data.split import Rows
from netwright.data.times import as_times
from netwright.records.errors import DataError, counted
from netwright.records.finding import Finding, Measure, Remedy

BLOCK = 1 << 22  # values measured at once
FAST_VALUES = 5_000_000  # measured by a fast check
LEAST_STEPS = 5  # of a series that can be called constant
STUCK = 0.5  # share of a series with one value without a break
MOVING = 0.25  # share of a series up to which a run of one value is usual in a moving channel
OF_MOST = 0.9  # share of a channel's series that must move for a constant one to be odd
BOUND = 0.05  # share of a series' values that are exactly its greatest (or least)
BOUND_RUN = 3  # of them in a row: a peak is one step, or two if values are rounded
MISSING = 0.2  # share of a series that is missing
BY = 5.0  # robust standard deviations from the middle
LENGTH = 3.0  # times shorter or longer than the middle series
SPREAD = 0.1  # lowest standard deviation of a logarithm
TYPICAL = 0.98  # share of the time steps that count as usual
REGULAR = 4.0  # usual steps are at most so many times the middle one; weekends make 3, random events 6
GAP = 2.0  # times the longest usual step
NOISE = 0.5  # share of a channel's variance that differs in the next step
NOISY = 4.0  # times the noise of the middle series

ADVICE = "Look at them, then measure them again or drop them."
LABEL = "this may be what their label is about"

_FREE = 1e-12


@dataclass(frozen=True, eq=False)
class Steps:
    """Numbers for the series of one column: per row (N,), and per channel of a row (N, channels)."""

    column: str
    channels: tuple[str, ...]
    rows: Rows
    lengths: Rows  # steps up to the last value
    missing: Floats  # share of the values before the end
    run: Floats  # (N, C) longest run of one value, as a share of the series
    bound: Floats  # (N, C) share of the values that are exactly the greatest or the least, if they come in runs
    noise: Floats  # (N, C) standard deviation of noise, by second differences
    spread: Floats  # (N, C) standard deviation


def measured(evidence: DataEvidence) -> tuple[Steps, ...]:
    """The series of each column. Raises Skip if there is none, or if they overlap."""
    require_apart(evidence)
    found = list[Steps]()
    for field, column in encoded(evidence, "steps"):
        size = column(torch.zeros(0, dtype=torch.int64)).shape[1:].numel()
        rows = readable(evidence, max(1, FAST_VALUES // size))
        step = max(1, BLOCK // size)
        blocks = [_numbers(column(torch.from_numpy(rows[k : k + step])).numpy()) for k in range(0, len(rows), step)]
        numbers = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
        if numbers:
            found.append(Steps(field.name, field.channel_names(), rows, *numbers))
    return tuple(found)


def _numbers(values: NDArray[np.float32]) -> tuple[NDArray, ...]:
    """`Steps` of (B, T, C)."""
    there = ~np.isnan(values)
    any_there = np.asarray(there.any(axis=2))
    longest = values.shape[1]
    lengths = np.where(any_there.any(axis=1), longest - any_there[:, ::-1].argmax(1), 0)
    cells = np.maximum(lengths * values.shape[2], 1)
    missing = 1 - there.sum((1, 2)) / cells
    count = np.maximum(there.sum(1), 1)  # (B, C)
    same = np.zeros_like(there)
    same[:, 1:] = values[:, 1:] == values[:, :-1]
    ends = _runs(same)  # length of the run of one value that ends at each step
    run = np.where(there, ends, 0).max(1)
    filled = np.nan_to_num(values)
    bound = np.zeros(run.shape)
    for edge in (np.where(there, values, -np.inf).max(1), np.where(there, values, np.inf).min(1)):
        at = values == edge[:, None]
        in_runs = np.where(at, ends, 0).max(1) >= BOUND_RUN
        bound = np.maximum(bound, in_runs * at.sum(1) / count)
    bound = np.where(run >= count, 0.0, bound)  # a constant is flat, not clipped
    mean = filled.sum(1, dtype=np.float64) / count
    spread = np.sqrt((np.where(there, filled - mean[:, None], 0.0) ** 2).sum(1) / count)
    second = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
    whole = ~np.isnan(second)
    noise = np.sqrt((np.nan_to_num(second).astype(np.float64) ** 2).sum(1) / np.maximum(whole.sum(1), 1) / 6)
    return lengths, missing, run / np.maximum(lengths, 1)[:, None], bound, noise, spread


def _runs(same: Mask) -> NDArray[np.int64]:
    """For each step, the number of equal values in a row up to and including it: (B, T, C)."""
    steps = np.arange(same.shape[1])[None, :, None]
    return steps - np.maximum.accumulate(np.where(same, -1, steps), axis=1) + 1


def flat(evidence: DataEvidence) -> Iterator[Finding]:
    """flat series

    Series with a channel that never changes, or does not change for half of the series or more, although the same
    channel moves in the other series.

    Why it matters: a sensor that is stuck or torn off reports its last value. The label describes what happened
    meanwhile, which the series do not show.

    How it is decided: one value fills at least half of the series (and at least 5 steps) without a break, in a channel
    where in at least 90 % of the series no value fills more than a quarter. So channels that are often constant by
    nature, such as rain and switches, are not reported. A channel that is constant in every series is reported too.
    Fewer than 10 series that are less than 0.1 % of all are a note.
    """
    for steps in evidence.once(measured):
        judged = steps.lengths >= LEAST_STEPS
        if not judged.any():
            continue
        moves = (steps.run[judged] <= MOVING).mean(0) >= OF_MOST
        is_flat = (steps.run >= STUCK) & moves & judged[:, None] & (steps.run * steps.lengths[:, None] >= LEAST_STEPS)
        worst = np.where(is_flat, steps.run, 0.0).max(1)
        measure = Measure("share of the worst series", float(worst.max()), threshold=STUCK)
        yield from _told(evidence, steps, Odd("", worst > 0, worst, "are stuck", (measure,), 0.95, LABEL), is_flat)
        dead = [name for name, spread in zip(steps.channels, steps.spread.max(0), strict=True) if spread <= _FREE]
        if dead and len(steps.rows) > 1:
            yield Finding(
                severity="note",
                title="flat channels",
                summary=f"{counted(len(dead), 'channel')} of {steps.column!r} never change within a series: {dead[0]}",
                columns=(steps.column,),
                remedies=(Remedy("Drop the channel, or find out why it is silent.", cost="nothing"),),
            )


def clipped(evidence: DataEvidence) -> Iterator[Finding]:
    """clipped series

    Series that stay at exactly their greatest, or exactly their least value for a while: the signal left the measuring
    range.

    Why it matters: the height of the peaks is lost, which often distinguishes the classes.

    How it is decided: at least 5 % of the values of a channel are exactly its extreme in this series, three or more of
    them in a row, and this is not so in at least 90 % of the channel's series. So channels that often rest at a bound
    by nature, such as rain at zero, and constant series are not reported. Fewer than 10 series that are less than 0.1 %
    of all are a note.
    """
    for steps in evidence.once(measured):
        judged = steps.lengths >= LEAST_STEPS
        at_bound = (steps.bound >= BOUND) & judged[:, None]
        usual = at_bound.mean(0)
        is_clipped = at_bound & (usual <= 1 - OF_MOST)
        worst = np.where(is_clipped, steps.bound, 0.0).max(1)
        measure = Measure("share of the values of the worst series", float(worst.max()), threshold=BOUND)
        odd = Odd("", worst > 0, worst, "stay at their bound", (measure,), 0.8, LABEL)
        yield from _told(evidence, steps, odd, is_clipped)


def gappy(evidence: DataEvidence) -> Iterator[Finding]:
    """gappy series

    Series with many missing values, with missing time steps, or with a length far from that of the others.

    Why it matters: a network counts steps. If a step is missing, everything after it is at the wrong place; a series
    cut short lacks what its label is about.

    How it is decided: at least 20 % of the values are missing, and 5 robust standard deviations more than in the middle
    series; or the length is three times less or more than the middle one and 5 robust standard deviations (of the
    logarithm) away; or a time step is more than twice the longest usual one. 98 % of the steps are usual, and times are
    judged only if these are at most 4 times the middle step: working days are, random events are not. For tables with a
    column of times, gaps are a note. Fewer than 10 series that are less than 0.1 % of all are a note.
    """
    judged = 0
    try:
        for steps in evidence.once(measured):
            judged += 1
            yield from _incomplete(evidence, steps)
    except Skip:
        pass
    for name, rows, times in _times(evidence):
        judged += 1
        yield from _time_gaps(evidence, name, rows, times)
    if not judged:
        raise Skip("there are no series and no column of times")


def noisy(evidence: DataEvidence) -> Iterator[Finding]:
    """noisy series

    Series with much more noise than the others, and channels that are mostly noise.

    Why it matters: random changes from step to step cannot be learned, only memorized.

    How it is decided: noise is the standard deviation of second differences, divided by the root of 6, which removes
    everything that changes slowly. A series is noisy if it has 4 times the noise of the middle series in the same
    channel, 5 robust standard deviations (of the logarithm) above it, and if noise is more than half of its own
    variance. A channel is mostly noise if the latter holds for the middle series; this is a note. Fewer than 10 series
    that are less than 0.1 % of all are a note.
    """
    for steps in evidence.once(measured):
        long = steps.lengths >= LEAST_STEPS
        if not long.any():
            continue
        share = np.minimum((steps.noise / np.maximum(steps.spread, _FREE)) ** 2, 1)
        logs = np.log(np.maximum(steps.noise, _FREE))
        middle = np.median(logs[long], axis=0)
        off = np.stack([deviations(column, SPREAD) for column in logs.T], axis=1)
        is_noisy = (
            (off >= BY) & (logs >= middle + np.log(NOISY)) & (share > NOISE) & long[:, None] & (middle > np.log(_FREE))
        )
        worst = np.where(is_noisy, off, 0.0).max(1)
        measure = Measure("robust standard deviations of the worst series", float(worst.max()), threshold=BY)
        odd = Odd("", worst > 0, worst, "are much noisier than the others", (measure,), 0.7, LABEL)
        yield from _told(evidence, steps, odd, is_noisy)
        usual = np.median(share[long], axis=0)
        mostly = [k for k in np.argsort(-usual) if usual[k] > NOISE and steps.spread[:, k].max() > _FREE]
        if mostly:
            names = ", ".join(steps.channels[k] for k in mostly[:3])
            yield Finding(
                severity="note",
                title="channels that are mostly noise",
                summary=f"{counted(len(mostly), 'channel')} of {len(steps.channels)} of {steps.column!r} change as "
                f"much from step to step as in the whole series: {names}",
                measures=(Measure("share of noise in the variance", float(usual[mostly[0]]), threshold=NOISE),),
                columns=(steps.column,),
                otherwise=("the signal may be faster than the steps",),
                remedies=(Remedy("Average over steps, measure more often, or drop the channel."),),
            )


def _incomplete(evidence: DataEvidence, steps: Steps) -> Iterator[Finding]:
    is_missing = (steps.missing >= MISSING) & (deviations(steps.missing, MISSING / BY) >= BY)
    measure = Measure("share missing in the worst series", float(steps.missing.max(initial=0)), threshold=MISSING)
    odd = Odd("series with gaps", is_missing, steps.missing, "have many missing values", (measure,), 0.9, LABEL)
    yield from _told(evidence, steps, odd)
    logs = np.log(np.maximum(_lengths(evidence, steps), 0.5))
    away = np.abs(logs - np.median(logs))
    is_odd = (away >= np.log(LENGTH)) & (np.abs(deviations(logs, SPREAD)) >= BY) & ~is_missing
    measure = Measure("times the usual length, worst series", float(np.exp(away.max(initial=0))), threshold=LENGTH)
    odd = Odd("series of odd length", is_odd, away, "are far shorter or longer", (measure,), 0.6, LABEL)
    yield from _told(evidence, steps, odd)


def _lengths(evidence: DataEvidence, steps: Steps) -> Floats:
    """Steps of each series, also of those that are cut when they are encoded."""
    cells = evidence.dataset.table[steps.column][steps.rows]
    if isinstance(cells.dtype, pl.Struct):
        lists = [column.list.len().fill_null(0).to_numpy() for column in cells.struct.unnest().get_columns()]
        return np.stack(lists).max(0).astype(np.float64)
    if isinstance(cells.dtype, pl.List):
        return cells.list.len().fill_null(0).to_numpy().astype(np.float64)
    return steps.lengths.astype(np.float64)


def _told(evidence: DataEvidence, steps: Steps, odd: Odd, at: Mask | None = None) -> Iterator[Finding]:
    """Adds the channels to the finding, if `at` (N, channels) marks some."""
    if at is not None:
        channels = [
            name for name, here in zip(steps.channels, np.atleast_1d(at[odd.mask].any(axis=0)), strict=True) if here
        ]
        if len(channels) < len(steps.channels):
            odd = replace(odd, text=f"{odd.text} in {', '.join(channels[:3])}")
    yield from told(evidence, steps.column, steps.rows, "series", ADVICE, [odd])


def _times(evidence: DataEvidence) -> Iterator[tuple[str, Rows, Floats]]:
    """Times in ascending order with their rows: all steps of all series, or the rows of a table."""
    dataset = evidence.dataset
    if dataset.times is not None:
        lists = dataset.times
        rows = np.repeat(np.arange(len(lists)), lists.list.len().to_numpy())
        yield "time", rows, lists.explode().to_numpy()
        return
    names = [field.name for field in evidence.fields if field.family == "dates"]
    dropped = () if evidence.parts is None else evidence.parts.drop
    for name in dict.fromkeys((*dropped, *names)):
        try:
            times = as_times(dataset, name).to_physical().cast(pl.Float64)
        except DataError:
            continue  # a group, or unreadable dates: another check reports them
        rows = np.flatnonzero(times.is_finite().fill_null(False).to_numpy())
        values = times.to_numpy()[rows]
        order = np.argsort(values, kind="stable")
        yield name, rows[order], values[order]


def _time_gaps(evidence: DataEvidence, name: str, rows: Rows, times: Floats) -> Iterator[Finding]:
    is_long = evidence.dataset.times is not None
    steps = np.diff(times)
    inside = (steps > 0) & ((rows[1:] == rows[:-1]) | (not is_long))
    if inside.sum() < 1 / (1 - TYPICAL):
        return
    usual, middle = float(np.quantile(steps[inside], TYPICAL)), float(np.median(steps[inside]))
    is_gap = inside & (steps > GAP * usual)
    if usual > REGULAR * middle or not is_gap.any():
        return
    places = np.flatnonzero(is_gap)
    found = tuple(dict.fromkeys(as_rows(rows[1:][places[np.argsort(-steps[places], kind="stable")]])))
    of = "series" if is_long else "rows of the table"
    yield Finding(
        severity=severity_of(len(found), len(evidence.dataset)) if is_long else "note",
        title="gaps in time",
        summary=f"{counted(len(places), 'step')} of {int(inside.sum()):,} in {name!r} skip some time, "
        f"before {len(found):,} {of}; the longest is {steps[places].max() / middle:,.0f} usual steps",
        measures=(Measure("longest usual step, in usual steps", usual / middle),),
        columns=(name,) if not is_long else (),
        rows=found,
        confidence=0.9,
        otherwise=("measuring may have paused on purpose",),
        remedies=(Remedy("Insert the missing steps, empty, so that steps mean time."),),
    )
