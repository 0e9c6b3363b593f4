import polars as pl
import pytest
from tests.sick import visits as sick

from netwright.checks.data.audience import flat_ratings, popularity_drift, single_visits, untested_users
from netwright.checks.evidence import Skip


def test_users_without_a_test_example_are_counted() -> None:
    (found,) = untested_users(sick.CASES["NW194"][0]())
    assert found.severity == "warning"
    assert found.summary.startswith("400 users of 700 (57%) have no test example; they have 2 rows in the middle")
    assert not list(untested_users(sick.evidence(sick.healthy())))


def test_new_items_are_a_warning() -> None:
    (found,) = popularity_drift(sick.evidence(sick.newest(sick.healthy())))
    assert (found.title, found.severity) == ("new items", "warning")
    assert "newest fifth of the rows are of" in found.summary and found.places


def test_items_that_were_not_popular_before_are_a_warning() -> None:
    late = pl.col("at") > sick.FIRST + 0.8 * sick.YEAR
    frame = sick.healthy()
    order = frame["code"].value_counts(sort=True)["code"]
    others = pl.col("code").replace_strict(order, order.reverse())
    frame = frame.with_columns(item=pl.when(late).then(others).otherwise("code").cast(pl.String))
    (found,) = popularity_drift(sick.evidence(frame))
    assert found.title == "" and "was most popular has" in found.summary


def test_a_steady_audience_has_no_drift() -> None:
    assert not list(popularity_drift(sick.evidence(sick.healthy())))
    with pytest.raises(Skip, match="--time"):
        list(popularity_drift(sick.evidence(sick.healthy(), time="")))
    with pytest.raises(Skip, match="fewer than 1,000 rows"):
        list(popularity_drift(sick.evidence(sick.healthy().head(900))))


def test_single_rows_of_users_are_a_warning_and_of_items_a_note() -> None:
    (found,) = single_visits(sick.CASES["NW196"][0]())
    assert (found.title, found.severity) == ("users with one row", "warning")
    rare = sick.healthy().with_columns(item=pl.int_range(pl.len()).cast(pl.String))
    (found,) = single_visits(sick.evidence(rare))
    assert (found.title, found.severity) == ("items with one row", "note")


def test_ratings_of_one_value_say_nothing() -> None:
    (found,) = flat_ratings(sick.CASES["NW197"][0]())
    assert found.summary == "100.0% of the ratings are 5"
    assert not list(flat_ratings(sick.evidence(sick.healthy())))
    with pytest.raises(Skip, match="--rating"):
        list(flat_ratings(sick.evidence(sick.healthy(), rating="")))
