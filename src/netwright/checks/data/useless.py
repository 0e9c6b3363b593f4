"""Columns that teach nothing: constant, duplicated, or identifiers of rows."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.checks.data.columns import Columns, Floats, columns, listed_rows
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.prepare import counts_rows, is_constant
from netwright.records.errors import listed
from netwright.records.finding import SHOWN, Finding, Remedy
from netwright.statistics import share

RARE_SHARE, RARE_ROWS = 0.001, 5  # other values in fewer rows than either teach nothing about new rows
NEARLY = 0.95  # share of one value among a few rows; below, a column cannot be nearly constant
RARE_ELSEWHERE = 0.01  # of the other rows: fewer surprises do not move the score
LEAST_ROWS = 100  # of fewer, five rows are a large share
SCREENED = 2_000  # rows compared first: nearly all pairs of columns differ there
SCREENING = 20_000_000_000  # products of the first comparison of all pairs of columns: seconds
LEAST_SCREENED = 50  # rows of it in the widest tables
AT_ONCE = 512  # columns compared with all others at once: 80 MB if there are 20,000
MOST_PAIRS = 100  # that are looked at closely
ROUNDED = 0.6  # of a column's precision: rounding adds half a step, and the line has an error
DISTINCT = 0.99  # share of distinct values from which a column identifies its rows
DENSE = 0.5  # share of the whole numbers between the least and the greatest that occur: measurements are less even
NAMED = r"(?i)(^|[_\s.-])(id|uid|uuid|guid|key|index|idx|no|nr|number|rowid|hash|filename|file|path)$"
LONG = 3  # words: longer texts have content


def constant_columns(evidence: DataEvidence) -> Iterator[Finding]:
    """constant columns

    A column that has one value in all training rows, or in nearly all.

    Why it matters: nothing can be learned from it. If it is constant in the training rows but varies in others, the
    network gets values that it has never seen.

    How it is decided: a column is constant if it has one value, or none, in all training rows; training leaves such
    columns out by itself. It is nearly constant if its other values are in fewer than one training row in a thousand
    (RARE_SHARE), or in fewer than five (RARE_ROWS), in data of at least 100 rows.
    """
    seen = evidence.once(columns)
    train = seen.table.filter(pl.Series(seen.is_train))
    constant = [name for name in seen.inputs if is_constant(train[name])]
    moving = dict[str, np.ndarray]()
    for name in (name for name in constant if not is_constant(seen.table[name])):
        moving[name] = ~_usual(seen.table[name], train[name][0])
    if moving:
        others = np.any(list(moving.values()), axis=0)
        elsewhere = len(seen.rows) - len(train)
        is_much = others.sum() >= RARE_ELSEWHERE * elsewhere
        yield Finding(
            "warning" if is_much else "note",
            f"{listed(list(moving))}: one value in all {len(train):,} training rows, others in {others.sum():,} of "
            f"{elsewhere:,} other rows",
            columns=tuple(moving),
            rows=listed_rows(seen.rows[others]),
            remedies=(Remedy(f"drop it with --drop {next(iter(moving))}, or split the rows again."),),
        )
    still = [name for name in constant if name not in moving]
    if still:
        values = "; ".join(f"{name} is always {train[name][0]!r}" for name in still[:SHOWN])
        yield Finding(
            "note",
            f"{len(still)} of {len(seen.inputs)} columns never change and are left out: {values}",
            columns=tuple(still),
            remedies=(Remedy(f"drop it with --drop {still[0]}."),),
        )
    yield from _nearly_constant(seen, train, [name for name in seen.inputs if name not in constant])


def _nearly_constant(seen: Columns, train: pl.DataFrame, names: list[str]) -> Iterator[Finding]:
    count, told, rare = len(train), dict[str, tuple[int, str]](), np.zeros(len(seen.rows), bool)
    some = train.gather_every(-(-count // SCREENED)) if count else train
    for name in names if count >= LEAST_ROWS else ():
        if some[name].unique_counts().max() < NEARLY * len(some):  # type: ignore[operator]  # a count of some rows
            continue
        mode = train[name].mode().sort()[0]
        other = count - int(_usual(train[name], mode).sum())
        if other < max(RARE_SHARE * count, RARE_ROWS):
            told[name] = other, f"{name} is {mode!r} in all but {other:,}"
            rare |= ~_usual(seen.table[name], mode)
    if told:
        first = min(told, key=lambda name: told[name][0])
        other = told[first][0]
        yield Finding(
            "note",
            f"{'; '.join(text for _, text in list(told.values())[:SHOWN])} of {count:,} training rows",
            (share(other, count).measure(f"share of other values in {first}", RARE_SHARE),),
            tuple(told),
            listed_rows(seen.rows[rare]),
            title="nearly constant columns",
            otherwise=("the rare values are the ones that matter",),
            remedies=(Remedy(f"drop it with --drop {first}."),),
        )


def _usual(cells: pl.Series, value: object) -> np.ndarray:
    return (cells.is_null() if value is None else (cells == value).fill_null(False)).to_numpy()


def duplicate_columns(evidence: DataEvidence) -> Iterator[Finding]:
    """duplicate columns

    A column that repeats another one: equal, in other words, in another unit, or rounded.

    Why it matters: it adds nothing, takes weights and time, and makes explanations misleading, since the two columns
    share the importance of one thing.

    How it is decided: two columns are copies if their values map one to one: the same rows have equal values in each.
    Columns of mostly different numbers are copies if their order is the same, or the reverse. A number is a rounded
    copy if a straight line from the other one is off by at most 0.6 steps of its precision (ROUNDED). All are compared
    on all rows, after a first comparison on 2,000 of them (SCREENED). Constant and nearly constant columns are left
    out, since they agree by chance.
    """
    seen = evidence.once(columns)
    step = -(-len(seen.rows) // SCREENED)
    some = seen.table.gather_every(step) if step > 1 else seen.table
    groups = defaultdict[bytes, list[str]](list)
    for name in seen.inputs:
        key = _pattern(some[name], seen.numbers.get(name), step)
        if key is not None:
            groups[key].append(name)
    copies = list[tuple[str, str, str]]()
    for names in (names for names in groups.values() if len(names) > 1):
        first, same = names[0], names[1:]
        if step > 1:
            key = _pattern(seen.table[first], seen.numbers.get(first), 1)
            same = [name for name in same if _pattern(seen.table[name], seen.numbers.get(name), 1) == key]
        copies += [(first, other, "") for other in same]
    known = {other for _, other, _ in copies}
    copies += _rounded(seen, [n for n, _ in seen.measured() if n not in known], step)
    if copies:
        told = "; ".join(f"{b} {how or _relation(seen, a, b)} {a}" for a, b, how in copies[:SHOWN])
        yield Finding(
            "note",
            f"{len(copies)} of {len(seen.inputs)} columns are copies: {told}",
            columns=tuple(dict.fromkeys(other for _, other, _ in copies)),
            otherwise=("they will differ in new data",),
            remedies=(Remedy(f"drop it with --drop {copies[0][1]}."),),
        )


def _pattern(cells: pl.Series, numbers: Floats | None, step: int) -> bytes | None:
    """What all translations of a column share: which rows are equal, or their order; None for constant ones."""
    if len(cells) < RARE_ROWS:
        return None
    codes = _codes(cells)
    counts = np.bincount(codes)
    if len(codes) - counts.max() < RARE_ROWS:
        return None
    if codes.max() * 2 > len(codes):  # mostly different: which rows are equal says nothing
        if numbers is None:
            return cells.hash(0).to_numpy().tobytes()
        order = codes if codes[np.argmax(codes != codes[0])] > codes[0] else np.where(codes, codes.max() + 1 - codes, 0)
        return order.tobytes()
    values, first = np.unique(codes, return_index=True)
    places = np.empty(values[-1] + 1, np.int64)
    places[values] = np.argsort(np.argsort(first))
    return places[codes].tobytes()


def _codes(cells: pl.Series) -> NDArray[np.int64]:
    """The rank of each cell among the distinct ones, from 1; 0 for missing cells."""
    if cells.dtype.is_integer() and not cells.null_count():  # numpy takes a third of the time for short columns
        return np.unique(cells.to_numpy(), return_inverse=True)[1].astype(np.int64) + 1
    return cells.rank("dense").fill_null(0).to_numpy().astype(np.int64)


def _relation(seen: Columns, first: str, other: str) -> str:
    if seen.table[first].dtype == seen.table[other].dtype and seen.table[first].equals(seen.table[other]):
        return "equals"
    x, y = seen.numbers.get(first), seen.numbers.get(other)
    if x is None or y is None:
        return "forms the same groups as"
    slope, base, miss = _line(x, y)
    if miss <= 1e-6 * np.nanstd(y):
        return f"is {slope:.6g} x" if abs(base) <= 1e-6 * np.nanstd(y) else f"is {base:.6g} + {slope:.6g} x"
    return "has the same information as"


def _line(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Slope, intercept and largest error of the straight line from x to y."""
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    if len(x) < RARE_ROWS or x.std() == 0:
        return 0.0, 0.0, np.inf
    slope = float(np.mean((x - x.mean()) * (y - y.mean())) / x.var())
    base = float(y.mean() - slope * x.mean())
    return slope, base, float(np.abs(y - base - slope * x).max())


