"""Labels and targets that are probably wrong."""

from collections.abc import Iterator
from math import ceil

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.checks.data.encoded import blocks, readable
from netwright.checks.data.label_scores import WRONG, Judged, calibrated, judged
from netwright.checks.data.out_of_fold import OutOfFold, out_of_fold
from netwright.checks.data.repeats import RICH, encoded_hashes, spread
from netwright.checks.data.unlike import FEW
from netwright.checks.evidence import DataEvidence, Skip, require_apart
from netwright.records.errors import counted
from netwright.records.finding import Action, Finding, Fix, Measure, Remedy
from netwright.records.task import Labels, Numbers
from netwright.statistics import expected

WORTH = 0.01  # share of rows from which correcting wrong labels is worth the work
OPEN = 0.5  # probability of the best other class; below, a wrong label has no clear replacement
MOST_CLASSES = 200  # the time grows with their square: seconds for 60,000 rows
TOLD = 5  # pairs of classes that are reported
CALIBRATION = 0.15  # relative error of the calibrated counts, standard deviation over trials with planted noise
BINS, BIN_ROWS = 20, 50  # bins of answers in which the usual error is measured, and the least rows of one
OUTLYING = 4.0  # usual errors (standard deviations of a normal one) from which a target can be outlying
UNLIKE = 0.5  # of planted targets must be found: a model that finds fewer does not know which targets are usual
REPEATED = 0.05  # share of rows with repeated inputs; above, inputs are coarse, not copied


def label_errors(evidence: DataEvidence) -> Iterator[Finding]:
    """label errors

    Rows whose label is probably wrong, such as a shirt labeled as a dress. Every row is answered by a quick model that
    was not trained on it. A label is doubted if the answer contradicts it more than classes are usually confused. Rows
    of all parts are judged, the test part too: these answers are not used for any score.

    Why it matters: a network memorizes wrong labels if it can. Wrong labels in the test part make a good network look
    bad, and can make the worse of two networks win. Label errors of 3 % are usual in famous data (Northcutt, Athalye
    and Mueller 2021, arXiv:2103.14749).

    How it is decided: where a weak model errs it was unsure, so one sharpness of its answers fits its errors; wrong
    labels are also where it is sure. Two explanations are fitted by likelihood, each with its own sharpness: labels
    that are wrong anywhere in the same share (it must explain EVIDENCE = 4 nats, and BOTH_WAYS = 2 more than hard rows
    of one class, which are wrong in one direction only; the low end of its interval is used), and, for three classes or
    more, a noise matrix that says how often one class gets another's label (PAIRS_EVIDENCE = 5 nats; EXCESS = 40 % of
    the rows in which model and label differ are taken off, since a weak model confuses classes too). A label's
    probability to be wrong follows from the one that doubts it more. Labels that are more probably wrong than right
    (WRONG = 0.5) are reported, with the expected number of wrong ones among them. It is a warning from WORTH = 1 %
    wrong labels, below that a note. The model is too weak to judge if, without the wrong labels, it is less than STRONG
    = two thirds of the way from always answering the largest class to always being right: one rule for pictures,
    tables, texts and series. Errors that look like hard rows of a class cannot be told from them: few of such errors
    are found.
    """
    found, j, names = _judged_labels(evidence)
    if j.is_too_weak:
        raise Skip(
            f"the quick model, {found.model}, is too weak to judge labels: it is right in {j.right:.0%}, and always "
            f"answering the largest class in {j.largest:.0%}"
        )
    order = np.argsort(-j.is_wrong, kind="stable")
    doubted = order[: int((j.is_wrong >= WRONG).sum())]
    if not len(doubted):
        return
    chances = j.is_wrong[doubted]
    told, wrong = _expected_wrong(chances)
    share = wrong.value / len(found.rows)
    pairs = _confused(j, found.given, names)
    yield Finding(
        severity="warning" if share >= WORTH else "note",
        summary=f"of these {counted(len(doubted), 'row')} we expect {told} to be labeled wrong"
        + (f"; {pairs}" if pairs else ""),
        measures=(
            Measure("share of rows flagged", len(doubted) / len(found.rows)),
            Measure("share of rows expected to be wrong", share, threshold=WORTH),
            Measure("estimated share of wrong labels", j.rate),
            Measure("accuracy of the quick model", float((found.answers.argmax(1) == found.given).mean())),
        ),
        columns=evidence.dataset.targets,
        rows=tuple(found.rows[doubted].tolist()),
        expected=wrong,
        confidence=_any(chances),
        otherwise=("rare or hard rows with right labels that the quick model does not know",),
        remedies=(
            Remedy(
                "Look at the rows, the first ones first, and correct their labels; `netwright fix` writes proposals.",
                effect=f"{share:.1%} of the labels corrected",
                cost=f"{len(doubted):,} rows to look at",
            ),
        ),
        fixes=tuple(_label_fixes(evidence, found, j, doubted, names)),
    )


