"""Missing cells, and values that mean missing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from netwright.checks.data.columns import (
    Columns,
    Floats,
    Mask,
    columns,
    fixes,
    listed_rows,
    share_text,
)
from netwright.checks.evidence import DataEvidence
from netwright.data.split import FEW_NUMBERS, Rows
from netwright.records.errors import listed
from netwright.records.finding import SHOWN, Finding, Measure, Remedy
from netwright.statistics import Interval, difference, mean_difference, share

NINES = re.compile(r"-?(9{2,}(\.9+)?|9\.9+)|-9")  # 99, -999, 999.9, -9
LIMITS = (-32768.0, 32767.0, 65535.0, -2147483648.0, 2147483647.0, 4294967295.0, 1e20, -1e20, 1e30, -1e30)
WORDS = ("unknown", "unk", "missing", "not available", "not known", "unspecified", "undefined", "no data", "not given",
         "not specified", "nil", "tbd", "-999", "999", "9999", "-9999")  # fmt: skip
CODE_ROWS = 3  # a value that means missing is repeated
GAP = 0.5  # of the spread of all other values: no measurement is so far away so often
SPREAD_LEAST = 10  # other distinct values; with fewer, distance means nothing
MINUS_ONE = 0.005  # share of -1 among whole numbers that are never negative
ZERO_STEPS = 3  # usual steps between values from 0 to the next value
ZERO_LEAST = 0.25  # of the median: the next value after 0
MANY = 0.05  # share of missing cells that is worth a line
TELLS = 0.1  # difference of shares worth acting on: lower end of its interval
FEW = 20  # rows with and without a cell: fewer say nothing about the target


@dataclass(frozen=True)
class Sentinel:
    """A value that means missing."""

    value: float
    is_here: Mask
    confidence: float
    why: str


def distinct(evidence: DataEvidence) -> Mapping[str, tuple[Floats, Rows]]:
    """Values of each numeric column in ascending order, and their counts. Infinite and missing cells are left out."""
    seen = evidence.once(columns)
    found = dict[str, tuple[Floats, Rows]]()
    for name, x in seen.numbers.items():
        values, counts = np.unique(x[np.isfinite(x)], return_counts=True)
        found[name] = values, counts
    return found


def sentinels(evidence: DataEvidence) -> Mapping[str, tuple[Sentinel, ...]]:
    """For each numeric column, the values that mean missing."""
    seen = evidence.once(columns)
    found = dict[str, tuple[Sentinel, ...]]()
    for name, x in seen.measured():
        values, counts = evidence.once(distinct)[name]
        codes = list(_codes(values, counts))
        if codes:
            found[name] = tuple(Sentinel(v, x == v, sure, why) for v, sure, why in codes)
    return found


def _codes(values: Floats, counts: Rows) -> Iterator[tuple[float, float, str]]:
    """Codes at either end, the outermost first; another one may follow it."""
    while len(values) > SPREAD_LEAST:
        ends = (0, len(values) - 1)
        end = next((k for k in ends if _is_code(values, counts, k)), None)
        if end is None:
            break
        other = values[1] if end == 0 else values[-2]
        yield float(values[end]), 0.9, f"no other value is {'below' if end == 0 else 'above'} {other:g}"
        values, counts = np.delete(values, end), np.delete(counts, end)
    if len(values) <= 2 * SPREAD_LEAST:
        return
    total = counts.sum()
    whole = bool((values == np.round(values)).all())
    if whole and values[0] == -1 and values[1] >= 0 and counts[0] >= max(CODE_ROWS, MINUS_ONE * total):
        yield -1.0, 0.7, "no other value is negative"
    middle = values[min(int(np.searchsorted(np.cumsum(counts), total / 2)), len(values) - 1)]
    steps = float(np.median(np.diff(values[1:])))
    if (
        values[0] == 0
        and CODE_ROWS <= counts[0] < total / 2
        and values[1] >= max(ZERO_LEAST * middle, ZERO_STEPS * steps)
    ):
        yield 0.0, 0.5, f"no other value is below {values[1]:g}"


def _is_code(values: Floats, counts: Rows, end: int) -> bool:
    value = float(values[end])
    if counts[end] < CODE_ROWS or not (value in LIMITS or NINES.fullmatch(f"{value:.10g}")):
        return False
    others, weights = np.delete(values, end), np.delete(counts, end)
    at = np.searchsorted(np.cumsum(weights) / weights.sum(), (0.001, 0.999)).clip(max=len(others) - 1)
    spread = float(others[at[1]] - others[at[0]])
    return float(np.abs(others - value).min()) >= GAP * spread


def missing_values(evidence: DataEvidence) -> Iterator[Finding]:
    """missing values

    Empty cells, and values that mean missing: -999, 9999, "unknown".

    Why it matters: a network reads -999 as a measurement, and it distorts scales and weights. If cells are missing more
    often in one part of the data than in another, scores of that part describe other rows. If cells are not missing at
    random, the gap itself is informative, and may not be in new data.

    How it is decided: a number means missing if it is written in nines or is the limit of a numeric type, is the least
    or greatest, occurs three times or more (CODE_ROWS), and is separated from all other values by half of their spread
    (GAP). -1 counts if it is the only negative whole number and is in 0.5 % of the rows (MINUS_ONE). 0 is only a note,
    if the next value is three usual steps and a quarter of the median away (ZERO_STEPS, ZERO_LEAST). Words such as
    "unknown" are a note: as a category of their own they do no harm. Missing cells are reported from 5 % of a column on
    (MANY). A difference between parts, or of the target between rows with and without the cell, is reported if the
    lower end of its 95 % interval (Newcombe 1998) is above 0.1 (TELLS); for numbers, twice 0.1 standard deviations.
    """
    seen = evidence.once(columns)
    for name, codes in evidence.once(sentinels).items():
        for code in codes:
            yield _sentinel(evidence, seen, name, code)
    yield from _words(seen)
    is_missing = {name: _missing(seen, name) for name in seen.inputs}
    count = len(seen.rows)
    shares = {name: float(gone.mean()) for name, gone in is_missing.items() if count and gone.mean() >= MANY}
    if shares:
        names = sorted(shares, key=lambda name: -shares[name])
        yield Finding(
            "note",
            f"{len(names)} of {len(seen.inputs)} columns have missing cells: "
            + listed([f"{name} {share_text(shares[name])}" for name in names], SHOWN),
            tuple(share(shares[n] * count, count).measure(f"missing in {n}", MANY) for n in names[:SHOWN]),
            tuple(names),
        )
    yield from _by_part(seen, is_missing)
    yield from _by_target(seen, is_missing)


def _missing(seen: Columns, name: str) -> Mask:
    return np.isnan(seen.numbers[name]) if name in seen.numbers else seen.table[name].is_null().to_numpy()


def _sentinel(evidence: DataEvidence, seen: Columns, name: str, code: Sentinel) -> Finding:
    rows = seen.rows[code.is_here]
    of_all = len(rows) / len(seen.rows)
    is_zero = code.value == 0
    return Finding(
        "note" if is_zero else "warning",
        f"{name} is {code.value:g} in {len(rows):,} rows ({share_text(of_all)}), and {code.why}",
        (share(len(rows), len(seen.rows)).measure("share of the rows"),),
        (name,),
        listed_rows(rows),
        title="a value that stands for missing ones",
        confidence=code.confidence,
        otherwise=("it means 'so much or more'", "the instrument or the form has this limit"),
        remedies=(Remedy(f"empty these cells of {name}, so that they are read as missing."),),
        fixes=() if is_zero else fixes(evidence, name, rows, "impute", [""] * len(rows), code.confidence),
    )


def _words(seen: Columns) -> Iterator[Finding]:
    for name, cells in seen.texts():
        if name in seen.targets:
            continue
        found = cells.str.to_lowercase().is_in(WORDS).fill_null(False)
        here = int(found.sum())
        if CODE_ROWS <= here < len(cells) / 2:
            yield Finding(
                "note",
                f"{name} is {cells.filter(found)[0]!r} in {here:,} rows ({share_text(here / len(cells))})",
                title="a word that stands for missing values",
                columns=(name,),
                rows=listed_rows(seen.rows[found.to_numpy()]),
                otherwise=("a category like any other",),
            )


def _by_part(seen: Columns, is_missing: Mapping[str, Mask]) -> Iterator[Finding]:
    train = seen.is_train
    for name, gone in is_missing.items():
        for part in ("valid", "test"):
            where = seen.parts.get(part)
            if where is None or not where.any() or not train.any():
                continue
            here, there = int(gone[where].sum()), int(gone[train].sum())
            gap = difference(share(here, int(where.sum())), share(there, int(train.sum())))
            if max(gap.low, -gap.high) > TELLS:
                yield Finding(
                    "warning",
                    f"{name} is missing in {share_text(there / train.sum())} of training and "
                    f"{share_text(here / where.sum())} of {part} rows",
                    (gap.measure("difference", TELLS),),
                    (name,),
                    listed_rows(seen.rows[gone & (where if gap.value > 0 else train)]),
                    title="missing in one part more than in another",
                    otherwise=("the parts come from different times or places, as new rows will",),
                    remedies=(Remedy(f"fill in {name}, split the rows again, or drop it with --drop {name}."),),
                )


def _by_target(seen: Columns, is_missing: Mapping[str, Mask]) -> Iterator[Finding]:
    target = seen.targets[0] if len(seen.targets) == 1 else ""
    told = dict[str, tuple[str, Measure]]()
    for name, gone in is_missing.items() if target else ():
        there = ~gone
        if min(gone.sum(), there.sum()) < FEW:
            continue
        numbers, cells = seen.numbers.get(target), seen.table[target]
        if numbers is not None and cells.n_unique() > FEW_NUMBERS:
            first, second, spread = numbers[gone], numbers[there], float(numbers.std())
            gap = mean_difference(first, second) / (spread or 1.0)
            if max(gap.low, -gap.high) > 2 * TELLS:
                told[name] = (
                    f"{target} is {first.mean():.4g} on average where {name} is missing, else {second.mean():.4g}",
                    gap.measure(f"{name}: difference in standard deviations", 2 * TELLS),
                )
        elif numbers is not None or cells.n_unique() <= FEW_NUMBERS:
            best = max((_class_gap(cells, value, gone) for value in cells.unique().drop_nulls().sort()), default=None)
            if best is not None and best[0] > TELLS:
                _, value, gap, of, other = best
                told[name] = (
                    f"{target} is {value!r} in {share_text(of)} of the rows without {name}, else in "
                    f"{share_text(other)}",
                    gap.measure(f"{name}: difference", TELLS),
                )
    if told:
        yield Finding(
            "note",
            "; ".join(text for text, _ in list(told.values())[:SHOWN]),
            tuple(measure for _, measure in told.values()),
            tuple(told),
            title="missing cells that tell the target",
            otherwise=("rows without the cell are a different kind, as new rows without it will be",),
        )


def _class_gap(cells: pl.Series, value: object, gone: Mask) -> tuple[float, str, Interval, float, float]:
    is_value = (cells == value).fill_null(False).to_numpy()
    here, there = int(is_value[gone].sum()), int(is_value[~gone].sum())
    gap = difference(share(here, int(gone.sum())), share(there, int((~gone).sum())))
    return max(gap.low, -gap.high), str(value), gap, here / gone.sum(), there / (~gone).sum()