def _rounded(seen: Columns, names: list[str], step: int) -> Iterator[tuple[str, str, str]]:
    """Pairs of numbers of which the second is the first, in another unit and rounded."""
    names = [name for name in names if np.isfinite(seen.numbers[name][::step]).mean() > 0.5]
    if len(names) < 2:
        return
    step = max(step, -(-len(seen.rows) // max(LEAST_SCREENED, SCREENING // len(names) ** 2)))
    some = np.stack([seen.numbers[name][::step] for name in names])
    middle = np.nanmedian(np.where(np.isfinite(some), some, np.nan), axis=1, keepdims=True)
    some = np.where(np.isfinite(some), some, middle)
    some = some - some.mean(axis=1, keepdims=True)
    some /= np.maximum(np.linalg.norm(some, axis=1, keepdims=True), np.finfo(float).tiny)
    for a, b in islice(_alike(some), MOST_PAIRS):
        for first, other in ((names[a], names[b]), (names[b], names[a])):
            x, y = seen.numbers[first], seen.numbers[other]
            values = np.unique(y[np.isfinite(y)])
            gap = float(np.diff(values).min(initial=np.inf))
            slope, _, miss = _line(x, y)
            if 20 <= len(values) <= len(np.unique(x[np.isfinite(x)])) and miss <= ROUNDED * gap:
                yield first, other, f"is, rounded, {slope:.3g} x"
                break


def _alike(x: Floats) -> Iterator[tuple[int, int]]:
    """Pairs of rows of length 1 that are nearly parallel, in order; some at a time, since all pairs fill memory."""
    for start in range(0, len(x), AT_ONCE):
        block = np.abs(x[start : start + AT_ONCE] @ x[start:].T) > 0.999
        yield from ((start + a, start + b) for a, b in np.argwhere(np.triu(block, 1)).tolist())


def id_columns(evidence: DataEvidence) -> Iterator[Finding]:
    """columns that name rows

    A column with a different value in every row: a row number, a customer number, a file name, a hash.

    Why it matters: it says nothing about other rows, but lets the network memorize the training rows. If the rows were
    sorted before they were numbered, the number leaks the target.

    How it is decided: whole numbers that rise from row to row, mostly by one; or that all differ and fill at least half
    of their range (DENSE); or that differ in 99 % of the rows (DISTINCT) under a name such as "id", "key" or "number".
    Texts of up to three words (LONG) that differ in 99 % of the rows, if there are other columns.
    """
    seen = evidence.once(columns)
    count = len(seen.rows)
    if count < LEAST_ROWS // 5:
        raise Skip("too few rows to tell row numbers from other numbers")
    families = {field.name: field.family for field in evidence.fields}
    found = dict[str, str]()
    for name in seen.inputs if len(evidence.dataset.inputs) > 1 else ():
        cells = seen.table[name]
        if cells.null_count() > (1 - DISTINCT) * count or not (cells.dtype.is_integer() or cells.dtype == pl.String):
            continue
        if cells.dtype == pl.String and families.get(name) in ("symbols", "dates", "numbers"):
            continue
        if cells.dtype.is_integer() and counts_rows(cells):
            found[name] = "counts the rows"
            continue
        distinct = cells.n_unique()
        if distinct < DISTINCT * count:
            continue
        if cells.dtype == pl.String:
            lengths = cells.str.count_matches(r"\s+") + 1
            if lengths.median() <= LONG:  # type: ignore[operator]  # the median of numbers is a number
                found[name] = f"identifies them, as in {cells.drop_nulls()[0]!r}"
        elif _is_numbering(name, cells, distinct):
            found[name] = "numbers them without order"
    if found:
        told = "; ".join(f"{name} {how}" for name, how in list(found.items())[:SHOWN])
        has_number = any(seen.table[name].dtype.is_integer() for name in found)
        yield Finding(
            "warning" if has_number else "note",
            f"different in every row of {count:,}: {told}",
            columns=tuple(found),
            otherwise=("a measurement that happens to differ everywhere",),
            remedies=(Remedy(f"drop it with --drop {next(iter(found))}."),),
        )


def _is_numbering(name: str, cells: pl.Series, distinct: int) -> bool:
    if pl.Series([name]).str.contains(NAMED)[0]:
        return True
    span = int(cells.max()) - int(cells.min()) + 1  # type: ignore[arg-type]  # of whole numbers
    return distinct == len(cells) and distinct >= DENSE * span