def _any(chances: NDArray[np.float64]) -> float:
    """The probability that at least one of them is wrong."""
    return float(1 - np.exp(np.log1p(-np.minimum(chances, 1 - 1e-9)).sum()))


def _judged_labels(evidence: DataEvidence) -> tuple[OutOfFold, Judged, tuple[str, ...]]:
    found = evidence.once(out_of_fold)
    view = evidence.prepared.view() if evidence.prepared is not None else None
    if not isinstance(view, Labels):
        raise Skip("the target is a number, not a label")
    if len(view.names) > MOST_CLASSES:
        raise Skip(f"there are {len(view.names):,} classes, too many for a confusion matrix")
    return found, evidence.once(label_judgement), view.names


def label_judgement(evidence: DataEvidence) -> Judged:
    """The doubt about each label, calibrated."""
    found = evidence.once(out_of_fold)
    return judged(found.answers, found.given, seed=evidence.seed)


def _confused(j: Judged, given: NDArray[np.int64], names: tuple[str, ...]) -> str:
    """`'shirt' is given as 'T-shirt' in 8 %, ...`: the pairs of classes with the most wrong labels."""
    counts = j.posterior.T @ np.eye(len(names))[given]
    weight = counts - np.diag(np.diag(counts))
    places = np.argsort(-weight, axis=None)[:TOLD]
    told = list[str]()
    for truth, other in zip(*np.unravel_index(places, weight.shape), strict=True):
        share = counts[truth, other] / max(counts[truth].sum(), 1)
        if truth != other and share >= WORTH:
            told.append(f"{names[truth]!r} is given as {names[other]!r} in {share:.0%}")
    return ", ".join(told)


def _label_fixes(
    evidence: DataEvidence, found: OutOfFold, j: Judged, doubted: NDArray[np.int64], names: tuple[str, ...]
) -> Iterator[Fix]:
    """Another label if one is more probable than all others together, else the row is dropped."""
    truth = j.posterior[doubted]
    truth[np.arange(len(doubted)), found.given[doubted]] = 0
    truth /= np.maximum(truth.sum(1, keepdims=True), 1e-12)
    best = truth.argmax(1)
    column = evidence.dataset.targets[0]
    for at, row in enumerate(doubted.tolist()):
        where = int(found.rows[row])
        is_clear = truth[at, best[at]] >= OPEN
        sure = float(j.is_wrong[row] * (truth[at, best[at]] if is_clear else 1.0))
        old, new = names[int(found.given[row])], names[int(best[at])] if is_clear else ""
        action: Action = "relabel" if is_clear else "drop"
        yield Fix(where, evidence.dataset.locate(where), action, column, old, new, confidence=sure)


