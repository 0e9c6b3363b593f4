"""The split: rows to train on, to choose by (valid), and to score once at the end (test)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.data.dataset import Dataset
from netwright.data.readers.table import require_column
from netwright.data.times import as_times
from netwright.kinds.number import Number
from netwright.records.errors import DataError, counted
from netwright.records.source import UNSAID, Source

TEST = 0.2  # of all rows
VALID = 0.15  # of the remaining rows
FEW_NUMBERS = 20  # a target with up to this many distinct numbers is stratified like classes
LEAST_ROWS = 2  # of a class on average: below that, values are nearly unique and stratifying is meaningless
LEAST = 3  # rows, groups or times: one for each part

Rows = NDArray[np.int64]
Cut = Callable[[Rows, float], tuple[Rows, Rows]]
"""(rows, share) -> the rows that stay, and those that are cut off."""


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, ascending; how they were chosen; and the columns used for it, which are not inputs."""

    train: Rows
    valid: Rows
    test: Rows
    how: str
    drop: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def split(
    dataset: Dataset, source: Source = UNSAID, *, seed: int = 0, test: float = TEST, valid: float = VALID
) -> Split:
    """Stratified by the target if it is a class; by group; by time; or as the data say.

    `test` is a share of all rows, `valid` a share of the rest. A part named in the data is used as it is; any other is
    cut from the training rows. Deterministic by seed. Raises DataError if there are too few rows, groups or times for
    three parts.

    Examples cut from rows, such as windows of a series, are split by time, and no two parts share a row.
    """
    group, by_time = source.group, source.by_time
    for name in (group, by_time):
        if name:
            require_column(dataset, name, "column to split by")
    if group and by_time:
        raise DataError("rows can be split by group or by time, not both", remedy="choose one of the two.")
    if by_time:
        cut, way = _time_cut(dataset, by_time)
    elif group:
        cut, way = _group_cut(dataset, group, seed)
    elif dataset.order is not None:
        cut, way = _latest(dataset.order), "by time, the latest examples last"
    else:
        cut, way = _stratified_cut(dataset, seed)
    given = _given(dataset)
    pool, tests = (given["train"], given["test"]) if len(given["test"]) else cut(given["train"], test)
    trains, valids = (pool, given["valid"]) if len(given["valid"]) else cut(pool, valid)
    notes = list[str]()
    if dataset.spans is not None and not dataset.are_apart:
        trains, valids = _apart(dataset.spans, trains, valids, tests), _apart(dataset.spans, valids, tests)
        if crossing := len(dataset) - len(trains) - len(valids) - len(tests):
            notes = [f"{counted(crossing, 'example')} left out: they share rows of the data with a later part"]
    parts = {"training": trains, "validation": valids, "test": tests}
    for part, rows in parts.items():
        if not len(rows):
            problem = f"{Path(dataset.origin).name}: {counted(len(dataset), 'row')} {way} leave none for {part}"
            fewer = "" if dataset.spans is None else ", let each example span fewer (a shorter horizon)"
            raise DataError(problem, remedy=f"add rows{fewer}, or name the parts in a column (--split).")
    sizes = ", ".join(f"{len(rows):,} {part}" for part, rows in parts.items())
    how = f"{_whole_way(given, way)}: {sizes}"
    return Split(trains, valids, tests, how, (group,) if group else (), (*_notes(dataset, way), *notes))


def _given(dataset: Dataset) -> dict[str, Rows]:
    """The rows of each part named in the data; if none is named, all rows are for training."""
    if dataset.parts is None:
        rows = np.arange(len(dataset), dtype=np.int64)
        if len(rows) < LEAST:
            problem = f"{Path(dataset.origin).name} has {counted(len(rows), 'row')}, too few for three parts"
            raise DataError(problem, remedy="give at least ten rows, better hundreds.")
        return {"train": rows, "valid": rows[:0], "test": rows[:0]}
    parts = dataset.parts.to_numpy()
    given = {part: np.flatnonzero(parts == part).astype(np.int64) for part in ("train", "valid", "test")}
    if not len(given["train"]):
        raise DataError(f"{dataset.origin} names parts, but no row is for training", remedy="mark some rows as train.")
    return given


def _whole_way(given: dict[str, Rows], way: str) -> str:
    cut = [name for part, name in (("valid", "validation"), ("test", "test")) if not len(given[part])]
    if len(cut) == 2:
        return way
    return "as the data say" + (f", {cut[0]} cut from the training rows {way}" if cut else "")


def _classes(dataset: Dataset) -> NDArray[np.int64] | None:
    """The class number of each row, or None if the target is not a class."""
    if len(dataset.targets) != 1:
        return None
    column = dataset.table[dataset.targets[0]]
    if column.dtype.is_nested() or column.dtype.is_temporal() or column.dtype == pl.Binary:
        return None
    distinct = column.n_unique()
    is_number = column.dtype.is_numeric() or (distinct > FEW_NUMBERS and Number.matches(column))
    if distinct > (FEW_NUMBERS if is_number else len(column) / LEAST_ROWS):
        return None
    return column.rank("dense").fill_null(0).to_numpy().astype(np.int64)


