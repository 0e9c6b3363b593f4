import numpy as np
import polars as pl
import pytest
from tests.sick import visits as sick

from netwright.checks.data.visits import bots, repeated_visits
from netwright.checks.evidence import Skip


def test_copies_are_counted_with_their_users_and_places() -> None:
    frame = sick.healthy()
    (found,) = repeated_visits(sick.evidence(pl.concat([frame, frame.head(100)])))
    assert found.severity == "warning"
    assert found.summary.startswith("100 rows of 6,100 repeat a user, an item and a time, 1.64%")
    assert found.places and all(int(place.split()[-1]) > sick.ROWS for place in found.places)


def test_a_second_rating_of_an_item_is_no_copy() -> None:
    frame = sick.healthy()
    again = frame.head(30).with_columns(at=pl.col("at") + 9.0, stars=pl.lit(1, pl.Int64))
    (found,) = repeated_visits(sick.evidence(pl.concat([frame, again])))
    assert (found.severity, found.title) == ("note", "items rated twice")
    assert found.summary.startswith("30 rows of 6,030 rate an item again")


def test_buying_again_is_no_copy() -> None:
    frame = sick.healthy()
    again = frame.head(900).with_columns(at=pl.col("at") + 9.0)
    assert not list(repeated_visits(sick.evidence(pl.concat([frame, again]), rating="")))
    with pytest.raises(Skip, match="may repeat"):
        list(repeated_visits(sick.evidence(frame, time="", rating="")))


def test_a_robot_is_named_by_each_of_its_signs() -> None:
    (found,) = bots(sick.evidence(sick.robot(sick.healthy())))
    assert found.severity == "warning"
    assert found.summary.startswith("1 user of 301 (300) with up to 200 rows in a minute: 3.23% of all rows")
    assert found.places


def test_baskets_of_one_moment_are_no_robots() -> None:
    frame = sick.healthy().with_columns(at=(pl.col("at") / 86_400 / 30).floor() * 86_400 * 30)
    many = sick.robot(frame).with_columns(at=pl.when(pl.col("user") == sick.USERS).then(1.601e9).otherwise("at"))
    assert not list(bots(sick.evidence(many)))


def test_users_that_never_sleep_are_named() -> None:
    hours = np.arange(150) % 24
    rows = pl.DataFrame({"user": 999, "code": np.arange(150), "at": 1.6e9 // 86_400 * 86_400 + hours * 3_600 + 7.0})
    rows = rows.with_columns(item=pl.col("code").cast(pl.String), stars=pl.lit(3, pl.Int64))
    frame = sick.healthy()
    found = list(bots(sick.evidence(pl.concat([frame, rows.cast(dict(frame.schema))]))))
    assert ["nearly all hours of a day" in one.summary for one in found] == [True]


def test_a_user_with_very_many_rows_is_named_and_a_busy_one_is_not() -> None:
    frame = sick.healthy()
    for count, is_found in ((1_000, False), (6_000, True)):
        rows = frame.sample(count, with_replacement=True, seed=0).with_columns(user=pl.lit(999, pl.Int64))
        found = list(bots(sick.evidence(pl.concat([frame, rows]), time="")))
        assert bool(found) is is_found
