import numpy as np
import polars as pl
import pytest

from netwright.records.errors import DataError, RecipeError
from netwright.tasks.dealing import GIVEN, GIVEN_IN_ORDER, LAST, RANDOM, Deal, Rows, dealt

USERS = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])
ITEMS = pl.Series(["a", "b", "a", "c", "c", "a", "b", "d", "a", "b"])
TIMES = pl.Series("at", range(10))


def _dealt(
    deal: Deal, times: pl.Series | None = TIMES, parts: pl.Series | None = None
) -> tuple[Rows, Deal, tuple[str, ...]]:
    return dealt(USERS, ITEMS, deal, times, parts)


def test_what_the_user_wrote_is_read_and_written_again() -> None:
    for detail in ("last", "random,seed=3", "by-time,least=3.5", "given-in-order"):
        assert Deal.read(Deal.read(detail).written()) == Deal.read(detail)
    assert Deal.read("by_time").way == "by-time" and Deal.read("") == Deal()
    assert Deal.read("random").written() == "random,seed=0"
    for detail, told in (("sometimes", "cannot split"), ("seed=x", "'x', not a number"), ("share=1", "no setting")):
        with pytest.raises(RecipeError, match=told):
            Deal.read(detail)


def test_the_last_new_item_is_the_test_and_the_one_before_it_validation() -> None:
    rows, deal, _ = _dealt(Deal())
    assert (deal.way, rows.is_ordered) == (LAST, True)
    # a b a | c c of user 0: c is new at its first row, b before it; the repeat of c is of nobody's concern.
    assert rows.parts.tolist() == [0, 1, 1, 2, 2, 0, 1, 2, 0, 0]
    assert rows.is_new.tolist() == [True, True, False, True, False, True, True, True, True, True]
    assert rows.order.tolist() == list(range(10))


def test_shares_of_each_user_are_drawn_by_the_seed_and_repeats_count_once() -> None:
    rows, deal, notes = _dealt(Deal(), times=None)
    assert (deal.way, rows.is_ordered) == (RANDOM, False)
    assert "2 rows repeat an item" in notes[0]
    assert [rows.parts[rows.users == user].tolist() for user in range(3)] == [[0, 1, 2], [0, 1, 2], [0, 0]]
    many = np.repeat(np.arange(4), 50), pl.Series([str(k) for k in range(200)])
    first, again, other = (dealt(*many, Deal(RANDOM, seed), None, None)[0] for seed in (0, 0, 1))
    assert np.bincount(first.parts).tolist() == [160, 20, 20]
    assert first.order.tolist() == again.order.tolist() != other.order.tolist()


def test_by_time_the_latest_rows_of_all_are_the_test() -> None:
    rows, _, _ = _dealt(Deal("by-time"))
    assert rows.parts.tolist() == [0] * 8 + [1, 2]
    same = pl.Series("at", [1, 1, 1, 1, 1, 1, 1, 2, 2, 3])
    assert _dealt(Deal("by-time"), same)[0].parts.tolist() == [0] * 7 + [1, 1, 2]
    with pytest.raises(DataError, match="1 time, too few for three parts"):
        _dealt(Deal("by-time"), pl.Series("at", [7] * 10))


def test_a_rule_that_needs_times_says_so() -> None:
    for way in ("last", "by-time"):
        with pytest.raises(DataError, match="needs times") as caught:
            _dealt(Deal(way), times=None)
        assert "--time" in caught.value.remedy


def test_a_column_may_name_the_parts() -> None:
    parts = pl.Series(["train"] * 3 + ["valid", "test"] + ["train", "test", "valid", "train", "train"])
    rows, deal, notes = _dealt(Deal(), parts=parts)
    assert deal.way == GIVEN_IN_ORDER and "as the data say" in notes[-1]
    assert rows.parts.tolist() == [0, 0, 0, 1, 2, 0, 1, 2, 0, 0]
    assert rows.order[5:8].tolist() == [5, 7, 6]
    assert _dealt(Deal(), None, parts)[1].way == GIVEN
    drawn = _dealt(Deal(), parts=parts.replace({"valid": "train"}))[0]
    assert sorted(np.bincount(drawn.parts).tolist()) == [1, 2, 7]  # one of user 0, who has three; user 1 has two
    assert _dealt(Deal(GIVEN_IN_ORDER))[1].way == LAST  # new rows without the column