def _notes(dataset: Dataset, way: str) -> tuple[str, ...]:
    """A note about classes with only one row."""
    classes = _classes(dataset)
    if classes is None:
        return ()
    found, first, counts = np.unique(classes, return_index=True, return_counts=True)
    single = first[counts == 1]
    if not len(single):
        return ()
    name = dataset.targets[0]
    label = dataset.table[name][int(single[0])]
    kept = "; such rows are kept for training" if way.startswith("stratified") else ""
    text = f"{counted(len(single), 'value')} of {name!r} in only one row, the first is {label!r}"
    return (f"{text} ({dataset.locate(int(single[0]))}){kept}",) if len(found) > 1 else ()


def _stratified_cut(dataset: Dataset, seed: int) -> tuple[Cut, str]:
    classes = _classes(dataset)
    generator = np.random.default_rng(seed)
    strata = np.zeros(len(dataset), np.int64) if classes is None else classes

    def cut(rows: Rows, share: float) -> tuple[Rows, Rows]:
        order = generator.permutation(rows)
        order = order[np.argsort(strata[order], kind="stable")]
        # Every 1/share-th row over all classes in turn: each class gives its share to within one row, the sum is exact.
        steps = np.floor(np.arange(len(order) + 1) * share + generator.random())
        taken = np.diff(steps) > 0
        _keep_a_row_of_each_class(strata[order], taken)
        if not taken.any():
            taken[-1:] = len(order) > 1
        return np.sort(order[~taken]), np.sort(order[taken])

    return cut, f"stratified by {dataset.targets[0]!r}" if classes is not None else "at random"


def _keep_a_row_of_each_class(classes: NDArray[np.int64], taken: NDArray[np.bool_]) -> None:
    """Gives back the first row of classes that would lose all of theirs, unless nothing would remain cut off."""
    gone = np.setdiff1d(classes[taken], classes[~taken])
    firsts = np.searchsorted(classes, gone)
    if len(firsts) < taken.sum():
        taken[firsts] = False


def _time_cut(dataset: Dataset, name: str) -> tuple[Cut, str]:
    times = as_times(dataset, name)
    if times.null_count():
        row = times.is_null().arg_max() or 0
        problem = f"{counted(times.null_count(), 'row')} without a {name!r}, the first is {dataset.locate(row)}"
        raise DataError(problem, remedy="fill the times in, or leave these rows out.")
    return _latest(times.rank("dense").to_numpy().astype(np.int64)), f"by time {name!r}, the latest rows last"


def _latest(moments: Rows) -> Cut:
    """Cuts off the latest rows."""

    def cut(rows: Rows, share: float) -> tuple[Rows, Rows]:
        """The latest rows are cut off; rows with the same time stay together."""
        order = rows[np.argsort(moments[rows], kind="stable")]
        edge = moments[order][min(int(np.ceil(len(order) * (1 - share))), len(order) - 1)]
        late = moments[order] >= edge
        if late.all():  # the earliest time has most of the rows
            late = moments[order] > edge
        return np.sort(order[~late]), np.sort(order[late])

    return cut


def _apart(spans: Rows, rows: Rows, *others: Rows) -> Rows:
    """The rows whose spans share nothing with those of other parts."""
    taken = spans[np.concatenate(others)]
    taken = taken[np.argsort(taken[:, 0], kind="stable")]
    first, end = spans[rows].T
    begun = np.searchsorted(taken[:, 0], end)  # how many of the others begin before a row's end
    reach = np.concatenate([[-1], np.maximum.accumulate(taken[:, 1])])  # the latest end of the first n of them
    return rows[reach[begun] <= first]


def _group_cut(dataset: Dataset, name: str, seed: int) -> tuple[Cut, str]:
    column = dataset.table[name]
    groups = column.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    missing = np.flatnonzero(groups == 0)
    groups[missing] = groups.max() + 1 + np.arange(len(missing))  # each row without a group is its own group
    classes = _classes(dataset)
    strata = np.zeros(len(dataset), np.int64) if classes is None else np.unique(classes, return_inverse=True)[1]
    generator = np.random.default_rng(seed)
    if (count := len(np.unique(groups))) < LEAST:
        problem = f"column {name!r} has {counted(count, 'group')}, too few for three parts"
        raise DataError(problem, remedy="choose a column with more groups, or name the parts in a column (--split).")

    def cut(rows: Rows, share: float) -> tuple[Rows, Rows]:
        found, inverse = np.unique(groups[rows], return_inverse=True)
        counts = np.zeros((len(found), strata.max() + 1))
        np.add.at(counts, (inverse, strata[rows]), 1)
        taken = _take_groups(counts, share, generator)
        return rows[~taken[inverse]], rows[taken[inverse]]

    return cut, f"by group {name!r} ({count:,} groups, none in two parts)"


def _take_groups(counts: NDArray[np.float64], share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Groups to cut off, so that each class loses about its share. Greedy, the largest groups first."""
    wanted = counts.sum(axis=0)
    order = generator.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    have = np.zeros((2, counts.shape[1]))
    want = np.maximum(np.stack([wanted * (1 - share), wanted * share]), np.finfo(float).tiny)
    taken = np.zeros(len(counts), bool)
    for group in order:
        room = ((want - have) / want) @ counts[group]  # the share still wanted, by part
        taken[group] = room[1] > room[0]
        have[int(taken[group])] += counts[group]
    if not taken.any() and len(counts) > 1:
        taken[order[-1]] = True
    return taken
