"""Classes with many rows next to classes with few."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from netwright.checks.data.columns import columns, listed_rows, share_text
from netwright.checks.evidence import DataEvidence, Skip
from netwright.records.errors import listed
from netwright.records.finding import Finding, Measure, Remedy
from netwright.records.task import Labels
from netwright.statistics import share

FEW_TO_LEARN = 10  # training rows: with fewer a class is memorized
FEW_TO_TEST = 10  # test rows: the 95 % interval of a class's recall is then wider than 0.4
ONE_SIDED = 0.9  # share of the largest class, and so the accuracy of always answering it
RARE = 0.2  # of an even share of the rows: a class below is outvoted in nearly every batch


def class_imbalance(evidence: DataEvidence) -> Iterator[Finding]:
    """class imbalance

    Some classes have many more rows than others, or a class has too few rows to be learned or tested.

    Why it matters: a network that always answers the largest class has a high accuracy and is useless. A rare class has
    little weight in the loss, and its own score rests on a handful of rows.

    How it is decided: by the rows of each class, in all rows and in each part. It is a warning if the largest class has
    90 % of the rows or more (ONE_SIDED). It is also a warning if a class has fewer than 10 training rows (FEW_TO_LEARN)
    or, after a random split, fewer than 10 test rows (FEW_TO_TEST: the 95 % interval of its recall, Wilson 1927, is
    then wider than 0.4), while others have ten times as many. It is a note if the rarest class has less than a fifth of
    an even share (RARE). Balanced weights make a network answer rare classes more often. They do not improve its
    probabilities, and in deep networks that fit all training rows they lose their effect (Byrd and Lipton 2019,
    arXiv:1812.03372).
    """
    prepared = evidence.prepared
    if prepared is None or not isinstance(prepared.view(), Labels):
        raise Skip("the target is not a class" if prepared else evidence.problem)
    seen = evidence.once(columns)
    if not seen.targets:
        raise Skip("the target is not a column of single values")
    target = seen.targets[0]
    cells = seen.table[target].cast(pl.String)
    counts = _counted(cells, np.ones(len(cells), bool))
    train, test = (_counted(cells, seen.parts[part]) for part in ("train", "test"))
    total, largest, rarest = (
        sum(counts.values()),
        max(counts, key=counts.__getitem__),
        min(counts, key=counts.__getitem__),
    )
    if len(counts) < 2:
        return
    most, least = counts[largest] / total, counts[rarest] / total
    many = counts[largest] / 10
    few = [c for c in counts if train.get(c, 0) < FEW_TO_LEARN or test.get(c, 0) < FEW_TO_TEST]
    few = [c for c in few if counts[c] < many or train.get(c, 0) < FEW_TO_LEARN]
    if most < ONE_SIDED and not few and least * len(counts) >= RARE:
        return
    is_few = cells.is_in(few).to_numpy() & (len(few) < len(counts))
    names = [f"{c!r} ({counts[c]:,})" for c in sorted(few, key=counts.__getitem__)]
    thin = f"; too few rows to learn or to test: {listed(names, 5)}" if few else ""
    yield Finding(
        "warning" if most >= ONE_SIDED or few else "note",
        f"{share_text(most)} of {total:,} rows are {largest!r}, {share_text(least)} ({counts[rarest]:,}) {rarest!r}: "
        f"always answering {largest!r} gives an accuracy of {most:.3f}{thin}",
        (
            share(counts[largest], total).measure("share of the largest class", ONE_SIDED),
            share(counts[rarest], total).measure("share of the rarest class", RARE / len(counts)),
            Measure("test rows of the rarest class", test.get(rarest, 0), threshold=FEW_TO_TEST),
        ),
        (target,),
        listed_rows(seen.rows[is_few]) if few else (),
        otherwise=("the classes are as rare in use",),
        remedies=(
            Remedy("use the area under the ROC curve or the average precision as the score, not accuracy."),
            Remedy(
                "weight the classes by their rarity (--set class_weights=balanced).",
                {"class_weights": "balanced"},
                "more rows of rare classes are found, with more false alarms",
                "probabilities no longer match the data",
            ),
            Remedy(f"add more rows of {listed([repr(c) for c in (few or [rarest])], 3)}, or merge such classes."),
        ),
    )


def _counted(cells: pl.Series, where: np.ndarray) -> dict[str, int]:
    found = cells.filter(pl.Series(where)).drop_nulls().value_counts(name="rows")
    return dict(zip(found[cells.name].to_list(), found["rows"].to_list(), strict=True))
