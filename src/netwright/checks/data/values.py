"""Impossible values, and values far from all others."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from netwright.checks.data.columns import Columns, Floats, Mask, columns, fixes, listed_rows
from netwright.checks.data.missing import distinct, sentinels
from netwright.checks.data.units import unit_changes
from netwright.checks.evidence import DataEvidence
from netwright.data.split import Rows
from netwright.kinds.date import Date
from netwright.records.finding import SHOWN, Finding, Measure, Remedy
from netwright.statistics import share

# Bounds by the words of a column's name.
BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("lat", "latitude"), (-90.0, 90.0)),
    **dict.fromkeys(("lon", "lng", "longitude"), (-180.0, 360.0)),
    **dict.fromkeys(("percent", "percentage", "pct", "humidity"), (0.0, 100.0)),
    **dict.fromkeys(("probability", "prob"), (0.0, 1.0)),
    "age": (0.0, 125.0),
    "hour": (0.0, 24.0),
    "minute": (0.0, 60.0),
    "month": (1.0, 12.0),
    "weekday": (0.0, 7.0),
}
CHANGES = ("change", "diff", "delta", "growth", "return", "gain", "loss", "error", "std", "scaled", "normalized")
SLIPS = 0.02  # share of values outside a bound; with more, the column means something else than its name
NEGATIVE_SHARE, NEGATIVE_ROWS, NEGATIVE_OF = 0.001, 2, 200  # negative rows, and rows in all that show they are rare
DEFAULTS = (
    datetime(1, 1, 1),
    datetime(1899, 12, 30),
    datetime(1900, 1, 1),
    datetime(1970, 1, 1),
    datetime(9999, 12, 31),
)
FAR_YEARS = 5  # from a default date to the next one: closer ones may be real
SKEWED = 0.3  # of the outer quantiles about the median (Bowley); with more, logarithms are used
FAR = 8.0  # times the distance from the median to the tenth or ninetieth percentile: 10 standard deviations
ALONE = 3.0  # times as far from the median as the next value inside: even heavy tails have no such gaps
MOST_FAR, FEW_FAR = 0.01, 3  # share of the rows, or rows: more belong to the column
LEAST_ROWS = 30
GROSS = 10.0  # times as far as the next value inside: surely not a measurement
TIED = 0.8  # share of a column's variance that the others explain, from which a row can be out of line
CLIP = 5.0  # robust standard deviations
MOST_JOINT = 60  # columns examined together
OUT_OF_LINE = 1.0  # robust standard deviations of the column itself: less does not matter


def impossible_values(evidence: DataEvidence) -> Iterator[Finding]:
    """impossible values

    Values that the measured quantity cannot have: a latitude of 95, an age of 200, a birthday in 2077, a negative
    price.

    Why it matters: they are typing errors, sensor errors, or a default that nobody changed. A network treats them as
    measurements, and similar rows suffer.

    How it is decided: by bounds from words in the column's name (latitude, longitude, percent, age, hour, month and
    similar), if less than 2 % of the values are outside (SLIPS: else the name means something else); infinite numbers;
    dates in the future, if less than 2 % are; default dates (1900-01-01, 1970-01-01, ...) five years or more from any
    other date (FAR_YEARS); and negative numbers, if they are two rows or one in a thousand (NEGATIVE_ROWS,
    NEGATIVE_SHARE) and as large as usual without their sign: a wrong sign, not the end of a tail.
    """
    seen = evidence.once(columns)
    for name, wrong in evidence.once(impossible).items():
        for why, (here, confidence) in wrong.items():
            rows = seen.rows[here]
            cells = seen.table[name].filter(pl.Series(here))
            yield Finding(
                "warning",
                f"{name} {why} in {len(rows):,} of {len(seen.rows):,} rows, as in {cells[0]!s}",
                (share(len(rows), len(seen.rows)).measure("share of the rows"),),
                (name,),
                listed_rows(rows),
                confidence=confidence,
                otherwise=(f"{name} measures something else than its name and other values suggest",),
                remedies=(Remedy(f"correct or empty these cells of {name}."),),
                fixes=()
                if name in seen.targets
                else fixes(evidence, name, rows, "impute", [""] * len(rows), confidence),
            )


def impossible(evidence: DataEvidence) -> Mapping[str, Mapping[str, tuple[Mask, float]]]:
    """For each column: what is wrong with some values, in which rows, and how sure that is."""
    seen = evidence.once(columns)
    found = dict[str, dict[str, tuple[Mask, float]]]()
    for name, x in seen.numbers.items():
        unusual = _unusual(evidence, name)
        there = np.isfinite(x) & ~unusual
        wrong = dict[str, tuple[Mask, float]]()
        if np.isinf(x).any():
            wrong["is infinite"] = np.isinf(x), 1.0
        low, high = _bounds(name)
        beyond = there & ((x < low) | (x > high))
        if 0 < beyond.sum() < SLIPS * there.sum():
            wrong[f"is not between {low:g} and {high:g}"] = beyond, 0.9
        else:
            negative = _negative(x, there)
            if negative is not None:
                wrong["is negative"] = negative, 0.7
        if wrong:
            found[name] = wrong
    for name, moments in _dates(evidence).items():
        wrong = dict(_wrong_dates(moments))
        if wrong:
            found[name] = wrong
    return found


def _unusual(evidence: DataEvidence, name: str) -> Mask:
    """Rows of a column that other checks report: their values mean missing, or are in another unit."""
    change = evidence.once(unit_changes).get(name)
    here = np.zeros(len(evidence.once(columns).rows), bool) if change is None else change.is_other.copy()
    for code in evidence.once(sentinels).get(name, ()):
        here |= code.is_here
    return here


def _bounds(name: str) -> tuple[float, float]:
    tokens = [t.lower() for t in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    if "%" in name:
        tokens.append("percent")
    if any(token in CHANGES for token in tokens):
        return -np.inf, np.inf
    return next((BOUNDS[token] for token in tokens if token in BOUNDS), (-np.inf, np.inf))


def _negative(x: Floats, there: Mask) -> Mask | None:
    negative = there & (x < 0)
    count = int(negative.sum())
    if not 0 < count <= max(NEGATIVE_ROWS, NEGATIVE_SHARE * there.sum()) or there.sum() < NEGATIVE_OF:
        return None
    usual = x[there & (x > 0)]
    if len(usual) < NEGATIVE_OF / 2:
        return None
    low, high = np.quantile(usual, (0.05, 0.999))
    sizes = -x[negative]
    return negative if low > 0 and sizes.min() >= low and sizes.max() <= high else None


def _dates(evidence: DataEvidence) -> dict[str, pl.Series]:
    seen = evidence.once(columns)
    found = dict[str, pl.Series]()
    for name in seen.inputs:
        cells = seen.table[name]
        if cells.dtype == pl.Date or cells.dtype == pl.Datetime or (cells.dtype == pl.String and Date.matches(cells)):
            found[name] = Date.learn(name, cells).moments(cells)
    return found


def _wrong_dates(moments: pl.Series) -> Iterator[tuple[str, tuple[Mask, float]]]:
    there = moments.drop_nulls()
    if there.is_empty():
        return
    late = (moments > datetime.now() + timedelta(days=1)).fill_null(False).to_numpy()
    default = moments.dt.date().is_in([d.date() for d in DEFAULTS]).fill_null(False).to_numpy()
    if default.any() and not default[moments.is_not_null().to_numpy()].all():
        others = moments.filter(pl.Series(~default)).drop_nulls()
        years = np.array([others.min().year, others.max().year])  # type: ignore[union-attr]  # of dates, not empty
        far = (
            default
            & ~moments.dt.year().is_between(years[0] - FAR_YEARS, years[1] + FAR_YEARS).fill_null(True).to_numpy()
        )
        if far.any():
            yield "is a default date", (far, 0.9)
            late &= ~far
    if 0 < late.sum() < SLIPS * len(there):
        yield "is in the future", (late, 0.9)


def outlying_values(evidence: DataEvidence) -> Iterator[Finding]:
    """outlying values

    Single values far from all others of their column, and rows that break a relation between columns.

    Why it matters: most are errors (a missing decimal point, two swapped digits, a broken sensor). They stretch scales,
    cause training steps that are far too large, and are memorized.

    How it is decided: a value is outlying if it is eight times as far from the median as the tenth or ninetieth
    percentile (FAR), and three times as far as the next value inside (ALONE); on logarithms if the column is positive
    and skewed by more than 0.3 (SKEWED; Bowley 1901, with outer percentiles). The gap counts, not the distance: heavy
    tails reach far, but without gaps. At most 1 % of the rows (MOST_FAR) or three (FEW_FAR). A row is out of line if a
    column that the others predict to 80 % (TIED) is as far off from their linear fit. It is a warning if the gap is
    tenfold (GROSS), else a note. Values that mean missing, that are impossible, or that are in another unit are
    reported elsewhere.
    """
    seen = evidence.once(columns)
    known = {name: _unusual(evidence, name) for name, _ in seen.measured()}
    for name, wrong in evidence.once(impossible).items():
        for here, _ in wrong.values():
            known[name] = known.get(name, np.zeros(len(here), bool)) | here
    far = dict[str, tuple[Mask, float]]()
    for name, x in seen.measured():
        values, counts = evidence.once(distinct)[name]
        if known[name].any():
            values, counts = np.unique(x[np.isfinite(x) & ~known[name]], return_counts=True)
        cuts = _cuts(values, counts)
        if cuts is not None:
            low, high, hole = cuts
            here = np.isfinite(x) & ~known[name] & ((x < low) | (x > high))
            far[name], known[name] = (here, hole), known[name] | here
    for name, (here, hole) in far.items():
        yield _told(evidence, seen, name, here, hole, "far from all others")
    joint = _out_of_line(seen, known)
    for name, (here, hole) in joint.items():
        yield _told(evidence, seen, name, here, hole, "out of line with the other columns of its row")


def _told(evidence: DataEvidence, seen: Columns, name: str, here: Mask, hole: float, how: str) -> Finding:
    x = seen.numbers[name]
    rows = seen.rows[here]
    order = np.argsort(-np.abs(x[here] - np.nanmedian(x)), kind="stable")
    rows, values = rows[order], x[here][order]
    usual = x[np.isfinite(x) & ~here]
    low, high = np.quantile(usual, (0.001, 0.999))
    confidence = 0.9 if hole >= GROSS else 0.6
    shown = ", ".join(f"{v:g}" for v in values[:SHOWN]) + (", ..." if len(values) > SHOWN else "")
    return Finding(
        "warning" if hole >= GROSS else "note",
        f"{name} is {how} in {len(rows):,} rows: {shown}; of the others 99.8 % are between {low:g} and {high:g}",
        (Measure("distance, of that of the next value inside", hole, threshold=ALONE),),
        (name,),
        listed_rows(rows),
        confidence=confidence,
        otherwise=("a rare but correct case",),
        remedies=(Remedy(f"look at these rows; correct {name} there, or empty the cell."),),
        fixes=fixes(evidence, name, rows, "impute", [""] * len(rows), confidence),
    )


def _cuts(values: Floats, counts: Rows) -> tuple[float, float, float] | None:
    """Bounds outside of which values are outlying, and the size of the larger gap; from a column's distinct values."""
    keep = np.ones(len(values), bool)
    undo: Callable[[float], float] = float
    if len(values) and values[0] >= 0 and _skew(values, counts) > SKEWED:
        keep = values > 0
        values, undo = np.log(values[keep]), np.exp
    total = int(counts.sum())
    counts = counts[keep]
    if counts.sum() < LEAST_ROWS or len(values) < SHOWN:
        return None
    low, middle, high = _quantiles(values, counts, (0.1, 0.5, 0.9))
    up = _hole(values[::-1] - middle, counts[::-1], high - middle, total)
    down = _hole(middle - values, counts, middle - low, total)
    if up is None and down is None:
        return None
    top = np.inf if up is None else undo(middle + up[0])
    bottom = -np.inf if down is None else undo(middle - down[0])
    return bottom, top, max(0.0 if up is None else up[1], 0.0 if down is None else down[1])


