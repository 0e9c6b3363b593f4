"""Ids of users and items: one thing under several names, and ids that tell the time."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.checks.data.columns import as_numbers
from netwright.checks.data.raw_visits import RawVisits, raw_visits
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.records.errors import counted
from netwright.records.finding import SHOWN, Finding, Measure, Remedy

WORTH = 0.01  # of the items
TITLE = 0.8  # share of the items with a title of their own: below, it is a genre or a brand
STEADY = 0.95  # share of an item's rows with its usual title
IN_ORDER = 0.95  # rank correlation of ids with the time when they came first: ids by chance have 0
LEAST_IDS = 50  # fewer rise by chance
LEAST_LETTERS = 3  # of a name without spaces and marks

BETWEEN_DIGITS = r"(\d)[\s\p{P}\p{S}]+(\d)"  # 1-12 and 11-2 stay apart
MARKS = r"[\s\p{P}\p{S}]+"


def renamed_items(evidence: DataEvidence) -> Iterator[Finding]:
    """items under several names

    Names of items that differ only in case, spaces and marks, and items of different ids with one title.

    Why it matters: what is known about an item is divided among its names. An answer with the other name counts as
    wrong, and a list can hold the same thing twice.

    How it is decided: names are compared in lower case, without spaces and marks, except between digits (1-12 is not
    11-2); they need 3 letters or digits (LEAST_LETTERS). A title is a column of texts with one value in 95 % of an
    item's rows (STEADY), and an own one for 80 % of the items (TITLE). It is a warning from 1 % of the items (WORTH),
    below that a note.
    """
    visits = evidence.once(raw_visits)
    first = np.unique(visits.items, return_index=True)[1]
    if not visits.raw.table[visits.raw.source.item].dtype.is_numeric():
        yield from _alike(visits, visits.item_names, visits.raw.source.item, first, "names", "")
    for name, titles in _titles(visits):
        yield from _alike(visits, titles, name, first, "ids", "items of one title")


def _alike(
    visits: RawVisits, texts: pl.Series, column: str, first: Rows, what: str, title: str
) -> Iterator[Finding]:  # fmt: skip
    keys = plain(texts)
    long = keys.str.len_chars() >= LEAST_LETTERS
    groups = (
        pl.DataFrame({"key": keys, "text": texts, "item": range(len(texts))})
        .filter(long)
        .filter(pl.len().over("key") > 1)
        .group_by("key", maintain_order=True)
        .agg("text", "item")
    )
    if not groups.height:
        return
    count = int(groups["item"].list.len().sum())
    rows = np.bincount(visits.items, minlength=len(texts))
    sizes = [int(rows[np.array(items)].sum()) for items in groups["item"].to_list()]
    worst = groups[int(np.argmax(sizes))]
    shown = ", ".join(repr(name) for name in visits.item_names[worst["item"][0].to_list()].to_list()[:SHOWN])
    share = count / len(texts)
    places = np.array([first[item] for item in worst["item"][0].to_list()])
    yield Finding(
        "warning" if share >= WORTH else "note",
        f"{count:,} of {len(texts):,} {what} in {visits.raw.source.item!r} belong to {counted(groups.height, 'item')}: "
        f"{shown}" + (f" are all {worst['text'][0][0]!r}" if what == "ids" else ""),
        (Measure("share of the items", share, threshold=WORTH),),
        columns=(column,),
        title=title,
        places=visits.places(places),
        confidence=0.9,
        otherwise=("different things with one name, such as two editions",),
        remedies=(Remedy("write one name for each item."),),
    )


def plain(texts: pl.Series) -> pl.Series:
    """Names in lower case, without spaces and marks except one between digits."""
    cells = texts.str.normalize("NFKC").str.to_lowercase()
    for _ in range(2):  # digits that are both the end of one pair and the start of the next
        cells = cells.str.replace_all(BETWEEN_DIGITS, "${1}\x00${2}")
    return cells.str.replace_all(MARKS, "")


def _titles(visits: RawVisits) -> Iterator[tuple[str, pl.Series]]:
    """Columns of titles, with the usual title of each item."""
    source = visits.raw.source
    for column in visits.raw.table.iter_columns():
        if column.dtype != pl.String or column.name in (source.item, source.rating):
            continue
        frame = pl.DataFrame({"item": visits.items, "title": column}).drop_nulls()
        if not frame.height:
            continue
        usual = frame.group_by("item").agg(pl.col("title").mode().sort().first().alias("usual"))
        is_usual = frame.join(usual, on="item").select(pl.col("title") == pl.col("usual")).to_series()
        if is_usual.sum() >= STEADY * len(is_usual) and usual["usual"].n_unique() >= TITLE * usual.height:
            every = pl.DataFrame({"item": range(len(visits.item_names))}).join(
                usual, on="item", how="left", maintain_order="left"
            )
            yield column.name, every["usual"].fill_null("")


def ids_in_order(evidence: DataEvidence) -> Iterator[Finding]:
    """ids that tell the time

    Numbers of users or items, or of a column beside them, that rise with the time of the first row.

    Why it matters: a high number means that an item is new. Used as a quantity, it tells a model that sees shuffled
    rows what came later. New items have numbers that no training row had.

    How it is decided: the ranks of ids correlate by 0.95 or more (IN_ORDER) with those of the time when each came
    first, for at least 50 ids (LEAST_IDS) with numbers. It is a note for users and items, whose ids are names to the
    network, and a warning for another column, which is a quantity to it.
    """
    visits = evidence.once(raw_visits)
    if visits.seconds is None:
        raise Skip("there is no column of times (--time)")
    source, table = visits.raw.source, visits.raw.table
    seen = [(source.user, visits.raw.owners, visits.users), (source.item, table[source.item], visits.items)]
    others = [
        c
        for c in table.iter_columns()
        if c.name not in (source.item, source.rating) and as_numbers(c.head(1)) is not None
    ]
    for name, cells, codes in seen:
        if cells is not None:
            yield from _rising(visits, name, cells, codes, "note")
    for cells in others:
        for codes in (visits.users, visits.items):
            if _is_of(cells, codes):
                yield from _rising(visits, cells.name, cells, codes, "warning")
                break


def _is_of(cells: pl.Series, codes: Rows) -> bool:
    """Whether a column has one value for each user, or each item."""
    firsts = np.unique(codes, return_index=True)[1]
    return cells.null_count() == 0 and bool((cells == cells[firsts[np.unique(codes, return_inverse=True)[1]]]).all())


def _rising(visits: RawVisits, name: str, cells: pl.Series, codes: Rows, severity: str) -> Iterator[Finding]:
    numbers = as_numbers(cells)
    if numbers is None or visits.seconds is None:
        return
    frame = pl.DataFrame({"code": codes, "id": numbers, "time": visits.seconds})
    firsts = frame.group_by("code").agg(pl.col("id").first(), pl.col("time").min())
    if firsts.height < LEAST_IDS or firsts["id"].n_unique() * 2 < firsts.height:
        return
    found = _rank_correlation(firsts["id"].to_numpy(), firsts["time"].to_numpy())
    if found < IN_ORDER:
        return
    yield Finding(
        "warning" if severity == "warning" else "note",
        f"{name} rises with time: the later the first row, the higher the number",
        (Measure("rank correlation with time", found, threshold=IN_ORDER),),
        columns=(name,),
        confidence=0.95,
        remedies=(
            Remedy(f"drop it with --drop {name}." if severity == "warning" else "use it as a name, never as a number."),
        ),
    )


def _rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    ranks = [pl.Series(x).rank().to_numpy() for x in (one, other)]
    return 0.0 if min(r.std() for r in ranks) == 0 else float(np.corrcoef(ranks[0], ranks[1])[0, 1])
