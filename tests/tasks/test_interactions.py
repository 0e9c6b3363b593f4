from dataclasses import replace

import polars as pl
import pytest

from netwright.records.errors import DataError, Unreadable
from netwright.records.frames import Frames, Raw
from netwright.records.source import Source
from netwright.tasks import interactions
from netwright.tasks.dealing import Deal
from netwright.tasks.interactions import examples, newest

ROWS = pl.DataFrame({
    "who": ["ann"] * 5 + ["bob"] * 4 + ["cy"] * 2 + ["dot"],
    "what": ["a", "b", "a", "c", "d", "b", "d", "a", "e", "a", "b", "c"],
    "at": [1, 2, 3, 4, 5, 1, 3, 5, 7, 2, 3, 9],
    "stars": [5, 4, 1, 3, 5, 5, 5, 2, 4, 5, 4, 5],
    "town": ["Ulm"] * 5 + ["Bonn"] * 4 + ["Ulm"] * 3,
    "price": [1.0, 2.0, 1.0, 3.0, 4.0, 2.0, 4.0, 1.0, 5.0, 1.0, 2.0, 3.0],
})  # fmt: skip


def _raw(rows: pl.DataFrame = ROWS, rating: str = "", timed: bool = True) -> Raw:
    return Raw(rows.drop("who", "at"), (), rows["who"], rows["at"] if timed else None, Source(rating=rating))


def _cut(raw: Raw, detail: str = "") -> dict[str, list[tuple[list[str], list[str]]]]:
    found = examples(raw, "what", Deal.read(detail))
    assert found.parts is not None
    table = found.table.with_columns(part=found.parts)
    return {
        part: [(history, asked) for history, asked in some.select("history", "what").iter_rows()]
        for (part,), some in table.group_by("part", maintain_order=True)
    }


def test_an_example_is_what_a_user_had_before_and_what_came_after() -> None:
    parts = _cut(_raw())
    # Training: all that came before the validation item; it asks for the last that was new, which is in there too.
    assert parts["train"] == [
        (["a", "b", "a"], ["b"]), (["b", "d"], ["d"]), (["a", "b"], ["b"]), (["c"], ["c"]),
    ]  # fmt: skip
    assert parts["valid"] == [(["a", "b", "a"], ["c"]), (["b", "d"], ["a"])]
    assert parts["test"] == [(["a", "b", "a", "c"], ["d"]), (["b", "d", "a"], ["e"])]


def test_without_order_no_item_is_in_two_parts_and_each_counts_once() -> None:
    parts = _cut(_raw(timed=False))
    for (seen, valid), (more, test) in zip(parts["valid"], parts["test"], strict=True):
        assert more == seen + valid and not set(more) & set(test) and len(set(more)) == len(more)
    assert [len(seen) for seen, _ in parts["train"]] == [2, 2, 2, 1]
    assert all(set(asked) <= set(seen) for seen, asked in parts["train"])


def test_by_time_users_without_a_past_are_left_out_and_counted() -> None:
    found = examples(_raw(), "what", Deal.read("by-time"))
    assert found.parts is not None and found.parts.to_list() == ["train"] * 3 + ["valid"] * 2 + ["test"]
    notes = " ".join(found.notes)
    assert "1 user with nothing before the test part: left out" in notes and "2 users without a test item" in notes


def test_of_very_many_users_only_some_choose_and_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "MOST_USERS", (0, 1, 1))
    parts = _cut(_raw())
    assert [len(parts[part]) for part in ("train", "valid", "test")] == [4, 1, 1]
    notes = examples(_raw(), "what", Deal()).notes
    assert "1 of 2 users are in the validation part" in notes and "1 of 2 users are in the test part" in notes
    assert any("2 users without a test item" in note for note in notes)


def test_columns_of_users_come_along_and_others_are_named() -> None:
    found = examples(_raw(), "what", Deal())
    assert found.table.columns == ["history", "what", "town"]
    assert found.table["town"].to_list()[:3] == ["Ulm", "Bonn", "Ulm"]
    assert any("columns not used: stars, price" in note for note in found.notes)
    assert found.kinds == {"history": "items"} and found.targets == ("what",) and found.found == "last"
    assert found.spans[:2].tolist() == [[0, 5], [5, 9]] and found.groups is not None
    assert found.groups.tolist() == [0, 1, 2, 3, 0, 1, 0, 1]


def test_ratings_above_the_middle_count_and_the_threshold_is_kept() -> None:
    found = examples(_raw(rating="stars"), "what", Deal())
    assert found.found == "last,least=4.0"
    assert "stars 4 and more (above the middle of the scale) counts as liked: 9 of 12 rows" in found.notes[0]
    low = examples(_raw(rating="stars"), "what", Deal.read("least=2"))
    assert "as you said" in low.notes[0] and "11 of 12" in low.notes[0]
    with pytest.raises(DataError, match="no stars is 9 or more: the highest is 5"):
        examples(_raw(rating="stars"), "what", Deal.read("least=9"))