def outlying_targets(evidence: DataEvidence) -> Iterator[Finding]:
    """outlying targets

    Rows whose target number is far from that of similar rows: a slipped decimal point, another unit, a value of another
    row. Every row is answered by a quick model that was not trained on it.

    Why it matters: the squared error of one target that is ten times too large outweighs a hundred correct rows. In the
    test part it decides the score.

    How it is decided: the distance of the target from the answer is measured in usual errors. These come from rows with
    answers of similar size (1.48 x the median distance in BINS = 20 bins by the answer, each with at least BIN_ROWS =
    50 rows). As a trial each row gets the target of another row. How far these planted errors are, compared with the
    real targets, gives each target's probability to be wrong. Targets are reported if they are at least OUTLYING = 4
    usual errors away and more probably wrong than right (WRONG = 0.5). If fewer than UNLIKE = half of the planted
    errors are so far away, the model is too weak to judge.
    """
    found = evidence.once(out_of_fold)
    if found.answers.ndim != 1:
        raise Skip("the target is a label, not a number")
    given = found.given.astype(np.float64)
    usual = _usual_errors(found.answers, np.abs(given - found.answers))
    away = np.abs(given - found.answers) / usual
    planted = np.abs(np.random.default_rng(evidence.seed).permutation(given) - found.answers) / usual
    seen = float((planted >= OUTLYING).mean())
    if seen < UNLIKE:
        text = f"{found.model} is too weak to judge targets: it would find {seen:.0%} of swapped targets"
        raise Skip(text)
    weights = np.full(len(given), 1 / len(given))
    _, is_wrong = calibrated(away, planted, weights, 0.5)
    is_wrong[away < OUTLYING] = 0
    order = np.argsort(-away, kind="stable")
    doubted = order[is_wrong[order] >= WRONG]
    if not len(doubted):
        return
    chances = is_wrong[doubted]
    told, wrong = _expected_wrong(chances)
    column = evidence.dataset.targets[0]
    cells = evidence.dataset.table[column]
    yield Finding(
        severity="warning" if wrong.value / len(given) >= FEW else "note",
        summary=f"of these {counted(len(doubted), 'target')} we expect {told} to be wrong; "
        f"the farthest is {cells[int(found.rows[doubted[0]])]!r}, {away[doubted[0]]:.0f} usual errors away",
        measures=(
            Measure("usual errors away, at least", float(away[doubted].min()), threshold=OUTLYING),
            Measure("planted errors found", seen, threshold=UNLIKE),
        ),
        columns=(column,),
        rows=tuple(found.rows[doubted].tolist()),
        expected=wrong,
        confidence=_any(chances),
        otherwise=("rare events with correct measurements", "in these rows an input is wrong instead"),
        remedies=(Remedy("Look at these targets and correct them, or drop the rows."),),
        fixes=tuple(
            Fix(row, evidence.dataset.locate(row), "drop", column, str(cells[row]), confidence=sure)
            for row, sure in zip(found.rows[doubted].tolist(), chances.tolist(), strict=True)
        ),
    )


def _expected_wrong(chances: NDArray[np.float64]) -> tuple[str, Measure]:
    """`12 ± 5`, and the expected number of wrong ones."""
    found = expected(chances, CALIBRATION)
    ends = max(0.0, found.low), min(float(len(chances)), found.high)
    return f"{found.value:.0f} \u00b1 {ceil(found.high - found.value)}", Measure(
        "expected to be wrong", found.value, *ends
    )


