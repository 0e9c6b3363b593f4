"""Rows that occur more than once."""

from collections.abc import Iterator

import numpy as np

from netwright.checks.data.near import joined, near
from netwright.checks.data.repeats import repeats, together
from netwright.checks.data.unlike import drops
from netwright.checks.evidence import DataEvidence
from netwright.data.split import Rows, Split
from netwright.records.errors import counted
from netwright.records.finding import Finding, Measure, Remedy

WARN_SHARE = 0.01  # of the rows: enough to move a score by about its interval


def duplicate_rows(evidence: DataEvidence) -> Iterator[Finding]:
    """duplicate rows

    Rows whose content occurs more than once in the data: pictures, series and texts with the same content (texts
    ignoring case and spaces), table rows with the same inputs and target. Columns that identify rows are not compared.

    Why it matters: a row that occurs five times counts five times in training and makes the data look larger than they
    are. Copies in several parts make scores too good: see NW127.

    How it is decided: by 64-bit hashes of the content. In a table with few distinct values equal rows are natural.
    Their number is estimated from pairs of rows that differ in one column only; up to CHANCE_RATIO = 3 times as many
    pairs are not reported. It is a note, and a warning from WARN_SHARE = 1 % superfluous rows.
    """
    found = evidence.once(repeats)
    if found.pairs == 0 or found.are_natural:
        return
    groups = together(found.rows, found.first)
    chance = Measure("pairs of equal rows by chance", found.chance)
    yield _finding(evidence, "repeat another row exactly", groups, len(found.rows), chance)


def near_duplicates(evidence: DataEvidence) -> Iterator[Finding]:
    """near duplicates

    Rows that are nearly the same as another one: pictures that were mirrored, shifted, brightened or saved again, texts
    with a few words changed, series with a little noise, table rows that differ in one cell or by rounding.

    Why it matters: such rows add less than their number suggests, and a copy in another part makes the score too good:
    see NW127. They come from bursts of photos, forwarded texts, and tables joined twice.

    How it is decided: pictures are made grey and no larger than SIDE = 32 pixels. Candidates are the NEIGHBORS = 5
    nearest by the strength of their frequencies, which shifts and mirrors do not change. A pair is flagged if its
    details correlate by ALIKE = 0.85 or more at the best shift of up to SHIFT = 2 pixels, and if it stands out: for
    both rows the distance is at most STANDS_OUT = 0.4 of that to the next similar row (the ratio test of Lowe 2004), so
    that naturally similar things do not count. From SAME = 0.97 on the distance to others is ignored. Texts: MinHash
    (Broder 1997), then a Jaccard similarity of words and word pairs of TEXT_ALIKE = 0.6, and shared words that are rare
    enough together: TEMPLATE = 20 bits more than the best of all pairs reaches by chance, so that a common phrase is
    not a copy. Series: correlation SERIES_ALIKE = 0.999. Tables: only if pairs that agree in all cells but one are
    twice as many (TABLE_RATIO) as those that agree in all but two; if rows are naturally alike, it is the other way
    round. It is a warning from WARN_SHARE = 1 % of the rows. If there are more than MOST_ROWS = 100,000 pictures,
    series or texts, that many are drawn.
    """
    found, same = evidence.once(near), evidence.once(repeats)
    if not len(found.pairs):
        return
    firsts = np.unique(found.pairs)
    groups = together(firsts, joined(firsts, firsts, found.pairs))
    least = Measure("lowest similarity of a flagged pair", float(found.likeness.min()))
    drawn = len(np.unique(same.first)) > found.count
    what = "are nearly the same as another one" + (f" (of {found.count:,} drawn)" if drawn else "")
    yield _finding(evidence, what, groups, found.count, least)


def _finding(evidence: DataEvidence, what: str, groups: list[Rows], count: int, measure: Measure) -> Finding:
    rank = _dropped_last(len(evidence.dataset), evidence.parts)
    ordered = [group[np.argsort(rank[group], kind="stable")] for group in groups]
    spare = [row for group in ordered for row in group[1:].tolist()]
    share = len(spare) / count
    locate = evidence.dataset.locate
    example = f"{locate(int(ordered[0][1]))} as {locate(int(ordered[0][0]))}"
    return Finding(
        "warning" if share >= WARN_SHARE else "note",
        f"{counted(len(spare), 'row')} of {count:,} ({share:.2%}) {what}, in {counted(len(groups), 'group')}; "
        f"the first is {example}",
        (Measure("share of superfluous rows", share, threshold=WARN_SHARE), measure),
        rows=tuple(spare),
        otherwise=("different things with the same recorded values",),
        remedies=(Remedy("keep one row of each group: drop the others.", cost=counted(len(spare), "row")),),
        fixes=drops(evidence, spare),
    )


def _dropped_last(count: int, parts: Split | None) -> Rows:
    """The order in which rows are dropped: of equal rows, that of the test part stays, or else that of validation.

    Of rows in several parts, those in training are dropped.
    """
    rank = np.full(count, 2, np.int64)
    if parts is not None:
        rank[parts.valid], rank[parts.test] = 1, 0
    return rank
