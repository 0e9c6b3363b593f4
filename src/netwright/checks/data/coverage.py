"""Groups of rows that are too small to learn or to judge, absent from training, or predicted worse than others."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.checks.data.encoded import summaries
from netwright.checks.data.quick import out_of_fold, quick
from netwright.checks.evidence import DataEvidence, Skip, require_apart
from netwright.data.prepare import Prepared
from netwright.kinds.markup import figure
from netwright.records.batch import Examples
from netwright.records.errors import listed
from netwright.records.features import Summary
from netwright.records.finding import Finding, Measure, Remedy
from netwright.statistics import Interval, at_most, mean, share

NEEDED = 97  # rows of a group whose score is then known within 10 points: 1.96^2 * 0.25 / 0.1^2
FEW_VALUES = 20  # of a column whose values form groups of rows
ABSENT = 0.01  # of a part's rows are in groups that training lacks
HOLE = 0.1  # of the rows that a range should have, by the other part: fewer make it a hole
CHANCE = 0.001  # that any column shows a hole if the parts do not differ
BINS = 40  # pieces of a range, each with LEAST_IN_BIN rows or more: shows a hole of a fortieth of the rows
LEAST_IN_BIN = 10
WINDOWS = (1, 2, 4, 8)  # pieces examined together: few rows show only wide holes
MOST_ROWS = 20_000  # examined in a part
SHOWN = 5

SLICES = 5  # ranges of a number: fifths have enough rows
LEAST_IN_SLICE = 50  # rows in each half: enough to know an error of 0.5 within 14 points
WORSE = 0.05  # more of the rows wrong than overall; numbers: WORSE_DISTANCE
WORSE_DISTANCE = 0.25  # of the mean distance
MUCH_WORSE = 3.0  # times the overall error: a warning
CONFIRMED = 3  # slices at most that the second half tests
MOST_COLUMNS = 20
RELATED = 0.3  # Cramer's V from which two columns are related by meaning, such as husband and sex: gaps are expected

Numbers = NDArray[Any]


def few_rows(evidence: DataEvidence) -> Iterator[Finding]:
    """groups with too few rows

    Validation or test rows belong to groups that training rows do not: values of a column, or ranges of a number or of
    a visible property of pictures (brightness, tilt, ...). Pairs of values that should be frequent and are rare are
    listed too.

    Why it matters: the network guesses for groups that are absent from training, and the score of groups that are
    nearly absent from the test part is unknown. The mean hides both.

    How it is decided: values absent from training are a warning from ABSENT = 1 % of a part's rows, in columns with at
    most one value per ten rows. A hole is a range with at least a BINS = 40th of the other part's rows and less than
    HOLE = a tenth of the training rows that belong there, if chance would show one in only CHANCE = 1 of 1,000 audits.
    Pairs: of two columns with at most FEW_VALUES = 20 values. A pair is reported if it would have NEEDED = 97 rows or
    more if the columns were independent (with so many, a group's score is known within 10 points) and has less than a
    tenth of that. It is a note, since a pair may be impossible. Examples that overlap, such as windows of a series, are
    not judged: few stretches of rows make many of them.
    """
    prepared, parts = evidence.prepared, evidence.parts
    if prepared is None or parts is None:
        raise Skip(evidence.problem or "the data cannot be encoded")
    require_apart(evidence)
    for name, rows in (("test", parts.test), ("validation", parts.valid)):
        yield from _absent(evidence, prepared, name, rows)
    known = _columns(prepared, prepared.train, evidence.seed)
    for name, part in (("test", prepared.test), ("validation", prepared.valid)):
        rows, columns = _columns(prepared, part, evidence.seed)
        yield from _holes(evidence, name, known[1], columns, rows)
    if not evidence.is_fast:
        yield from _rare_pairs(known[1], len(known[0]))


def _columns(prepared: Prepared, part: Examples, seed: int) -> tuple[Numbers, list[Summary]]:
    index = part.rows.cpu().numpy()
    most = MOST_ROWS if all(f.joins for f in prepared.schema.inputs) else MOST_ROWS // 4
    rows = index if len(index) <= most else np.random.default_rng(seed).choice(index, most, replace=False)
    return rows, summaries(prepared.schema, part, rows)


def _absent(evidence: DataEvidence, prepared: Prepared, part: str, rows: Numbers) -> Iterator[Finding]:
    """Values of categories and labels in a part that no training row has."""
    dataset, parts = evidence.dataset, evidence.parts
    names = [f.name for f in prepared.schema.inputs if f.family == "labels"]
    targets = [name for name in dataset.targets if prepared.task.link in ("softmax", "sigmoid")]
    for name in (*names, *targets):
        cells = dataset.table[name]
        if parts is None or cells.dtype.is_nested():
            continue
        known = cells[parts.train].unique()
        if len(known) > 0.1 * len(parts.train):
            continue  # names and identifiers: most values are new each time
        here = cells[rows]
        is_new = ~here.is_in(known.implode(), nulls_equal=True) & here.is_not_null()
        found = share(int(is_new.sum()), len(here))
        if found.value >= ABSENT:
            values = here.filter(is_new).value_counts(sort=True)[name]
            yield Finding(
                "warning",
                f"{found.value:.0%} of the {part} rows have a {name} that no training row has: "
                f"{listed([str(value) for value in values], SHOWN)}",
                (found.measure(f"share of {part} rows", ABSENT),),
                title=f"groups in {part} that training lacks",
                columns=(name,),
                rows=tuple(int(row) for row in rows[is_new.to_numpy()]),
                otherwise=("a different spelling of a value in training",),
                remedies=(
                    Remedy(f"add training rows with these values of {name}, or move some of these rows there."),
                    Remedy(f"to judge new values of {name} on purpose, split with --group {name}."),
                ),
            )


def _holes(
    evidence: DataEvidence, part: str, train: list[Summary], other: list[Summary], rows: Numbers
) -> Iterator[Finding]:
    """Ranges with rows of a part and almost no training rows."""
    pairs = [(t, o) for t, o in zip(train, other, strict=True) if t.name and not t.labels and not t.is_date]
    for old, new in pairs:
        cells = evidence.dataset.table[old.column]
        if cells.dtype.is_numeric() and old.column not in evidence.dataset.mapped and cells.is_sorted():
            continue  # counts the rows: later parts have larger values
        a, b = (np.sort(c.values[~np.isnan(c.values)]) for c in (old, new))
        bins = min(BINS, len(b) // LEAST_IN_BIN)
        if bins < 2 or not len(a):
            continue
        edges = np.unique(b[np.linspace(0, len(b) - 1, bins + 1).astype(int)])
        if len(edges) < 2:
            continue
        there, here = (_counts(x, edges) for x in (a, b))
        is_hole = _are_holes(there, here, len(a) / len(b), CHANCE / len(pairs))
        for first, last in _runs(is_hole):
            low, high = float(edges[first]), float(edges[last + 1])
            inside = (new.values >= low) & (new.values <= high)
            of = share(float(here[first : last + 1].sum()), len(new.values))
            against = share(float(there[first : last + 1].sum()), len(old.values))
            yield Finding(
                "warning",
                f"{old.name} from {figure(low)} to {figure(high)}: {of.value:.1%} of the {part} rows, "
                f"{against.value:.1%} of the training rows",
                (
                    of.measure(f"share of {part} rows"),
                    against.measure("share of training rows", HOLE * of.value),
                ),
                title=f"a range in {part} that training lacks",
                columns=(old.column,),
                rows=tuple(int(row) for row in rows[inside]),
                confidence=1 - CHANCE,
                otherwise=("parts split by time, if the values rise with time",),
                remedies=(Remedy(f"add training rows with {old.name} in this range, or move some of these there."),),
            )


def _are_holes(there: Numbers, here: Numbers, ratio: float, chance: float) -> Numbers:
    """The pieces in a window that should have `ratio` times `here` rows and has less than HOLE of that."""
    marked = np.zeros(len(here), bool)
    for width in WINDOWS:
        if width > len(here):
            break
        ours, theirs = (np.convolve(counts, np.ones(width), "valid") for counts in (there, here))
        for start in np.flatnonzero(ours < HOLE * theirs * ratio):
            lucky = at_most(int(ours[start]), int(ours[start] + theirs[start]), ratio / (1 + ratio))
            if lucky * len(WINDOWS) * len(here) < chance:
                marked[start : start + width] = True
    return marked


def _counts(values: Numbers, edges: Numbers) -> Numbers:
    """Values from each edge to the next; the last range includes its end. `values` are sorted."""
    places = np.searchsorted(values, edges, side="left")
    places[-1] = np.searchsorted(values, edges[-1], side="right")
    return np.diff(places)


def _runs(marked: Numbers) -> Iterator[tuple[int, int]]:
    """First and last position of each run of marked pieces."""
    steps = np.diff(np.concatenate([[0], marked.astype(int), [0]]))
    yield from zip(np.flatnonzero(steps == 1).tolist(), (np.flatnonzero(steps == -1) - 1).tolist(), strict=True)


def _rare_pairs(columns: list[Summary], count: int) -> Iterator[Finding]:
    """Pairs of values that rarely occur together, the most surprising first."""
    grouped = [c for c in columns if c.name and 2 < len(c.labels) <= FEW_VALUES + 2][:MOST_COLUMNS]
    found = list[tuple[float, int, str, tuple[str, str]]]()
    for one, two in combinations(grouped, 2):
        table = np.zeros((len(one.labels), len(two.labels)))
        np.add.at(table, (one.values.astype(int), two.values.astype(int)), 1)
        wanted = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / count
        if _association(table, wanted) > RELATED:
            continue
        for i, j in zip(*np.nonzero((wanted >= NEEDED) & (table < HOLE * wanted)), strict=True):
            pair = f"{one.name} {one.labels[i]} with {two.name} {two.labels[j]}"
            found.append((float(wanted[i, j]), int(table[i, j]), pair, (one.column, two.column)))
    found.sort(key=lambda item: -item[0])
    if found:
        told = "; ".join(
            f"{pair}: {have} rows where {want:,.0f} were expected" for want, have, pair, _ in found[:SHOWN]
        )
        yield Finding(
            "note",
            told + (f"; and {len(found) - SHOWN} more pairs" if len(found) > SHOWN else ""),
            tuple(Measure(f"rows of {pair}", have, threshold=HOLE * want) for want, have, pair, _ in found[:SHOWN]),
            title="pairs of values that hardly come together",
            columns=tuple(dict.fromkeys(name for *_, names in found[:SHOWN] for name in names)),
            otherwise=("pairs that are impossible or contradict each other",),
            remedies=(Remedy("if such rows will occur in use, collect some."),),
        )


def _association(table: Numbers, wanted: Numbers) -> float:
    """Cramer's V: 0 if the columns are independent, 1 if one determines the other."""
    filled = wanted > 0
    squares = float((((table - wanted)[filled]) ** 2 / wanted[filled]).sum())
    sides = min(int((wanted.sum(axis) > 0).sum()) for axis in (0, 1))
    return float(np.sqrt(squares / max(table.sum() * (sides - 1), 1)))


@dataclass(frozen=True)
class _Slice:
    name: str
    column: str
    rows: Numbers  # (rows,) bool


def worse_groups(evidence: DataEvidence) -> Iterator[Finding]:
    """groups with worse scores

    Groups of rows that a quick model predicts worse than the rest: a value of a column, a fifth of a number's range or
    of a visible property of pictures (brightness, tilt, ...), two of these together, or a label.

    Why it matters: a good mean score hides groups whose answers cannot be trusted.

    How it is decided: each row is predicted by a model that did not learn from it (boosted trees for tables, a small
    dense network for the rest; three folds). One half of the rows is searched: of all groups with LEAST_IN_SLICE = 50
    rows or more, the worst are kept if their excess over the mean error exceeds chance among so many groups
    (Bonferroni). The other half confirms. It is a note if the interval of the excess begins above WORSE = 5 points, or
    for numbers WORSE_DISTANCE = 25 % of the mean distance. It is a warning if the error is also MUCH_WORSE = 3 times
    the mean, except for a single label and for numbers: any model misses rare labels more often, and large numbers by
    more. Source: Chung et al. 2019, arXiv:1807.06068 (slices searched and tested).
    """
    errors = evidence.once(out_of_fold)
    model = evidence.once(quick)
    prepared = evidence.prepared
    if prepared is None:
        raise Skip("the data cannot be encoded")
    usual = float(errors.mean())
    if usual == 0:
        return
    if usual >= model.chance:
        raise Skip("the quick model is no better than a constant answer")
    margin = WORSE if model.is_classes else WORSE_DISTANCE * usual
    columns = [c for c in summaries(prepared.schema, prepared.whole, model.rows) if c.name][:MOST_COLUMNS]
    single = [s for column in columns for s in _slices(column)]
    labels: tuple[str, ...] = getattr(prepared.task, "labels", ()) if model.is_classes else ()
    answers = list(_slices(Summary("label", "", model.y, labels))) if labels else []
    first = np.arange(len(errors)) % 2 == 0
    taken = np.zeros(len(errors), bool)
    for worst in _candidates([*single, *answers], errors, first, margin):
        if (worst.rows & taken).sum() > 0.5 * worst.rows.sum():
            continue  # covered by a group reported earlier
        held = errors[worst.rows & ~first]
        excess = mean(held - usual, NormalDist().inv_cdf(1 - 0.025 / CONFIRMED))
        if excess.low > margin:
            taken |= worst.rows
            yield _worse(worst, evidence, model.rows, errors, excess, margin, is_classes=model.is_classes)


def _slices(column: Summary) -> Iterator[_Slice]:
    if column.labels:
        if len(column.labels) <= 100:
            for code, label in enumerate(column.labels):
                yield _Slice(f"{column.name} {label}", column.column, column.values == code)
        return
    known = column.values[~np.isnan(column.values)]
    if len(known) < len(column.values):
        yield _Slice(f"{column.name} missing", column.column, np.isnan(column.values))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, SLICES + 1), method="lower")) if len(known) else known
    for low, high in pairwise(edges):
        inside = (column.values >= low) & ((column.values < high) | ((high == edges[-1]) & (column.values <= high)))
        ends = [str(np.datetime64(int(x), "D")) if column.is_date else figure(float(x)) for x in (low, high)]
        yield _Slice(f"{column.name} {ends[0]} to {ends[1]}", column.column, inside)


