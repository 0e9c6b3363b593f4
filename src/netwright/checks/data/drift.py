"""Whether the parts of the data, and new data, have the same distribution: what moved, and by how much."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netwright.checks.data.encoded import summaries
from netwright.checks.evidence import DataEvidence, Skip, require_apart
from netwright.data.dataset import Dataset
from netwright.data.prepare import Prepared
from netwright.kinds.markup import figure
from netwright.records.batch import Examples
from netwright.records.errors import listed
from netwright.records.features import Summary, matrix, take
from netwright.records.finding import Finding, Remedy
from netwright.simple_models import linear, trees
from netwright.simple_models.wanted import Answer, Wanted
from netwright.statistics import Interval, auroc, difference, share

SIDE = 2_000  # rows compared on each side: AUROC is then known within 0.03, and a classifier takes 0.3 s
FAST_SIDE = 1_000
LEAST = 40  # rows of each side: half of fewer shows nothing
UNLIKE = 0.6  # AUROC from which a difference is worth a warning: two normals 0.36 standard deviations apart
SURE = 0.55  # lowest start of its 95 % interval: one that just excludes 0.5 does so once in forty by chance
MOVED = 0.05  # of the rows: an event whose share moved by less explains nothing
SHOWN = 3  # columns listed, those that moved the most
APART = 0.98  # difference of shares by which one column alone separates the parts, as time does after a split by time
LABELS_MOVED = 0.1  # of the rows have other labels: a shift of ten points in the prior
CUTS = 48  # quantiles at which shares are compared, as the bins of the numbers' encoding
TREES = 40
RIDGE = 80.0  # rows of prior knowledge: equal to PENALTY, since a row of a logistic loss weighs a quarter
PENALTY = 0.05  # inverse; strong, since it learns from some hundred rows
MOST_COLUMNS = 100  # that a classifier uses: those that moved most in the rows it learns from
UNLIKELY_ROWS = 20  # rows listed: those least like training

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Moved:
    """An event, such as `age above 41`, whose share differs between two groups of rows."""

    column: str
    event: str
    old: float  # share of rows
    new: float
    by: Interval  # new minus old, in rows that did not choose the event


@dataclass(frozen=True)
class Drift:
    """How well two groups of rows can be told apart."""

    auroc: Interval  # of a classifier on held-out rows; 0.5 if the groups do not differ
    moved: tuple[Moved, ...]  # the most first
    unlike: tuple[int, ...]  # positions of the new rows least like the old ones

    @property
    def is_clear(self) -> bool:
        """Large, and beyond chance."""
        return self.auroc.value > UNLIKE and self.auroc.low > SURE


Sides = Sequence[list[Summary]]
"""Columns of old and of new rows."""
Classifier = Callable[[Sides, Sides, list[int], int], tuple[Numbers, Numbers]]
"""(learning sides, judging sides, columns to use, seed) -> scores of old and of new judging rows: higher is newer."""


def compare(old: list[Summary], new: list[Summary], seed: int = 0, classifier: Classifier | None = None) -> Drift:
    """Half of the rows train a classifier for the group of a row and choose events; the other half measures both.

    The measured rows were used for neither, so the intervals hold for any classifier: DeLong's for AUROC, Newcombe's
    for differences of shares. After Lopez-Paz and Oquab 2017, arXiv:1610.06545, and Rabanser et al. 2019,
    arXiv:1810.11953. Cross-fitting would use each row twice, but the errors of its two halves are correlated and no
    exact interval exists.
    """
    generator = np.random.default_rng(seed)
    sides = [generator.permutation(len(columns[0].values)) for columns in (old, new)]
    learn, judge = [
        [take(columns, order[start::2]) for columns, order in zip((old, new), sides, strict=True)] for start in (0, 1)
    ]
    events = [_event(*pair) for pair in zip(*learn, strict=True)]
    chosen = np.argsort([-event.size for event in events], kind="stable")[:MOST_COLUMNS]
    scores = (classifier or trees_and_line)(learn, judge, [int(place) for place in chosen], seed)
    moved = [_moved(event, *pair) for event, pair in zip(events, zip(*judge, strict=True), strict=True) if event.name]
    order = np.argsort(-scores[1], kind="stable")[:UNLIKELY_ROWS]
    return Drift(
        auroc(scores[0], scores[1]),
        tuple(sorted((m for m in moved if m.by.low > 0), key=lambda m: -m.by.value)),
        tuple(int(row) for row in sides[1][1::2][order]),
    )


def trees_and_line(learn: Sides, judge: Sides, chosen: list[int], seed: int) -> tuple[Numbers, Numbers]:
    """The sum of the log odds of small boosted trees and of a line, for the judging rows of both sides.

    Trees see spreads and categories, the line sees small shifts of many columns, and neither needs many rows. With 250
    learning rows of 15 columns that moved by 0.27 spreads each, AUROC was 0.66 by trees, 0.73 by the line and 0.71 by
    both.
    """
    used = [place for place in chosen if len(learn[0][place].labels) <= 2] or chosen
    sides = [matrix([columns[place] for place in chosen]) for columns in (*learn, *judge)]
    plain = _standardized([matrix([columns[place] for place in used]) for columns in (*learn, *judge)])
    groups = Wanted.classes(np.repeat([0, 1], [len(sides[0]), len(sides[1])]), 2)
    forest = trees.fit(np.concatenate(sides[:2]), groups, seed, rounds=TREES, leaves=4, bins=63)
    straight = linear.fit(np.concatenate(plain[:2]), groups, strength=PENALTY)
    old, new = (_log_odds(forest, x) + _log_odds(straight, z) for x, z in zip(sides[2:], plain[2:], strict=True))
    return old, new


def _log_odds(answer: Answer | None, x: Numbers) -> Numbers:
    return np.zeros(len(x)) if answer is None else answer(x).diff(dim=1)[:, 0].numpy()


def line(learn: Sides, judge: Sides, chosen: list[int], _seed: int) -> tuple[Numbers, Numbers]:
    """A line through values, their squares and gaps, by ridge regression: AUROC within 0.01 of `trees_and_line`.

    It needs numpy only; loading scikit-learn takes 2 s. A label counts by how much more frequent it is among the new
    learning rows.
    """
    used = [[_ordered(learn[0][place], learn[1][place], side[place]) for place in chosen] for side in (*learn, *judge)]
    values = [np.stack(columns, axis=1) for columns in used]
    plain = _standardized(values)
    x = [np.hstack([np.ones((len(z), 1)), z, z**2, np.isnan(v)]) for v, z in zip(values, plain, strict=True)]
    whole, groups = np.concatenate(x[:2]), np.repeat([-1.0, 1.0], [len(x[0]), len(x[1])])
    weights = np.linalg.solve(whole.T @ whole + RIDGE * np.eye(whole.shape[1]), whole.T @ groups)
    return x[2] @ weights, x[3] @ weights


def _ordered(old: Summary, new: Summary, column: Summary) -> Numbers:
    if not old.labels:
        return column.values.astype(np.float64)
    shares = [np.bincount(c.values.astype(np.int64), minlength=len(c.labels)) + 1.0 for c in (old, new)]
    return np.log(shares[1] / shares[1].sum() / (shares[0] / shares[0].sum()))[column.values.astype(np.int64)]


def _standardized(sides: list[Numbers]) -> list[Numbers]:
    """Standardized by the learning rows; gaps become the mean, and extreme values are clipped."""
    whole = np.concatenate(sides[:2])
    known = ~np.isnan(whole)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, whole, 0).sum(0) / count
    spread = np.sqrt((np.where(known, whole - mean, 0) ** 2).sum(0) / count)
    return [np.nan_to_num((x - mean) / np.where(spread > 0, spread, 1)).clip(-5, 5) for x in sides]


@dataclass(frozen=True)
class _Event:
    """What is more frequent among the new rows: values above or below a cut, some labels, or missing values."""

    name: str
    size: float  # how much its share moved in the rows that chose it
    cut: float = 0.0
    above: bool = True
    codes: tuple[int, ...] = ()
    missing: bool = False

    def holds(self, values: Numbers) -> Numbers:
        if self.codes:
            return np.isin(values, self.codes)
        if self.missing:
            return np.isnan(values)
        return values > self.cut if self.above else values <= self.cut


def _event(old: Summary, new: Summary) -> _Event:
    """The event whose share moved the most, by the Kolmogorov-Smirnov distance or total variation."""
    if old.labels:
        shares = [np.bincount(c.values.astype(np.int64), minlength=len(c.labels)) / len(c.values) for c in (old, new)]
        rise = shares[1] - shares[0]
        codes = np.argsort(-rise, kind="stable")[: max(1, int((rise > 0).sum()))]
        names = listed([old.labels[int(code)] for code in codes], 3)
        return _Event(f"{old.name} {names}", float(rise[codes].sum()), codes=tuple(map(int, codes)))
    gone = [np.isnan(c.values).mean() for c in (old, new)]
    missing = _Event(f"{old.name} missing" if old.name else "", float(gone[1] - gone[0]), missing=True)
    known = [c.values[~np.isnan(c.values)] for c in (old, new)]
    if not len(known[0]) or not len(known[1]):
        return missing
    cuts = np.unique(np.quantile(np.concatenate(known), np.linspace(0, 1, CUTS + 1)[:-1], method="lower"))
    over = [len(x) - np.searchsorted(np.sort(x), cuts, side="right") for x in known]
    rise = over[1] / len(new.values) - over[0] / len(old.values)
    fall = (len(known[1]) - over[1]) / len(new.values) - (len(known[0]) - over[0]) / len(old.values)
    is_rise = bool(rise.max() >= fall.max())
    best = int((rise if is_rise else fall).argmax())
    word = "above" if is_rise else "up to"
    cut = str(np.datetime64(int(cuts[best]), "D")) if old.is_date else figure(float(cuts[best]))
    name = f"{old.name} {word} {cut}" if old.name else ""
    event = _Event(name, float(max(rise.max(), fall.max())), float(cuts[best]), is_rise)
    return event if event.size >= missing.size else missing


def _moved(event: _Event, old: Summary, new: Summary) -> Moved:
    shares = [share(float(event.holds(c.values).sum()), len(c.values)) for c in (old, new)]
    return Moved(old.column, event.name, shares[0].value, shares[1].value, difference(shares[1], shares[0]))


def parts_drift(evidence: DataEvidence) -> Iterator[Finding]:
    """drift between the parts

    Validation or test rows differ from training rows: in their inputs, or in the frequency of labels. The columns that
    moved are listed, each with the event that moved the most and its share before and after. For pictures, texts and
    series these are visible properties such as brightness, sharpness, tilt, length or words.

    Why it matters: settings are chosen on rows unlike those of training, and the test score does not hold for data like
    the training data. If the drift will also occur in use, the score is honest but the training data need work.

    How it is decided: a classifier of small trees learns from half of the rows which part a row is in, and is scored on
    the other half. During training it is a line through values and their squares. It is a warning if its AUROC is above
    UNLIKE = 0.6 and the 95 % interval begins above SURE = 0.55. At most SIDE = 2,000 rows of each part are drawn. The
    size of the effect decides, not a p-value: a negligible drift is not reported, however many rows show it. Labels: if
    LABELS_MOVED = 10 % of the rows or more have different ones, and the interval excludes zero. Parts that were split
    at random are not compared: their differences are chance. A column that alone separates the parts in time order is
    what they were split by, and is left out. Examples that overlap, such as windows of a series, are not compared:
    neighbors know each other's part even in pure noise; see NW182 for changes in their rows. Sources: Lopez-Paz and
    Oquab 2017, arXiv:1610.06545; Rabanser et al. 2019, arXiv:1810.11953; DeLong et al. 1988.
    """
    prepared, parts = evidence.prepared, evidence.parts
    if prepared is None or parts is None:
        raise Skip(evidence.problem or "the data cannot be encoded")
    require_apart(evidence)
    if parts.how.startswith(("at random", "stratified")):
        raise Skip("the parts were split at random: their differences are chance")
    examples = prepared.train, prepared.valid, prepared.test
    sides = [drawn(part, evidence) for part in examples]
    columns = [summaries(prepared.schema, part, rows) for part, rows in zip(examples, sides, strict=True)]
    is_compared = False
    for name, place in (("test", 2), ("validation", 1)):
        if min(len(sides[0]), len(sides[place])) < LEAST:
            continue
        is_compared, other = True, Other(name, _ADVICE, _REASONS)
        old, new = without_clocks(evidence.dataset, columns[0], columns[place])
        if old:
            drift = compare(old, new, evidence.seed, line if evidence.is_fast else trees_and_line)
            if drift.is_clear:
                rows = tuple(int(sides[place][row]) for row in drift.unlike)
                yield differ(title_of(name), other, drift, rows=rows)
        labels = [
            labels_of(prepared, part.targets(torch.from_numpy(side)))
            for part, side in zip(examples, sides, strict=True)
        ]
        yield from labels_moved(other, labels[0], labels[place])
    if not is_compared:
        raise Skip(f"fewer than {LEAST} rows in a part")


def title_of(part: str) -> str:
    """The title of a finding about a part."""
    return f"drift between training and {part}"


@dataclass(frozen=True)
class Other:
    """The rows that training rows are compared with: remedies if they differ, and other explanations."""

    name: str
    remedies: tuple[Remedy, ...]
    otherwise: tuple[str, ...]


_ADVICE = (
    Remedy("split at random if new data will be like all of these (without --split, --by-time)."),
    Remedy("add training rows like those of the other part."),
)
_REASONS = (
    "parts split by time or group differ as times and groups do; the score then holds for later times or new groups",
)


def differ(title: str, new: Other, drift: Drift, rows: tuple[int, ...] = (), places: tuple[str, ...] = ()) -> Finding:
    """The finding that the other rows can be told from training rows, and by which columns."""
    most = [m for m in drift.moved if m.by.value >= MOVED][:SHOWN]
    told = "; ".join(f"{m.event}: {m.old:.0%} of training rows, {m.new:.0%} of {new.name} rows" for m in most)
    what = told or "no single column moved much: their combinations changed"
    found = drift.auroc
    return Finding(
        "warning",
        f"{new.name} rows can be told from training rows (AUROC {found.value:.2f}; 0.5 means alike). {what}",
        (
            found.measure("AUROC", UNLIKE),
            *(m.by.measure(f"more rows with {m.event}") for m in most),
        ),
        title=title,
        columns=tuple(dict.fromkeys(m.column for m in most)),
        rows=rows,
        places=places,
        confidence=0.975,  # the interval begins above 0.55; one in forty lies below it
        otherwise=new.otherwise,
        remedies=new.remedies,
    )


def drawn(examples: Examples, evidence: DataEvidence, most: int = SIDE) -> Numbers:
    """Row numbers of at most so many examples, drawn by the seed."""
    index = examples.rows.cpu().numpy()
    most = min(most, FAST_SIDE) if evidence.is_fast else most
    return index if len(index) <= most else np.random.default_rng(evidence.seed).choice(index, most, replace=False)


def without_clocks(dataset: Dataset, old: list[Summary], new: list[Summary]) -> tuple[list[Summary], list[Summary]]:
    """Without columns that rise row by row or are dates and separate the parts alone: the parts were split by them."""
    kept = [
        (o, n) for o, n in zip(old, new, strict=True)
        if o.labels or not (_event(o, n).size >= APART and (o.is_date or _is_clock(dataset, o.column)))
    ]  # fmt: skip
    return [o for o, _ in kept], [n for _, n in kept]


def _is_clock(dataset: Dataset, name: str) -> bool:
    cells = dataset.table[name]
    if name in dataset.mapped or not cells.dtype.is_numeric():
        return False
    return cells.null_count() == 0 and (cells.is_sorted() or cells.is_sorted(descending=True))


def labels_of(prepared: Prepared, targets: tuple[Any, ...]) -> list[Summary]:
    """The target as summaries; none if it is neither a label nor a number."""
    if len(targets) != 1 or targets[0].ndim > 2:
        return []
    y = targets[0].cpu().numpy()
    names: tuple[str, ...] = getattr(prepared.task, "labels", ())
    if y.ndim == 2:
        return [Summary("label", "", y[:, place], (f"without {n}", f"with {n}")) for place, n in enumerate(names)]
    if y.dtype.kind in "iu":
        return [Summary("label", "", y, names)] if len(names) > 1 else []
    restored = y * getattr(prepared.task, "scale", 1.0) + getattr(prepared.task, "mean", 0.0)
    return [Summary("target", "", np.exp(restored) if getattr(prepared.task, "on_log", False) else restored)]


def labels_moved(new: Other, before: list[Summary], after: list[Summary]) -> Iterator[Finding]:
    """The finding that labels are more or less frequent in the other rows."""
    moved = list[Moved]()
    for was, now in zip(before, after, strict=True):
        order = [np.random.default_rng(0).permutation(len(c.values)) for c in (was, now)]
        halves = [[take([c], o[s::2])[0] for c, o in zip((was, now), order, strict=True)] for s in (0, 1)]
        moved.append(_moved(_event(*halves[0]), *halves[1]))
    most = [m for m in sorted(moved, key=lambda m: -m.by.value) if m.by.value >= LABELS_MOVED and m.by.low > 0]
    if most:
        told = "; ".join(
            f"{m.event}: {m.old:.0%} of training rows, {m.new:.0%} of {new.name} rows" for m in most[:SHOWN]
        )
        yield Finding(
            "warning",
            told,
            tuple(m.by.measure(f"more rows with {m.event}", LABELS_MOVED) for m in most[:SHOWN]),
            title=f"other labels in {new.name} than in training rows",
            confidence=0.975,
            otherwise=new.otherwise,
            remedies=new.remedies,
        )
