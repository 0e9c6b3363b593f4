"""What training rows reveal about test rows: scores are too good if it is more than about new data."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from netwright.checks.data.kinship import Values, between, inputs_of, unexplained, within
from netwright.checks.data.near import joined, near
from netwright.checks.data.repeats import repeats
from netwright.checks.data.unlike import drops
from netwright.checks.evidence import DataEvidence, Skip, require_apart
from netwright.data.split import Rows
from netwright.data.times import as_times
from netwright.records.errors import counted
from netwright.records.finding import Finding, Measure, Remedy, Severity
from netwright.statistics import Interval

ERROR_SHARE = 0.01  # of the test rows: known answers to so many can move a score by a point
SHARED = 0.2  # of the test rows: fewer hardly change the score
ALIKE = 0.2  # correlation of inputs in a group: below 0.17 for towns, occupations and codes of public tables
KIN, KIN_ERROR = 0.1, 0.3  # correlation of the target's residuals
LEAST_GROUPS, MOST_SIZE, LARGEST = 20, 100, 0.05  # groups are many and small; larger ones are categories
QUANTITY = 0.7  # similarity of rows of neighboring values over that of equal ones; above, values are a quantity
KIN_ROWS = 20_000  # that the correlations use: their interval is then below 0.02
LAG, LAG_ERROR = 0.2, 0.5  # of neighbors in time; in rows without an order it was below 0.03
AFTER = 0.9  # share of test rows after all training rows
BLOCKS, LEAST_BLOCK = 2, 10  # blocks per value at most, and rows per block at least: sorted by the target
COUNTING = 0.8  # share of steps of one from which a column counts the rows
ERROR_ROWS = 5  # at least: fewer are within any score's interval


@dataclass(frozen=True, eq=False)
class Leaked:
    """Rows of the test part that have copies in training."""

    test: Rows  # ascending
    train: Rows  # the copies, ascending
    exact: int  # how many of `test` are equal to their copy; the others nearly


def test_rows_in_training(evidence: DataEvidence) -> Iterator[Finding]:
    """test rows among the training rows

    Rows of the test part are also in the training part, exactly or nearly.

    Why it matters: the network has seen the answers to these test rows. The score is better than on new data, and
    favors networks that memorize.

    How it is decided: equal rows as in NW170, nearly equal ones as in NW171, one in each part. It is not reported if
    chance alone gives as many equal rows, in a table with few distinct values. It is an error from ERROR_SHARE = 1 % of
    the test rows and ERROR_ROWS = 5, which can move a score by a point; a warning if they are fewer rows, a note if
    they are a smaller share. Copies are dropped from the training part, so that the test part stays the same and scores
    remain comparable.
    """
    leaked = evidence.once(leaks)
    if not len(leaked.test):
        return
    count = len(_parts(evidence)[1])
    share = len(leaked.test) / count
    near = len(leaked.test) - leaked.exact
    kinds = "" if not near else f", {leaked.exact:,} exactly and {near:,} nearly"
    severity: Severity = "error" if len(leaked.test) >= ERROR_ROWS else "warning"
    yield Finding(
        severity if share >= ERROR_SHARE else "note",
        f"{counted(len(leaked.test), 'row')} of {count:,} in the test part ({share:.1%}) "
        f"{'are' if len(leaked.test) > 1 else 'is'} also in the training part{kinds}",
        (Measure("share of the test rows", share, threshold=ERROR_SHARE),),
        rows=tuple(leaked.test.tolist()),
        otherwise=("different things that look the same",) if near else (),
        remedies=(
            Remedy(
                "drop the copies from the training part, or move them to the test part.",
                effect="the score falls to its level on new data",
                cost=f"{counted(len(leaked.train), 'row')} of the training part",
            ),
        ),
        fixes=drops(evidence, leaked.train.tolist()),
    )


def groups_in_several_parts(evidence: DataEvidence) -> Iterator[Finding]:
    """groups split across parts

    A column, or the beginning of file names, says which patient, user, machine or series of photos a row comes from,
    and rows of one group are in both the training and the test part.

    Why it matters: a network can recognize the patient instead of the illness. On new patients its score will be lower
    than on the test part.

    How it is decided: candidates are columns of words or whole numbers with at least LEAST_GROUPS = 20 values, at most
    MOST_SIZE = 100 rows per value on average and no value with more than LARGEST = 5 % of the rows. Three conditions
    must hold. SHARED = 20 % or more of the test rows have group members in the training part. The other inputs of two
    rows of a group correlate by ALIKE = 0.2 or more. So do, by KIN = 0.1 or more, the residuals of the target after an
    additive model of the inputs. These are intraclass correlations, and the lower end of the 95 % interval counts. Rows
    of one town or occupation differ in their other inputs, so they are not a group. For whole numbers, rows of
    neighboring values must be less alike than rows of the same value; else it is a quantity.
    """
    train, test = _parts(evidence)
    require_apart(evidence)
    for name, groups in _groupings(evidence):
        has_company = np.isin(groups[test], groups[train])
        shared = float(has_company.mean())
        if shared < SHARED:
            continue
        rows = _whole_groups(groups, evidence)
        inputs = inputs_of(evidence, rows, without=name)
        alike = within(groups[rows], inputs)
        if alike.low < ALIKE or (name and _is_quantity(groups[rows], inputs, alike)):
            continue
        kin = within(groups[rows], unexplained(evidence, rows, inputs))
        if kin.low >= KIN:
            yield _grouped(name, groups, test[has_company], shared, alike, kin)


def time_leaks(evidence: DataEvidence) -> Iterator[Finding]:
    """time leaks

    Rows follow each other in time, neighbors have much in common, and test rows are drawn from between training rows.
    The hours before and after a test row are known from training.

    Why it matters: in use, a network knows only the past. A score that relies on knowing tomorrow is too good.

    How it is decided: rows are ordered by each column of dates, by a column that counts them, or else as they are. An
    additive model of the other inputs is fitted to the target. It is a finding if the residuals of neighbors correlate
    by LAG = 0.2 or more (the lower end of the 95 % interval), and an error from LAG_ERROR = 0.5. It is not reported if
    AFTER = 90 % of the test rows are later than all training rows, or if rows are sorted by the target.
    """
    train, test = _parts(evidence)
    require_apart(evidence)
    for name, order in _orders(evidence):
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        if (place[test] > place[train].max()).mean() >= AFTER:
            return
        at = max(0, (len(order) - KIN_ROWS) // 2)
        stretch = order[at : at + KIN_ROWS]
        stretch = stretch[~np.isin(stretch, evidence.bad)]
        left = unexplained(evidence, stretch, inputs_of(evidence, stretch, without=name))
        count = np.arange(len(stretch) - 1)
        lag = between(count, count + 1, left)
        if lag.low >= LAG and not _is_sorted(evidence, stretch):
            yield _in_time(name, lag)
            return


def leaks(evidence: DataEvidence) -> Leaked:
    """Test rows with a copy in the training part, and the copies. Raises Skip if there are no parts."""
    train, test = _parts(evidence)
    found = evidence.once(repeats)
    if found.are_natural:
        return Leaked(test[:0], test[:0], 0)
    exact, copies = _shared(found.rows, found.first, train, test)
    if not evidence.is_fast:
        try:
            pairs = evidence.once(near).pairs
        except Skip:  # NW171 says why near duplicates cannot be judged; equal rows can
            pairs = np.empty((0, 2), np.int64)
        alike, copies = _shared(found.rows, joined(found.rows, found.first, pairs), train, test)
        return Leaked(alike, copies, len(exact))
    return Leaked(exact, copies, len(exact))


def _shared(rows: Rows, label: Rows, train: Rows, test: Rows) -> tuple[Rows, Rows]:
    """The test rows and the training rows whose label is in both parts."""
    tests, trains = np.isin(rows, test), np.isin(rows, train)
    is_shared = np.isin(label, np.intersect1d(label[tests], label[trains]))
    return rows[is_shared & tests], rows[is_shared & trains]


def _groupings(evidence: DataEvidence) -> Iterator[tuple[str, Rows]]:
    """Columns that may identify groups, with the group of each row, and "" for the beginnings of file names."""
    dataset = evidence.dataset
    dates = {name for name, _ in _dates(evidence)}
    columns = [(name, dataset.table[name]) for name in dataset.inputs if name not in dates | {*dataset.mapped}]
    if dataset.places is not None and dataset.places.dtype == pl.String:
        columns.append(("", dataset.places.str.replace(r"[-_. ]*\d*\.\w+$", "")))
    for name, cells in columns:
        if not (cells.dtype.is_integer() or cells.dtype == pl.String):
            continue
        distinct = cells.n_unique()
        if distinct < LEAST_GROUPS or len(cells) > MOST_SIZE * distinct:
            continue
        groups = cells.rank("dense").fill_null(0).to_numpy().astype(np.int64)
        sizes = np.bincount(groups)
        if sizes.max() <= LARGEST * len(groups) and (sizes == 1).sum() < len(groups) / 2:
            yield name, groups


def _whole_groups(groups: Rows, evidence: DataEvidence) -> Rows:
    """All rows of as many groups, drawn by the seed, as make KIN_ROWS rows."""
    generator = np.random.default_rng(evidence.seed)
    drawn = generator.permutation(groups.max() + 1)[groups]
    rows = np.argsort(drawn, kind="stable")[:KIN_ROWS]
    return np.setdiff1d(rows, evidence.bad)


def _is_quantity(groups: Rows, inputs: Values, alike: Interval) -> bool:
    """Whether rows of neighboring values are nearly as alike as those of one value."""
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order]))
    return between(order[edges], order[edges + 1], inputs).value >= QUANTITY * alike.value


def _grouped(name: str, groups: Rows, rows: Rows, shared: float, alike: Interval, kin: Interval) -> Finding:
    count = len(np.unique(groups))
    what = f"column {name!r} identifies" if name else "file names begin with"
    advice = (
        f"keep rows of one group in one part: --group {name}."
        if name
        else "list the files in a table with the beginning of the name as a column, and pass it to --group."
    )
    return Finding(
        "error" if kin.low >= KIN_ERROR else "warning",
        f"{what} {count:,} groups of similar rows, and {shared:.0%} of the test rows have group members in training",
        (
            Measure("share of test rows with group members in training", shared, threshold=SHARED),
            alike.measure("correlation of inputs within a group", ALIKE),
            kin.measure("correlation of the target's residuals", KIN),
        ),
        columns=(name,) if name else (),
        rows=tuple(rows.tolist()),
        confidence=0.9,
        otherwise=("new rows will come from the same groups as training; then the score is right",),
        remedies=(Remedy(advice, effect="the score on new groups"),),
    )


def _dates(evidence: DataEvidence) -> Iterator[tuple[str, Rows]]:
    """Columns of dates, with the order of the rows by them; rows without a date first."""
    for name in (field.name for field in evidence.fields if field.family == "dates"):
        yield name, as_times(evidence.dataset, name).cast(pl.Int64).fill_null(-(2**62)).to_numpy()


def _orders(evidence: DataEvidence) -> Iterator[tuple[str, Rows]]:
    """The rows in the order of each column of dates, of a column that counts them, or else, "", as they are."""
    table, found = evidence.dataset.table, False
    for name, times in _dates(evidence):
        found = True
        yield name, np.argsort(times, kind="stable")
    for name in evidence.dataset.inputs:
        cells = table[name]
        if cells.dtype.is_integer() and not cells.null_count() and len(cells) > 1:
            steps = np.diff(np.sort(cells.to_numpy().astype(np.int64)))
            if steps.min() > 0 and (steps == 1).mean() >= COUNTING:
                found = True
                yield name, np.argsort(cells.to_numpy(), kind="stable")
    if not found:
        yield "", np.arange(len(table), dtype=np.int64)


def _is_sorted(evidence: DataEvidence, rows: Rows) -> bool:
    """Whether the target rises or falls along the rows, or its values are in blocks."""
    cells = evidence.dataset.table[evidence.dataset.targets[0]][rows]
    steps = np.diff(cells.rank("dense").to_numpy().astype(np.int64))
    steps = steps[steps != 0]
    rises = (steps > 0).mean() if len(steps) else 1.0
    has_blocks = len(steps) < min(BLOCKS * cells.n_unique(), len(rows) / LEAST_BLOCK)
    return bool(rises >= AFTER or rises <= 1 - AFTER or has_blocks)


def _in_time(name: str, lag: Interval) -> Finding:
    order = f"column {name!r}" if name else "their order in the data"
    advice = (
        f"test on the latest rows: --by-time {name}."
        if name
        else "if rows are in time order, number them in a column and pass it to --by-time."
    )
    return Finding(
        "error" if name and lag.low >= LAG_ERROR else "warning",
        f"by {order}, the target's residuals of neighboring rows correlate by {lag.value:.2f}, "
        "and test rows are between training rows",
        (lag.measure("correlation of neighbors", LAG),),
        columns=(name,) if name else (),
        confidence=0.9 if name else 0.7,
        otherwise=(
            "new rows will come from between the training rows; then the score is right",
            *(() if name else ("rows were sorted by something related to the target",)),
        ),
        remedies=(Remedy(advice, effect="the score of a network that knows only the past"),),
    )


def _parts(evidence: DataEvidence) -> tuple[Rows, Rows]:
    """The rows of the training part and of the test part."""
    if evidence.parts is None:
        raise Skip(f"there are no parts: {evidence.problem.splitlines()[0] if evidence.problem else 'not split'}")
    return evidence.parts.train, evidence.parts.test
