"""Who and what a ranking can be judged by: histories, new items, single rows, and ratings that say nothing."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from netwright.checks.data.raw_visits import raw_visits
from netwright.checks.evidence import DataEvidence, Skip
from netwright.records.errors import counted
from netwright.records.finding import Finding, Measure, Remedy
from netwright.statistics import share

UNTESTED = 0.5  # of the users: then the score is that of the others, who are more active
PERIODS = 5  # of equally many rows, by time; validation and test parts are in the last one
POPULAR = 0.2  # of the items: they have most of the rows
KNOWN = 3  # earlier rows of an item that a model can know it by
NEW = 0.1  # of the newest rows are of items with fewer: each percent may cost a point of recall
FELL = 0.5  # of the share of rows with popular items: the list of the most popular ones is then another
LEAST_ROWS = 1_000  # for PERIODS of two hundred
SINGLE = 0.5  # of the users have one row
ONE_VALUE = 0.99  # of the ratings are one value


def untested_users(evidence: DataEvidence) -> Iterator[Finding]:
    """users that are not tested

    Users without an example in the test part: they have too few items, or nothing before their test rows.

    Why it matters: the score is the mean over the users that are left, who are usually the most active ones. For new
    users, who are most of them in many shops, it says nothing.

    How it is decided: users of the data that have no test example are counted. It is a warning if they are half of all
    (UNTESTED), below that a note.
    """
    visits = evidence.once(raw_visits)
    parts, spans = evidence.dataset.parts, evidence.dataset.spans
    if parts is None or spans is None:
        raise Skip("the examples do not say which part they are of")
    tested = np.unique(visits.users[spans[(parts == "test").to_numpy(), 0]])
    count = len(visits.user_names)
    left = np.setdiff1d(np.arange(count), tested)
    if not len(left):
        return
    rows = np.bincount(visits.users)
    found = share(len(left), count)
    yield Finding(
        "warning" if found.value >= UNTESTED else "note",
        f"{counted(len(left), 'user')} of {count:,} ({found.value:.0%}) {'have' if len(left) > 1 else 'has'} no test "
        f"example; they have {np.median(rows[left]):g} rows in the middle, the others {np.median(rows[tested]):g}",
        (found.measure("share of the users", UNTESTED),),
        columns=(visits.raw.source.user,),
        places=visits.places(visits.firsts(left)),
        remedies=(Remedy("judge new users on their own: by their columns, or by the most popular items."),),
    )


def popularity_drift(evidence: DataEvidence) -> Iterator[Finding]:
    """popularity that moved

    The newest rows are of other items than those before: of items that are new, or of items that were not popular.

    Why it matters: a model that knows items by their ids cannot recommend new ones, and one that learned from all of
    the past recommends what was popular then.

    How it is decided: rows are divided into five periods with equally many rows (PERIODS). It is a warning if 10 % of
    the rows of the last one are of items with fewer than 3 earlier rows (KNOWN, NEW), or if the share of rows with the
    fifth of the items (POPULAR) that was most popular before is less than half (FELL) of what it was in the periods
    before.
    """
    visits = evidence.once(raw_visits)
    if visits.seconds is None:
        raise Skip("there is no column of times (--time)")
    if len(visits) < LEAST_ROWS:
        raise Skip(f"fewer than {LEAST_ROWS:,} rows")
    order = np.argsort(visits.seconds, kind="stable")
    items = visits.items[order]
    edges = np.linspace(0, len(items), PERIODS + 1).astype(np.int64)
    hits = list[float]()
    for start, end in pairwise(edges[1:]):
        before = np.bincount(items[:start], minlength=len(visits.item_names))
        top = np.argsort(-before, kind="stable")[: max(1, round(POPULAR * int((before > 0).sum())))]
        hits.append(float(np.isin(items[start:end], top).mean()))
    last = slice(edges[-2], edges[-1])
    is_new = np.bincount(items[: edges[-2]], minlength=len(visits.item_names))[items[last]] < KNOWN
    new = share(int(is_new.sum()), len(is_new))
    if new.value >= NEW:
        items_new = len(np.unique(items[last][is_new]))
        yield Finding(
            "warning",
            f"{new.value:.0%} of the newest fifth of the rows are of {counted(items_new, 'item')} with "
            f"fewer than {KNOWN} earlier rows",
            (new.measure("share of the newest rows", NEW),),
            columns=(visits.raw.source.item,),
            title="new items",
            places=visits.places(order[last][is_new]),
            remedies=(Remedy("give columns of the items, by which new ones can be recommended."),),
        )
    usual = float(np.median(hits[:-1]))
    if hits[-1] < FELL * usual:
        yield Finding(
            "warning",
            f"the fifth of the items that was most popular has {hits[-1]:.0%} of the newest fifth of the rows; before, "
            f"it had {usual:.0%} of the next fifth",
            (Measure("share of rows with popular items", hits[-1], threshold=FELL * usual),),
            columns=(visits.raw.source.item,),
            confidence=0.9,
            otherwise=("a season: compare with the same months of the year before",),
            remedies=(Remedy("train on newer rows only, and test on the latest ones (--task ranking:by-time)."),),
        )


def single_visits(evidence: DataEvidence) -> Iterator[Finding]:
    """users and items with one row

    Users that had one thing, and items that one row has.

    Why it matters: nothing goes together with them. Such a user cannot be tested, and such an item is hardly ever
    recommended; if they are most, the score is about the few others.

    How it is decided: the shares of users and of items with a single row. It is a warning if half of the users have one
    (SINGLE), and a note if half of the items have.
    """
    visits = evidence.once(raw_visits)
    for name, codes, is_users in (
        (visits.raw.source.user, visits.users, True),
        (visits.raw.source.item, visits.items, False),
    ):
        rows = np.bincount(codes)
        found = share(int((rows == 1).sum()), len(rows))
        if found.value >= SINGLE:
            what = "users" if is_users else "items"
            single = np.flatnonzero(rows[codes] == 1)
            yield Finding(
                "warning" if is_users else "note",
                f"{found.value:.0%} of the {len(rows):,} {what} have one row",
                (found.measure(f"share of the {what}", SINGLE),),
                columns=(name,),
                title=f"{what} with one row",
                places=visits.places(single),
                remedies=(Remedy(f"give more rows, or a longer time; leave out {what} with one row."),),
            )


def flat_ratings(evidence: DataEvidence) -> Iterator[Finding]:
    """ratings of one value

    All ratings, or nearly all, are the same.

    Why it matters: they say no more than that the user had the item. A threshold between good and bad is then between
    noise.

    How it is decided: one value is 99 % of the ratings (ONE_VALUE).
    """
    visits = evidence.once(raw_visits)
    if visits.ratings is None:
        raise Skip("no column of ratings is named (--rating)")
    known = visits.ratings[~np.isnan(visits.ratings)]
    if not len(known):
        raise Skip("the ratings are not numbers")
    values, counts = np.unique(known, return_counts=True)
    found = share(int(counts.max()), len(known))
    if found.value < ONE_VALUE:
        return
    others = np.flatnonzero(visits.ratings != values[counts.argmax()])
    yield Finding(
        "warning",
        f"{found.value:.1%} of the ratings are {values[counts.argmax()]:g}",
        (found.measure("share of the ratings", ONE_VALUE),),
        columns=(visits.raw.source.rating,),
        places=visits.places(others),
        remedies=(Remedy("leave --rating out: each row then says that the user had the item."),),
    )
