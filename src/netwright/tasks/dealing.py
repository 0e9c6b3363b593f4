"""Which rows of a user are for training, validation and test."""

from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.records.errors import DataError, RecipeError, counted

LAST, RANDOM, BY_TIME, GIVEN, GIVEN_IN_ORDER = "last", "random", "by-time", "given", "given-in-order"
ORDERED = (LAST, BY_TIME, GIVEN_IN_ORDER)
WAYS = (LAST, RANDOM, BY_TIME)
TEST = VALID = 0.1  # of a user's items, or of all rows by time
LEAST = 3  # different items of a user who is tested
CODES = {"train": 0, "valid": 1, "test": 2}

Numbers = NDArray[np.int64]


@final
@dataclass(frozen=True)
class Deal:
    """How rows are dealt to the parts, as the user wrote it after the task's name."""

    way: str = ""  # one of WAYS, or as a column says; "": that if there is one, LAST if there are times, else RANDOM
    seed: int = 0  # of RANDOM
    least: float | None = None  # rating that counts

    @classmethod
    def read(cls, detail: str) -> Self:
        """From `random,seed=1,least=4`. Raises RecipeError for anything else."""
        deal = cls()
        for part in (part.strip() for part in detail.split(",") if part.strip()):
            name, _, word = part.partition("=")
            try:
                if not word:
                    deal = replace(deal, way=_way(name))
                elif name == "seed":
                    deal = replace(deal, seed=_seed(word))
                elif name == "least":
                    deal = replace(deal, least=float(word))
                else:
                    raise RecipeError(f"ranking has no setting {name!r}", remedy="choose seed or least.")
            except ValueError:
                problem = f"ranking: {name} is {word!r}, not a number"
                raise RecipeError(problem, remedy="write ranking:random,seed=1,least=4.") from None
        return deal

    def written(self) -> str:
        """So that `read` reads it again."""
        seed = f",seed={self.seed}" if self.way == RANDOM else ""
        return self.way + seed + ("" if self.least is None else f",least={self.least!r}")

    @property
    def is_ordered(self) -> bool:
        """Whether a user's items are in the order of time."""
        return self.way in ORDERED

    def with_least(self, least: float) -> Self:
        """The same with another threshold."""
        return replace(self, least=least)


SIMPLY = Deal()  # as the rows suggest


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """Rows by user, part and time; without times each item of a user once, in an order that means nothing."""

    order: Numbers  # places among the rows that were given
    users: Numbers  # ascending
    parts: Numbers  # 0 training, 1 validation, 2 test: ascending within a user
    is_new: NDArray[np.bool_]  # whether the user had the item for the first time
    is_ordered: bool


def dealt(
    users: Numbers, items: pl.Series, deal: Deal, times: pl.Series | None, parts: pl.Series | None
) -> tuple[Rows, Deal, tuple[str, ...]]:
    """The rows in order, with their parts; the rule that was followed, and notes. Rows come by user, then by time.

    LAST: the last new item of each user is the test, the one before it validation; earlier rows are for training.
    RANDOM: of each user's items a share of TEST and VALID, at least one. BY_TIME: the same shares of all rows, the
    latest; rows of one time stay together. GIVEN: as a column says. Users with fewer than LEAST different items are
    for training only. Raises DataError for a rule that needs times.
    """
    usual, given = (RANDOM, GIVEN) if times is None else (LAST, GIVEN_IN_ORDER)
    way = deal.way or (usual if parts is None else given)
    way = usual if way in (GIVEN, GIVEN_IN_ORDER) and parts is None else way  # new rows, of which no column says more
    if way in ORDERED and times is None:
        problem = f"ranking:{way} needs times, and no column of times is named"
        raise DataError(problem, remedy="name it (--time COLUMN), or split at random: --task ranking:random.")
    deal = replace(deal, way=way)
    first = pl.DataFrame({"user": users, "item": items}).select(pl.struct("user", "item").is_first_distinct())
    is_new = first.to_series().to_numpy()
    order = np.arange(len(users)) if way in ORDERED else np.flatnonzero(is_new)
    again = len(users) - len(order)
    notes = (f"{counted(again, 'row')} repeat an item of the user: it counts once",) if again else ()
    users, is_new = users[order], is_new[order]
    if way == RANDOM:
        codes, told = _at_random(users, deal.seed), f"at random, the seed is {deal.seed}"
    elif way == BY_TIME and times is not None:
        codes, told = _by_time(times), "by time, the latest rows last"
    elif parts is not None and way != LAST:
        codes, told = _given(users, parts[order], deal.seed), "as the data say"
    else:
        codes, told = _last(users, is_new), "each user's last new item for the test, the one before for validation"
    by_part = np.lexsort((codes, users)) if way not in (LAST, BY_TIME) else np.arange(len(users))
    rows = Rows(order[by_part], users[by_part], codes[by_part], is_new[by_part], way in ORDERED)
    return rows, deal, (*notes, f"interactions are split {told}")


