"""Interactions with one known fault each, and healthy twins: 300 users, 200 items, a year of seconds, ratings."""

from collections.abc import Callable

import numpy as np
import polars as pl

from netwright.checks.evidence import DataEvidence
from netwright.data.dataset import Dataset
from netwright.records.frames import Raw
from netwright.records.source import Source

USERS, ITEMS, ROWS = 300, 200, 6_000
FIRST, YEAR = 1_600_000_000.0, 31_536_000.0  # seconds
WORDS = ("red", "old", "wild", "far", "new", "lost", "two", "last", "big", "sad")
THINGS = ("house", "river", "moon", "song", "dog", "road", "king", "sea", "star", "tree")


def healthy(seed: int = 0) -> pl.DataFrame:
    """Popular and rare items, busy and quiet users, no pair twice."""
    random = np.random.default_rng(seed)
    popular = random.permutation(1 / np.arange(1, ITEMS + 1) ** 0.7)
    busy = random.permutation(1 / np.arange(1, USERS + 1) ** 0.5)
    users = random.choice(USERS, 2 * ROWS, p=busy / busy.sum())
    items = random.choice(ITEMS, 2 * ROWS, p=popular / popular.sum())
    pairs = pl.DataFrame({"user": users, "code": items}).unique(maintain_order=True).head(ROWS)
    titles = pl.Series([f"The {WORDS[k % 10]} {THINGS[k // 10 % 10]} {k // 100 + 1}" for k in range(ITEMS)])
    return pairs.with_columns(
        at=pl.Series(FIRST + random.random(pairs.height) * YEAR).floor(),
        item=titles[pairs["code"]],
        stars=pl.Series(random.integers(1, 6, pairs.height)),
    )


def evidence(frame: pl.DataFrame, *, time: str = "at", rating: str = "stars") -> DataEvidence:
    """As a task leaves rows that it cuts into one example for each user, of which all with three rows are tested."""
    source = Source(user="user", item="item", time=time, rating=rating, task="ranking")
    places = pl.Series(range(2, len(frame) + 2), dtype=pl.Int64)
    order = frame.select(pl.arg_sort_by("user", *([time] if time else []), maintain_order=True)).to_series()
    frame = frame[order]
    table = frame.drop([name for name in ("user", time) if name])
    raw = Raw(table, (), frame["user"], frame[time] if time else None, source)
    users = frame.with_row_index("row").group_by("user", maintain_order=True).agg(pl.len(), pl.col("row").first())
    tested = users.filter(pl.col("len") >= 3)
    spans = np.stack([tested["row"].to_numpy(), (tested["row"] + tested["len"]).to_numpy()], 1).astype(np.int64)
    parts = pl.Series(["test"] * len(spans), dtype=pl.String)
    examples = pl.DataFrame({"history": range(len(spans))})
    return DataEvidence(
        Dataset(examples, (), "x.csv", spans=spans, parts=parts, raw=raw, raw_places=places[order], are_apart=True)
    )


def case(fault: Callable[[pl.DataFrame], pl.DataFrame]):
    """Sick interactions, no rows (they are rows of the data, not examples), and those without the fault."""
    return lambda: evidence(fault(healthy())), (), lambda: evidence(healthy())


def robot(frame: pl.DataFrame) -> pl.DataFrame:
    """A user who has 200 items in a minute."""
    random = np.random.default_rng(1)
    rows = {
        "user": np.full(200, USERS), "code": np.arange(200), "at": FIRST + 1e6 + random.integers(0, 60, 200),
        "item": frame.unique("code").sort("code")["item"].head(200), "stars": np.full(200, 5),
    }  # fmt: skip
    return pl.concat([frame, pl.DataFrame(rows).cast(dict(frame.schema))])


def renamed(frame: pl.DataFrame) -> pl.DataFrame:
    """Some rows of ten items have another spelling."""
    other = pl.col("item").str.to_uppercase().str.replace_all(" ", "  ") + "!"
    return frame.with_columns(
        item=pl.when((pl.col("code") < 10) & (pl.col("at") % 2 == 0)).then(other).otherwise("item")
    )


def numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """A number for each user, in the order in which they came."""
    return frame.with_columns(member=pl.col("at").min().over("user").rank("dense") * 7.0)


def newest(frame: pl.DataFrame) -> pl.DataFrame:
    """A third of the items were not there in the first 85 %."""
    return frame.filter((pl.col("code") % 3 > 0) | (pl.col("at") > FIRST + 0.85 * YEAR))


CASES = {
    "NW190": case(lambda frame: pl.concat([frame, frame.sample(300, seed=0)])),
    "NW191": case(robot),
    "NW192": case(renamed),
    "NW193": case(numbered),
    "NW194": case(lambda frame: pl.concat([frame, _strangers(2)])),
    "NW195": case(newest),
    "NW196": case(lambda frame: pl.concat([frame, _strangers(1)])),
    "NW197": case(lambda frame: frame.with_columns(stars=pl.lit(5, pl.Int64))),
}


def _strangers(rows: int) -> pl.DataFrame:
    """400 users with so few rows."""
    frame = healthy(1).head(400 * rows)
    return frame.with_columns(user=pl.Series(np.repeat(np.arange(400) + 1_000, rows), dtype=pl.Int64))
