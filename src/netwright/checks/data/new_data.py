"""Whether new data are like the training data: their inputs, their labels, and values never seen."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from netwright.checks.data.drift import (
    FAST_SIDE,
    LEAST,
    SHOWN,
    SIDE,
    Numbers,
    Other,
    compare,
    differ,
    drawn,
    labels_moved,
    labels_of,
    line,
    trees_and_line,
    without_clocks,
)
from netwright.checks.data.encoded import summaries
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.dataset import Dataset
from netwright.data.prepare import Prepared, encode_new
from netwright.kinds.category import UNSEEN
from netwright.kinds.markup import figure
from netwright.records.errors import DataError, Unreadable
from netwright.records.features import Summary
from netwright.records.finding import Finding, Remedy
from netwright.statistics import Interval, difference, share

NEVER_SEEN = 0.01  # of new rows have what training never showed
_NEW_ADVICE = (
    Remedy("add labeled rows like the new ones to the training data, and train again."),
    Remedy("restore what changed: units, exposure, codes, the wording of questions."),
)
_NEW_REASONS = ("new data chosen differently from the training data, such as from one season or place",)
_NEW = Other("new", _NEW_ADVICE, _NEW_REASONS)


def new_data_drift(evidence: DataEvidence) -> Iterator[Finding]:
    """drift against new data

    New data (`--against new.csv`), read as the training data were, differ from them: in inputs, in labels if they have
    some, or in single cells that training never showed. Such cells are unseen categories, numbers outside the training
    range, more missing cells, and rows that cannot be read at all.

    Why it matters: a network is as good as its test score only on data like its test part. It answers inputs it has
    never seen without any warning.

    How it is decided: as for the parts (NW121), by a classifier that separates new rows from training rows: AUROC above
    UNLIKE = 0.6, with an interval from above SURE = 0.55. Unseen and out-of-range cells: if the 95 % interval of their
    share of rows begins above NEVER_SEEN = 1 % more than in training. Labels: from LABELS_MOVED = 10 % of rows. At most
    SIDE = 2,000 rows of each side are drawn. Sources: as for NW121; intervals of shares by Wilson 1927 and Newcombe
    1998.
    """
    prepared, against = evidence.prepared, evidence.against
    if against is None:
        raise Skip("no new data are given (--against)")
    if prepared is None:
        raise Skip(evidence.problem or "the data cannot be encoded")
    new, picked = _sampled(against, evidence)
    try:
        examples, bad = encode_new(prepared.schema, None, new)
    except DataError as error:
        remedy = Remedy(error.remedy or "provide the columns that training had.")
        yield Finding("error", error.problem, title="new data that cannot be read", remedies=(remedy,))
        return
    yield from _unread(new, bad)
    rows = examples.rows.numpy()
    if len(rows) < LEAST or len(prepared.train) < LEAST:
        raise Skip(f"fewer than {LEAST} rows on one side")
    sides = drawn(prepared.train, evidence), rows
    before = summaries(prepared.schema, prepared.train, sides[0])
    after = summaries(prepared.schema, examples, rows)
    yield from _never_seen(prepared, before, after)
    old_columns, new_columns = without_clocks(evidence.dataset, before, after)
    if old_columns:
        drift = compare(old_columns, new_columns, evidence.seed, line if evidence.is_fast else trees_and_line)
        places = tuple(against.locate(int(picked[rows[row]])) for row in drift.unlike)
        if drift.is_clear:
            yield differ("drift between training and new data", _NEW, drift, places=places)
    targets = evidence.dataset.targets
    if targets and set(targets) <= set(new.table.columns):
        yield from _new_labels(prepared, new, targets, sides[0])


def _sampled(dataset: Dataset, evidence: DataEvidence) -> tuple[Dataset, Numbers]:
    """At most SIDE rows of new data, and which."""
    most = FAST_SIDE if evidence.is_fast else SIDE
    rows = np.arange(len(dataset))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(evidence.seed).choice(rows, most, replace=False))
    return replace(dataset, table=dataset.table[rows], places=None, parts=None), rows


def _unread(new: Dataset, bad: dict[int, str]) -> Iterator[Finding]:
    found = share(len(bad), len(new))
    if found.low > NEVER_SEEN:
        yield Finding(
            "warning",
            f"{found.value:.0%} of the new rows get no answer; the first: {next(iter(bad.values()))}",
            (found.measure("share of new rows", NEVER_SEEN),),
            title="new rows that cannot be read",
            remedies=(Remedy("repair these files or cells of the new data."),),
        )


def _never_seen(prepared: Prepared, before: list[Summary], after: list[Summary]) -> Iterator[Finding]:
    """Columns with categories, values or gaps that training did not have, in one finding."""
    fields = {field.name: field for field in prepared.schema.inputs}
    found = list[tuple[str, str, Interval]]()
    for old, new in zip(before, after, strict=True):
        if old.name != old.column:
            continue  # pictures and texts have summaries, not cells
        field = fields[old.column]
        claims = {"unseen in training": [c.values == UNSEEN for c in (old, new)]} if field.family == "labels" else {}
        if field.family == "numbers":
            claims["missing"] = [np.isnan(c.values) for c in (old, new)]
            claims[f"outside {figure(field.low)} to {figure(field.high)}"] = [
                (c.values < field.low) | (c.values > field.high) for c in (old, new)
            ]
        for claim, sides in claims.items():
            shares = [share(float(side.sum()), len(side)) for side in sides]
            more = difference(shares[1], shares[0])
            if more.low > NEVER_SEEN:
                found.append((old.column, f"{old.column} {claim}", more))
    if found:
        found.sort(key=lambda item: -item[2].value)
        claims = "; ".join(f"{claim} in {more.value:.0%} more of the new rows" for _, claim, more in found[:SHOWN])
        yield Finding(
            "warning",
            claims + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""),
            tuple(more.measure(claim, NEVER_SEEN) for _, claim, more in found[:SHOWN]),
            title="new values that training never showed",
            columns=tuple(dict.fromkeys(column for column, _, _ in found)),
            otherwise=("another spelling, unit or code for the same thing",),
            remedies=_NEW_ADVICE,
        )


def _new_labels(prepared: Prepared, new: Dataset, targets: tuple[str, ...], rows: Numbers) -> Iterator[Finding]:
    cells = new.table.select(targets).drop_nulls()
    bad = dict[int, str]()
    try:
        encoded = prepared.task.encode(cells)
    except Unreadable as error:
        encoded, bad = error.encoded, error.bad
    known = np.setdiff1d(np.arange(len(cells)), np.fromiter(bad, np.int64, len(bad)))
    unknown = share(len(bad), max(len(cells), 1))
    if bad and unknown.low > NEVER_SEEN:
        yield Finding(
            "warning",
            f"{unknown.value:.0%} of the new rows have a label that no training row has; {next(iter(bad.values()))}",
            (unknown.measure("share of new rows", NEVER_SEEN),),
            title="labels that training never showed",
            columns=targets,
            remedies=(Remedy("add training rows with these labels, or spell them as in training."),),
        )
    if len(known) >= LEAST:
        before = labels_of(prepared, prepared.train.targets(torch.from_numpy(rows)))
        after = labels_of(prepared, tuple(t[known] for t in encoded))
        yield from labels_moved(_NEW, before, after)