def _quantiles(values: Floats, counts: Rows, at: tuple[float, ...]) -> Floats:
    reached = np.cumsum(counts) / counts.sum()
    return values[np.searchsorted(reached, at).clip(max=len(values) - 1)]


def _skew(values: Floats, counts: Rows) -> float:
    low, middle, high = _quantiles(values, counts, (0.1, 0.5, 0.9))
    return float((high + low - 2 * middle) / (high - low)) if high > low else 1.0


def _hole(distances: Floats, counts: Rows, spread: float, total: int) -> tuple[float, float] | None:
    """The distance from which values are outlying, and how many times as far they are as those inside.

    `distances` from the median, in descending order, of distinct values.
    """
    most = int(np.searchsorted(np.cumsum(counts), max(MOST_FAR * total, FEW_FAR), side="right"))
    most = min(most, len(distances) - 1)
    if spread <= 0 or most < 1:
        return None
    outer, inner = distances[:most], np.maximum(distances[1 : most + 1], spread)
    holes = np.where(outer >= FAR * spread, outer / inner, 0.0)
    found = np.flatnonzero(holes >= ALONE)
    if not len(found):
        return None
    last = int(found[-1])
    return float((outer[last] + inner[last]) / 2), float(holes[last])


def _out_of_line(seen: Columns, known: Mapping[str, Mask]) -> dict[str, tuple[Mask, float]]:
    """Rows in which a column differs from what the others predict, each with the column that differs most."""
    names, scaled = list[str](), list[Floats]()
    is_known = np.zeros(len(seen.rows), bool)
    for name, x in seen.measured():
        is_known |= known[name]
        finite = x[np.isfinite(x)]
        if len(names) == MOST_JOINT or len(finite) < max(LEAST_ROWS, 0.5 * len(x)):
            continue
        low, middle, high = np.quantile(finite, (0.16, 0.5, 0.84))
        if high > low:
            z = np.nan_to_num((x - middle) / ((high - low) / 2), nan=0.0, posinf=0.0, neginf=0.0)
            names.append(name)
            scaled.append(z)
    if len(names) < 2:
        return {}
    x = np.stack(scaled, axis=1).clip(-CLIP, CLIP)
    x -= x.mean(axis=0)
    spread = x.T @ x / len(x)
    inverse = np.linalg.inv(spread + 1e-4 * np.diag(np.diag(spread)))
    told = 1 - 1 / (np.diag(inverse) * np.diag(spread))
    tied = np.flatnonzero(told >= TIED)
    if not len(tied):
        return {}
    misses = x @ inverse[:, tied] / np.diag(inverse)[tied]
    worst = np.zeros((len(x), len(tied)))
    holes = np.zeros(len(tied))
    for k, j in enumerate(tied):
        usable = np.isfinite(seen.numbers[names[j]]) & ~is_known
        values, counts = np.unique(misses[usable, k], return_counts=True)
        cuts = _cuts(values, counts)
        if cuts is None:
            continue
        here = usable & ((misses[:, k] < cuts[0]) | (misses[:, k] > cuts[1])) & (np.abs(misses[:, k]) > OUT_OF_LINE)
        worst[here, k], holes[k] = np.abs(misses[here, k]), cuts[2]
    most = worst.argmax(axis=1)
    found = dict[str, tuple[Mask, float]]()
    for k, j in enumerate(tied):
        here = (worst[:, k] > 0) & (most == k)
        if here.any():
            found[names[j]] = here, float(holes[k])
    return found
