"""Interactions that nobody meant: rows that are there twice, and robots."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.checks.data.raw_visits import RawVisits, raw_visits
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.records.errors import counted
from netwright.records.finding import Finding, Measure, Remedy
from netwright.statistics import share

WORTH = 0.01  # of the rows: enough to move a score by about its interval
WORTH_OF_BOTS = 0.001  # of the rows: they are not spread over items as those of people are

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0  # seconds
FAST = 100  # rows in a minute, at MOMENTS different times or more: a basket is one moment, a person has some
MOMENTS = 20
BEYOND = 10.0  # times what few users exceed in a minute: lists of ratings and baskets were up to 6 times
FAR_BEYOND = 20.0  # the same of all rows: a wholesaler among customers had 12 times as many
FEW = 0.05  # of the users; robots are fewer
AWAKE = 22  # hours of one day with rows: people sleep
LEAST_ROWS = 100  # of a day of such a user
MOST = 1_000  # rows of a user, from which on they may be too many
LEAST_USERS = 20  # show what is usual


def repeated_visits(evidence: DataEvidence) -> Iterator[Finding]:
    """interactions that are there twice

    Rows with the same user, item and time, and items that a user rated more than once.

    Why it matters: a copy counts twice where models count, and with a random split a user's item can be in training and
    in the test. Of two ratings only one is the user's opinion.

    How it is decided: user, item, time and rating are equal; without times only equal ratings are copies, since people
    buy and play things again. Ratings of one item at another time, or another one, are reported on their own. Each is a
    warning from 1 % of the rows (WORTH), below that a note.
    """
    visits = evidence.once(raw_visits)
    keys = pl.DataFrame({"user": visits.users, "item": visits.items})
    if visits.seconds is not None:
        keys = keys.with_columns(time=visits.seconds)
    if visits.ratings is not None:
        keys = keys.with_columns(rating=visits.ratings)
    if keys.width == 2:
        raise Skip("without times and ratings, rows may repeat")
    copies = ~keys.select(pl.struct(pl.all()).is_first_distinct()).to_series().to_numpy()
    yield from _again(visits, np.flatnonzero(copies), "repeat a user, an item and a time", "leave the copies out.", "")
    if visits.ratings is None:
        return
    again = ~keys.select(pl.struct("user", "item").is_first_distinct()).to_series().to_numpy() & ~copies
    advice = "keep the last rating of each user and item."
    yield from _again(visits, np.flatnonzero(again), "rate an item again", advice, "items rated twice")


def _again(visits: RawVisits, rows: Rows, what: str, advice: str, title: str) -> Iterator[Finding]:
    if not len(rows):
        return
    found = share(len(rows), len(visits))
    yield Finding(
        "warning" if found.value >= WORTH else "note",
        f"{counted(len(rows), 'row')} of {len(visits):,} {what}, "
        f"{found.value:.2%}; of {counted(len(np.unique(visits.users[rows])), 'user')}",
        (found.measure("share of the rows", WORTH),),
        columns=(visits.raw.source.item,),
        title=title,
        places=visits.places(rows),
        remedies=(Remedy(advice, cost=counted(len(rows), "row")),),
    )


def bots(evidence: DataEvidence) -> Iterator[Finding]:
    """users that may be robots

    Users with far more interactions in a minute, in a day or in all than people have, and than all other users.

    Why it matters: a robot that visits everything makes all items alike. It moves popularity, neighbors and the loss,
    and if it is in the test part, the score too.

    How it is decided: three signs. 100 rows in one minute (FAST) at 20 different times (MOMENTS), and 10 times (BEYOND)
    as many as 95 % of the users ever have in a minute. Rows in 22 hours of a day (AWAKE), 100 of them at least. 1,000
    rows or more (MOST), and 20 times (FAR_BEYOND) as many as 99 % of the users. The first two need times with seconds.
    It is a warning if their rows are 0.1 % of all (WORTH_OF_BOTS), below that a note.
    """
    visits = evidence.once(raw_visits)
    count = len(visits.user_names)
    if count < LEAST_USERS:
        raise Skip(f"fewer than {LEAST_USERS} users do not show what is usual")
    rows = np.bincount(visits.users)
    usual = max(1.0, float(np.quantile(rows, 0.99)))
    signs = [_Sign("with more rows than people have", rows / usual, FAR_BEYOND, rows >= MOST)]
    if visits.is_clock and visits.seconds is not None:
        peaks, moments = _peaks(visits.users, visits.seconds)
        common = max(1.0, float(np.quantile(peaks, 1 - FEW)))
        what = f"with up to {int(peaks.max()):,} rows in a minute"
        signs.append(_Sign(what, peaks / common, BEYOND, (peaks >= FAST) & (moments >= MOMENTS)))
        what = "with rows in nearly all hours of a day"
        signs.append(_Sign(what, _hours_awake(visits.users, visits.seconds), AWAKE, np.ones(count, bool)))
    for sign in signs:
        found = np.flatnonzero(sign.may & (sign.size >= sign.bar))
        if len(found):
            yield _odd_users(visits, found[np.argsort(-sign.size[found], kind="stable")], sign)


@dataclass(frozen=True, eq=False)
class _Sign:
    """Something that people do less of."""

    what: str
    size: NDArray[np.float64]  # of each user
    bar: float
    may: NDArray[np.bool_]  # whether it counts for each user


def _odd_users(visits: RawVisits, found: Rows, sign: _Sign) -> Finding:
    count, rows = len(visits.user_names), np.bincount(visits.users)
    of = share(int(rows[found].sum()), len(visits))
    return Finding(
        "warning" if of.value >= WORTH_OF_BOTS else "note",
        f"{counted(len(found), 'user')} of {count:,} ({visits.named_users(found)}) {sign.what}: {of.value:.2%} of all "
        "rows",
        (
            Measure("sign of the worst user", float(sign.size[found[0]]), threshold=sign.bar),
            of.measure("share of the rows", WORTH_OF_BOTS),
        ),
        columns=(visits.raw.source.user,),
        places=visits.places(visits.firsts(found)),
        confidence=0.8,
        otherwise=("a shop, a library or a family under one name", "rows that were loaded at one time"),
        remedies=(Remedy("look at what they did, and leave them out.", cost=counted(len(found), "user")),),
    )


def _peaks(users: Rows, seconds: NDArray[np.float64]) -> tuple[Rows, Rows]:
    """For each user the most rows within a minute, and the different times in that minute."""
    apart = seconds - seconds.min()
    keys = users * (apart.max() + 2 * MINUTE) + apart
    is_new = np.r_[True, np.diff(keys) > 0]
    until = np.searchsorted(keys, keys + MINUTE, side="left")
    here = np.arange(len(keys))
    inside = until - here
    number = np.cumsum(is_new)
    moments = number[until - 1] - number + 1
    starts = np.flatnonzero(np.r_[True, np.diff(users) > 0])
    peaks = np.maximum.reduceat(inside, starts)
    at_peak = np.where(inside == peaks[users], moments, 0)
    return peaks, np.maximum.reduceat(at_peak, starts)


def _hours_awake(users: Rows, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """In how many hours of a day each user had rows, on the busiest day with LEAST_ROWS."""
    most = np.zeros(users[-1] + 1)
    if (seconds % HOUR == 0).all():
        return most  # days or hours only
    days = pl.DataFrame({"user": users, "day": seconds // DAY, "hour": seconds // HOUR})
    hours = days.group_by("user", "day").agg(pl.col("hour").n_unique().alias("hours"), pl.len().alias("rows"))
    busy = hours.filter(pl.col("rows") >= LEAST_ROWS).group_by("user").agg(pl.col("hours").max())
    most[busy["user"].to_numpy()] = busy["hours"].to_numpy()
    return most