def _usual_errors(answers: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each row 1.48 x the median error of rows with similar answers; at least a tenth of that of all rows."""
    bins = max(1, min(BINS, len(answers) // BIN_ROWS))
    place = np.argsort(np.argsort(answers, kind="stable"), kind="stable") * bins // len(answers)
    usual = np.array([np.median(errors[place == k]) for k in range(bins)])
    least = max(float(np.median(errors)) / 10, float(np.finfo(np.float64).tiny))
    return 1.4826 * np.maximum(usual, least)[place]


def contradicting_duplicates(evidence: DataEvidence) -> Iterator[Finding]:
    """contradicting duplicates

    Rows with the same inputs, cell by cell or pixel by pixel, but different labels.

    Why it matters: at most one of the labels can be learned. Either the others are wrong, or the inputs lack what tells
    the rows apart; no network can be right in more rows than the most frequent label of each group.

    How it is decided: all inputs are compared exactly, pictures and series as they are encoded. Rows are reported if
    their label is not the most frequent one of their group; if two labels are equally frequent, all rows of the group
    are. It is a warning if copies are rare and FEW = 0.1 % of all rows or more contradict. If more than REPEATED = 5 %
    of all rows have repeated inputs, the inputs are coarse (a few categories) and contradictions are expected: it is a
    note. Numeric targets are left out: two measurements of one thing differ.
    """
    dataset = evidence.dataset
    if not dataset.targets:
        raise Skip("the data have no labels")
    require_apart(evidence)
    labels = dataset.table.select(dataset.targets)
    if any(column.dtype.is_float() or column.dtype.is_nested() for column in labels.iter_columns()):
        raise Skip("the target is not a label")
    if evidence.prepared is not None and isinstance(evidence.prepared.view(), Numbers):
        raise Skip("the target is a number, not a label")
    rows = readable(evidence)
    keys = pl.DataFrame(
        {"row": rows, "inputs": _hashed_inputs(evidence, rows), "label": labels[rows].hash_rows(seed=0)}
    )
    keys = keys.filter(pl.Series(~labels[rows].select(pl.any_horizontal(pl.all().is_null())).to_series()))
    copies = keys.filter(pl.len().over("inputs") > 1)
    groups = copies.filter(pl.col("label").n_unique().over("inputs") > 1).with_columns(
        same=pl.len().over("inputs", "label"), group=pl.len().over("inputs")
    )
    if groups.is_empty():
        return
    groups = groups.with_columns(most=pl.col("same").max().over("inputs")).with_columns(
        is_tie=(pl.col("label").filter(pl.col("same") == pl.col("most")).n_unique() > 1).over("inputs")
    )
    odd = groups.filter((pl.col("same") < pl.col("most")) | pl.col("is_tie")).sort(
        "most", "row", descending=[True, False]
    )
    share, repeated = len(odd) / len(rows), len(copies) / len(rows)
    count = groups["inputs"].n_unique()
    least = groups.group_by("inputs").agg(pl.col("group").first() - pl.col("most").first())["group"].sum()
    yield Finding(
        severity="note" if repeated > REPEATED or share < FEW else "warning",
        summary=f"{counted(len(groups), 'row')} in {counted(count, 'group')} have the same inputs but different "
        f"labels; at least {least:,} of their labels cannot be learned",
        measures=(
            Measure("share of rows that contradict", share),
            Measure("share of rows with repeated inputs", repeated, threshold=REPEATED),
        ),
        columns=dataset.targets,
        rows=tuple(odd["row"].to_list()),
        otherwise=("the inputs lack what tells these rows apart",),
        remedies=(Remedy("Decide which label is right, and correct or drop the others."),),
        fixes=tuple(_copy_fixes(evidence, groups, odd)),
    )


def _copy_fixes(evidence: DataEvidence, groups: pl.DataFrame, odd: pl.DataFrame) -> Iterator[Fix]:
    """The label of most copies, if there is one and there is one column of labels."""
    if len(evidence.dataset.targets) != 1:
        return
    column = evidence.dataset.targets[0]
    cells = evidence.dataset.table[column]
    usual = groups.filter((pl.col("same") == pl.col("most")) & ~pl.col("is_tie")).unique("inputs", keep="first")
    by_inputs = dict(zip(usual["inputs"].to_list(), usual["row"].to_list(), strict=True))
    for row, inputs, most, size in odd.select("row", "inputs", "most", "group").iter_rows():
        if inputs in by_inputs:
            place, new = evidence.dataset.locate(row), str(cells[by_inputs[inputs]])
            yield Fix(row, place, "relabel", column, str(cells[row]), new, confidence=most / size)


def _hashed_inputs(evidence: DataEvidence, rows: NDArray[np.int64]) -> pl.Series:
    """A number for the inputs of each row: equal for equal inputs, and different for others but for one in 2^64."""
    dataset = evidence.dataset
    seen = [(block, column) for block, column in blocks(evidence) if block.fields[0].family in RICH]
    known = {*dataset.mapped, *(field.name for block, _ in seen for field in block.fields)}
    plain = [name for name in dataset.inputs if name not in known]
    hashes = [encoded_hashes(column, rows) for _, column in seen]
    if plain:
        hashes.append(dataset.table[rows].select(plain).hash_rows(seed=0).to_numpy())
    if not hashes:
        raise Skip("the inputs are on disk and could not be encoded")
    return pl.Series(sum((spread(h, place) for place, h in enumerate(hashes)), np.zeros(len(rows), np.uint64)))