def test_ratings_of_one_value_say_nothing_and_every_row_counts() -> None:
    found = examples(_raw(ROWS.with_columns(stars=5), rating="stars"), "what", Deal())
    assert "every stars is 5: it says nothing, and every row counts" in found.notes[0] and found.found == "last"
    assert found.table.height == 8


def test_ratings_that_are_no_numbers_and_missing_items_are_refused_with_their_rows() -> None:
    place = pl.int_range(pl.len()) == 3
    words = ROWS.with_columns(stars=pl.when(place).then(pl.lit("good")).otherwise(pl.col("stars").cast(pl.String)))
    with pytest.raises(Unreadable, match="'good'") as caught:
        examples(_raw(words, rating="stars"), "what", Deal())
    assert [*caught.value.bad] == [3]
    missing = ROWS.with_columns(what=pl.when(place).then(None).otherwise("what"))
    with pytest.raises(Unreadable, match="1 row without a 'what'") as caught:
        examples(_raw(missing), "what", Deal())
    assert [*caught.value.bad] == [3]


@pytest.mark.parametrize(
    ("change", "told", "remedy"),
    [
        ({"who": "ann"}, "all rows are of one who", "--user"),
        ({"what": "a"}, "all rows have the same item, 'a'", "--item"),
    ],
)
def test_one_user_and_one_item_are_refused(change: dict[str, str], told: str, remedy: str) -> None:
    rows = ROWS.with_columns(**{name: pl.lit(value) for name, value in change.items()})
    with pytest.raises(DataError, match=told) as caught:
        examples(_raw(rows), "what", Deal())
    assert remedy in caught.value.remedy


def test_columns_that_are_missing_or_meant_twice_are_refused() -> None:
    with pytest.raises(DataError, match="needs the column of users") as caught:
        examples(replace(_raw(), owners=None), "what", Deal())
    assert "--user" in caught.value.remedy
    with pytest.raises(DataError, match="needs the column of items"):
        examples(_raw(), "", Deal())
    with pytest.raises(DataError, match="'who' cannot be the item too"):
        examples(_raw(), "who", Deal())
    with pytest.raises(DataError, match="'at' cannot be the rating too"):
        examples(_raw(rating="at"), "what", Deal())
    with pytest.raises(DataError, match="not the name or number of an item"):
        examples(_raw(ROWS.with_columns(what=pl.concat_list("what"))), "what", Deal())


def test_users_with_fewer_than_three_items_everywhere_are_refused() -> None:
    few = ROWS.group_by("who", maintain_order=True).head(2)
    for timed in (True, False):
        with pytest.raises(DataError, match="no user has 3 different items"):
            examples(_raw(few, timed=timed), "what", Deal())


def _newest(users: tuple[str, ...] = (), known: tuple[str, ...] = ("a", "b", "c", "d", "e")) -> Frames:
    return newest(_raw(), "what", Deal(), ("town",), users, known)


def test_all_that_a_user_had_is_asked_about_next() -> None:
    found = _newest()
    assert found.table["history"].to_list()[0] == ["a", "b", "a", "c", "d"] and found.table.height == 4
    assert found.names is not None and found.names["user"].to_list() == ["ann", "bob", "cy", "dot"]
    assert not found.notes
    some = _newest(("dot", "ann", "dot"))
    assert some.table["history"].to_list() == [["c"], ["a", "b", "a", "c", "d"]]
    assert some.table["town"].to_list() == ["Ulm", "Ulm"] and some.spans.tolist() == [[11, 12], [0, 5]]


def test_users_who_are_not_there_are_named_and_those_who_had_nothing_known_are_counted() -> None:
    with pytest.raises(DataError, match="the data have no who 'anne' and 1 more") as caught:
        _newest(("anne", "bob", "zoe"))
    assert "'ann'" in caught.value.remedy
    assert _newest(known=("a", "b", "d", "e")).notes == (
        "1 user had nothing that training knows: they get what is popular",
    )


def test_a_user_of_whom_no_row_counts_has_an_empty_history() -> None:
    rows = ROWS.with_columns(stars=pl.when(pl.col("who") == "cy").then(1).otherwise("stars"))
    found = newest(_raw(rows, rating="stars"), "what", Deal(least=4.0), (), (), ("a",))
    assert found.names is not None and found.names["user"].to_list() == ["ann", "bob", "cy", "dot"]
    assert found.table["history"].to_list()[2] == []
    assert found.notes[-1].startswith("3 users had nothing")