def _at_random(users: Numbers, seed: int) -> Numbers:
    """For each user's rows a part."""
    keys = np.random.default_rng(seed).random(len(users))
    shuffled = np.lexsort((keys, users))
    counts = np.bincount(users)
    rank = np.empty(len(users), np.int64)
    rank[shuffled] = np.arange(len(users)) - np.repeat(np.cumsum(np.r_[0, counts[:-1]]), counts)
    tests, valids = (np.maximum(1, (counts * share).astype(np.int64)) for share in (TEST, VALID))
    tests, valids = (np.where(counts < LEAST, 0, some)[users] for some in (tests, valids))
    return np.where(rank < tests, 2, np.where(rank < tests + valids, 1, 0))


def _last(users: Numbers, is_new: NDArray[np.bool_]) -> Numbers:
    """By how many new items of the user came up to each row: what follows the last is of no part's concern."""
    counts = np.bincount(users, is_new).astype(np.int64)
    until = np.cumsum(is_new) - np.repeat(np.cumsum(np.r_[0, counts[:-1]]), np.bincount(users))
    left = counts[users] - until
    return np.where((left > 1) | (counts[users] < LEAST), 0, 2 - left)


def _by_time(times: pl.Series) -> Numbers:
    """Shares of all rows; rows of one time stay together."""
    moments = times.rank("dense").to_numpy().astype(np.int64)
    ranked = np.sort(moments)
    edges = (ranked[min(len(ranked) - 1, int(len(ranked) * share))] for share in (1 - TEST - VALID, 1 - TEST))
    valid, test = edges
    codes = np.where(moments >= test, 2, np.where(moments >= valid, 1, 0))
    if len(np.unique(codes)) < len(CODES):
        problem = f"the column {times.name!r} has {counted(len(np.unique(moments)), 'time')}, too few for three parts"
        raise DataError(problem, remedy="name a column of times that differ, or split otherwise: --task ranking:last.")
    return codes


def _given(users: Numbers, parts: pl.Series, seed: int) -> Numbers:
    """As a column says; validation is drawn from the training rows if no row is named so."""
    codes = parts.replace_strict(CODES, return_dtype=pl.Int64).to_numpy().copy()
    if not (codes == 1).any():
        train = np.flatnonzero(codes == 0)
        drawn = _at_random(np.unique(users[train], return_inverse=True)[1], seed)
        codes[train[drawn == 1]] = 1
    return codes


def _way(word: str) -> str:
    word = word.replace("_", "-")
    if word in (*WAYS, GIVEN, GIVEN_IN_ORDER):
        return word
    raise RecipeError(f"ranking cannot split {word!r}", remedy=f"choose from {', '.join(WAYS)}.")


def _seed(word: str) -> int:
    if not word.isdecimal():
        raise ValueError(word)
    return int(word)
