"""Single columns that leak the target."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.checks.data.columns import Columns, Floats, columns
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import FEW_NUMBERS
from netwright.records.finding import Finding, Remedy
from netwright.statistics import Interval, mean, share

LOOKED_AT = 20_000  # rows: a leak shows in all of them
LEAST_ROWS = 50  # fewer rows can be predicted by chance
SIDES = 3  # neighbors on each side whose targets are used
MOST_CLASSES = 100  # the most frequent; the others count as one
MISSED_CLASSES = 0.01  # errors as a share of those of the largest class: iris petals, which are honest, leave 0.06
SURE = 0.1  # the upper end of that share's interval must be below: about 100 rows without an error
MISSED_NUMBERS = 0.001  # remaining share of the target's variance; size against perimeter of a tumor leaves 0.005
PLAIN = 10  # times below these thresholds only a leak is likely
NEARLY_ALL = 0.99  # of the rows must follow a formula


@dataclass(frozen=True)
class _Told:
    """How well a column alone predicts the target of other rows than those it learned from."""

    missed: Interval  # as a share of chance
    says: str


def leaking_columns(evidence: DataEvidence) -> Iterator[Finding]:
    """a column that gives the answer away

    One column predicts the target of nearly every row: a copy of it, something recorded after the target was known, or
    a number assigned to sorted rows.

    Why it matters: scores are near perfect, but the network is useless while the target is unknown, since the column is
    then unknown too.

    How it is decided: rows are sorted by the column; each row's target is predicted from its neighbors, three on each
    side (SIDES; in a column of names only neighbors of the same name). For classes, by majority: the errors as a share
    of those of always answering the largest class must be below 1 % (MISSED_CLASSES; the honest petals of the iris
    leave 6 %) and their 95 % interval below 10 % (SURE). For numbers, by the mean of the ranks of the two nearest or by
    a straight line: the remaining variance must be below 0.1 % with its 95 % interval (MISSED_NUMBERS). It is an error
    if a tenth of these thresholds (PLAIN) or less remains, else a warning. Columns that order the rows in time predict
    a smooth target honestly and are left out.
    """
    seen = evidence.once(columns)
    if not seen.targets:
        raise Skip("there is no target of single values")
    if len(seen.rows) < LEAST_ROWS:
        raise Skip(f"fewer than {LEAST_ROWS} rows can be predicted by chance")
    for target in seen.targets:
        leaks = evidence.once(leaks_of_targets).get(target, {})
        for name, told in leaks.items():
            is_class = classes_of(seen, target) is not None
            bar = MISSED_CLASSES if is_class else MISSED_NUMBERS
            yield Finding(
                "error" if told.missed.value <= bar / PLAIN else "warning",
                f"{name} alone predicts {target} {told.says}",
                (told.missed.measure("error as a share of chance", bar),),
                (name,),
                confidence=0.95 if told.missed.value <= bar / PLAIN else 0.8,
                otherwise=("it is known before the target: then this one column is enough",),
                remedies=(Remedy(f"drop it with --drop {name}, unless it is known before {target}."),),
            )


def leaks_of_targets(evidence: DataEvidence) -> dict[str, dict[str, _Told]]:
    """The columns that leak each target."""
    seen = evidence.once(columns)
    rows = np.random.default_rng(evidence.seed).permutation(len(seen.rows))[:LOOKED_AT]
    found = dict[str, dict[str, _Told]]()
    for target in seen.targets[:10]:
        classes = classes_of(seen, target)
        numbers = seen.numbers.get(target)
        told = dict[str, _Told]()
        for name in seen.inputs:
            keys, is_named = _keys(seen, name, rows)
            if classes is not None:
                answer = _tells_class(keys, classes[rows], is_named)
            elif numbers is None or _orders_rows(seen, name):
                continue
            else:
                answer = _tells_number(keys, numbers[rows], is_named)
            if answer is not None:
                told[name] = answer
        found[target] = told
    return found


def classes_of(seen: Columns, target: str) -> NDArray[np.int64] | None:
    """A number for the class of each row, the most frequent first, or None if the target is a measurement."""
    cells = seen.table[target]
    if cells.dtype.is_temporal() or (target in seen.numbers and cells.n_unique() > FEW_NUMBERS):
        return None
    ranks = cells.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    counts = np.bincount(ranks)
    order = np.empty(len(counts), np.int64)
    order[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return order[ranks].clip(max=MOST_CLASSES)


def _keys(seen: Columns, name: str, rows: NDArray[np.int64]) -> tuple[Floats, bool]:
    """Numbers that sort the rows, the missing last, and whether they are only names."""
    if name in seen.numbers:
        return seen.numbers[name][rows], False
    cells = seen.table[name][rows]
    if cells.dtype.is_temporal():
        return cells.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy(), False
    return cells.rank("dense").cast(pl.Float64).fill_null(0.0).to_numpy(), True


def _orders_rows(seen: Columns, name: str) -> bool:
    cells = seen.table[name]
    if cells.dtype == pl.String and name not in seen.numbers:
        return False
    steps = cells.cast(pl.Float64, strict=False).to_numpy() if name not in seen.numbers else seen.numbers[name]
    steps = np.diff(steps[np.isfinite(steps)])
    return len(steps) > 0 and bool((steps >= 0).all() or (steps <= 0).all())


def _tells_class(keys: Floats, classes: NDArray[np.int64], is_named: bool) -> _Told | None:
    """Majority of neighbors. Rows come in random order, so rows with one key are no neighbors by place."""
    order = np.argsort(keys, kind="stable")  # NaN last
    keys, classes = keys[order], classes[order]
    count, kinds = len(classes), int(classes.max()) + 1
    votes = np.zeros((count, kinds), np.int8)
    every = np.arange(count)
    for step in range(1, SIDES + 1):
        alike = keys[step:] == keys[:-step] if is_named else ~np.isnan(keys[step:]) | np.isnan(keys[:-step])
        here = every[:-step][alike]
        votes[here, classes[here + step]] += 1
        votes[here + step, classes[here]] += 1
    answers = votes.argmax(axis=1)  # ties, and rows without neighbors, get the class with most rows
    wrong, chance = int((answers != classes).sum()), int((classes != np.bincount(classes).argmax()).sum())
    if not chance:
        return None
    missed = replace(share(wrong, count) / (chance / count), value=wrong / chance)
    if missed.value > MISSED_CLASSES or missed.high > SURE:
        return None
    return _Told(missed, f"in all but {wrong:,} of {count:,} rows")


def _tells_number(keys: Floats, target: Floats, is_named: bool) -> _Told | None:
    there = np.isfinite(target)
    keys, target = keys[there], target[there]
    if len(keys) < LEAST_ROWS or target.std() == 0:
        return None
    ranks = pl.Series(target).rank().to_numpy()
    order = np.argsort(keys, kind="stable")
    ranks, keys_there = ranks[order], keys[order]
    if is_named:
        return None if len(np.unique(keys)) * 2 > len(keys) else _left(_within(keys_there, ranks), ranks)
    answers = (ranks[:-2] + ranks[2:]) / 2
    ways = [_left(ranks[1:-1] - answers, ranks)]
    finite = np.isfinite(keys)
    if finite.mean() >= NEARLY_ALL and keys[finite].std() > 0:
        x, y = keys[finite], target[finite]
        slope, base = np.polyfit(x - x.mean(), y, 1)
        ways.append(_left(y - base - slope * (x - x.mean()), y))
    return min((way for way in ways if way is not None), key=lambda way: way.missed.high, default=None)


def _within(keys: Floats, values: Floats) -> Floats:
    """Residuals after the mean of the other rows with the same name."""
    _, group = np.unique(keys, return_inverse=True)
    counts, sums = np.bincount(group)[group], np.bincount(group, values)[group]
    others = np.where(counts > 1, (sums - values) / np.maximum(counts - 1, 1), values.mean())
    return values - others


def _left(residuals: Floats, values: Floats) -> _Told | None:
    squares = residuals**2 / values.var()
    missed = mean(squares)
    if missed.high > MISSED_NUMBERS:
        return None
    return _Told(replace(missed, low=max(0.0, missed.low)), f"but for {missed.value:.2g} of its variance")