def _candidates(single: list[_Slice], errors: Numbers, half: Numbers, margin: float) -> list[_Slice]:
    """The worst groups and pairs of groups in one half of the rows, beyond chance; the worst first."""
    big = [s for s in single if min((s.rows & half).sum(), (s.rows & ~half).sum()) >= LEAST_IN_SLICE]
    if not big:
        return []
    inside = np.stack([s.rows[half] for s in big]).astype(np.float32)
    e = errors[half].astype(np.float32)
    counts, sums, squares = (inside * weight @ inside.T for weight in (np.ones_like(e), e, e * e))
    counts = np.where(counts >= LEAST_IN_SLICE, counts, np.nan)
    means = sums / counts
    deviations = np.sqrt(np.maximum(squares / counts - means**2, e.var() * 0.01))
    tests = int(np.isfinite(means).sum() + len(big)) // 2
    z = NormalDist().inv_cdf(1 - 0.025 / max(tests, 1))
    low = means - float(errors.mean()) - z * deviations / np.sqrt(counts)
    found = list[_Slice]()
    for flat in np.argsort(-np.nan_to_num(low, nan=-np.inf), axis=None)[: 20 * CONFIRMED]:
        i, j = divmod(int(flat), len(big))
        if not low[i, j] > margin / 2 or len(found) == CONFIRMED:
            break
        one, two = big[min(i, j)], big[max(i, j)]
        if i != j and "" in (one.column, two.column):
            continue  # wrong answers with a label and another group say little about that group
        rows = one.rows & two.rows
        if not any((rows & f.rows).sum() > 0.5 * min(rows.sum(), f.rows.sum()) for f in found):
            name = one.name if i == j else f"{one.name} with {two.name}"
            found.append(_Slice(name, one.column, rows))
    return found


