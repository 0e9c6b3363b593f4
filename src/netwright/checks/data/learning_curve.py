"""What more rows would gain."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.checks.data.quick import quick
from netwright.checks.evidence import DataEvidence, Skip
from netwright.records.finding import Finding, Remedy
from netwright.statistics import Interval, student

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the learning rows: three doublings show the curvature
SEEDS = 5
HELD = 0.25  # of the rows are held out
MOST_ROWS = 8_000  # for the quick model: five fits of each share take seconds
LEAST_ROWS = 400  # an eighth of fewer is too little to learn from
EXPONENTS = np.linspace(0.1, 1.0, 19)  # of power laws: the range measured for deep networks and trees
LARGE = 0.03  # error that twice the rows would save: a warning

Numbers = NDArray[Any]


def little_data(evidence: DataEvidence) -> Iterator[Finding]:
    """too little data

    The gain from twice and ten times the rows, estimated from the error of a quick model on an eighth, a quarter, a
    half and all of the rows.

    Why it matters: collecting and labeling data is the most expensive part. It pays only if the curve still falls.

    How it is decided: the model (boosted trees for tables, a small dense network for the rest) learns from nested
    shares of the rows, five times with other rows held out. A power law a + b * n^-c with c of 0.1 to 1 is fitted to
    each of the five curves. The interval is that of the five gains, widened because the held-out rows overlap (Nadeau
    and Bengio 2003). It is a warning if twice the rows would save LARGE = 3 points of error, or of a number's spread,
    and both this interval and that of the last doubling exclude zero; else a note. At most MOST_ROWS = 8,000 rows are
    used; the law is extended to all training rows and beyond. Sources: Hestness et al. 2017, arXiv:1712.00409; Viering
    and Loog 2021, arXiv:2103.10948.
    """
    model = evidence.once(quick)
    count = min(len(model.rows), MOST_ROWS)
    if count < LEAST_ROWS:
        raise Skip(f"fewer than {LEAST_ROWS} rows")
    held_count = int(count * HELD)
    sizes = [int((count - held_count) * part) for part in SHARES]
    curves = np.empty((SEEDS, len(sizes)))
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(model.rows))[:count]
        held, learn = order[:held_count], order[held_count:]
        for place, size in enumerate(sizes):
            if model.is_classes and len(np.unique(model.y[learn[:size]])) < 2:
                raise Skip("an eighth of the rows has one class only")
            curves[seed, place] = model.errors(learn[:size], held, seed).mean()
    more = max(1.0, len(evidence.prepared.train) / sizes[-1]) if evidence.prepared is not None else 1.0
    gains = [np.array([_gain(curve, sizes, more, factor) for curve in curves]) for factor in (2, 10)]
    twice, ten = (student(gain, held_count / sizes[-1]) for gain in gains)
    last = student(curves[:, -2] - curves[:, -1], held_count / sizes[-1])
    yield _told(sizes, last, twice, ten, is_classes=model.is_classes)


def _gain(curve: Numbers, sizes: list[int], more: float, factor: float) -> float:
    """What `factor` times the rows (`more` times the used ones) would save, by the best power law."""
    n = np.asarray(sizes, float) / sizes[-1]
    best, gain = np.inf, 0.0
    for c in EXPONENTS:
        x = n**-c
        slope = max(0.0, float(np.cov(x, curve, ddof=0)[0, 1] / x.var()))
        start = float(curve.mean() - slope * x.mean())
        if start < 0:  # an error cannot fall below zero
            start, slope = 0.0, float(x @ curve / (x @ x))
        miss = float(((start + slope * x - curve) ** 2).sum())
        if miss < best:
            best, gain = miss, slope * more**-c * (1 - factor**-c)
    return gain


def _told(sizes: list[int], last: Interval, twice: Interval, ten: Interval, *, is_classes: bool) -> Finding:
    unit = "points of accuracy" if is_classes else "hundredths of the target's spread"
    helps = twice.low > 0 and last.value > 0  # the last doubling must confirm the law
    is_large = twice.value >= LARGE and helps and last.low > 0
    gain = f"twice the rows would gain {_points(twice)} {unit}, ten times {_points(ten)}"
    seen = f"from {sizes[-2]:,} to {sizes[-1]:,} rows the quick model gained {_points(last)}"
    unclear = "more rows would gain little" if twice.high < LARGE / 2 else "whether more rows would help is not clear"
    return Finding(
        "warning" if is_large else "note",
        f"{gain}; {seen}" if helps else f"{unclear}: {gain}; {seen}",
        (
            twice.measure("gain from twice the rows", LARGE),
            ten.measure("gain from ten times the rows"),
        ),
        title="too little data" if is_large else "what more rows would bring",
        confidence=0.95,
        otherwise=("a larger network than the quick model may gain more",),
        remedies=(Remedy("collect and label more rows, starting with the groups that are predicted worst."),)
        if helps
        else (),
    )


def _points(gain: Interval) -> str:
    return f"{100 * gain.value:+.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"