def _worse(
    worst: _Slice, evidence: DataEvidence, rows: Numbers, errors: Numbers, excess: Interval, margin: float,
    *, is_classes: bool,
) -> Finding:  # fmt: skip
    usual = float(errors.mean())
    here = usual + excess.value
    is_loud = is_classes and here >= MUCH_WORSE * usual and bool(worst.column)
    scale = 1.0 if is_classes else usual
    told = (
        f"{here:.0%} of the rows with {worst.name} are predicted wrong, {usual:.0%} of all rows"
        if is_classes
        else f"rows with {worst.name} are predicted {here / usual:.1f} times as far off as all rows"
    )
    inside = np.flatnonzero(worst.rows)
    order = inside[np.argsort(-errors[inside], kind="stable")]
    unit = "more rows wrong" if is_classes else "more distance, as a share of the mean"
    return Finding(
        "warning" if is_loud else "note",
        told,
        (Measure(unit, excess.value / scale, excess.low / scale, excess.high / scale, margin / scale),),
        title="a group with worse scores",
        columns=(worst.column,) if worst.column else (),
        rows=tuple(int(rows[row]) for row in order),
        confidence=0.975,
        otherwise=("a group that is hard for every model", "labels that are wrong more often in this group"),
        remedies=(
            Remedy("look at these rows, the worst first, and check their labels."),
            Remedy(f"add more rows with {worst.name}, or a column that tells them apart."),
        ),
    )
