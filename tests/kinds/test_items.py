import polars as pl
import pytest
import torch

from netwright.kinds import items
from netwright.kinds.items import Items
from netwright.records.errors import DataError

LISTS = pl.Series("bought", [["tea", "salt"], ["tea", "rice", "tea"], None, ["salt", "tea"], []])


def test_items_are_numbered_by_frequency_and_padded_on_the_right() -> None:
    field = Items.learn("bought", LISTS)
    assert field.vocabulary == ("tea", "salt", "rice")
    assert field.encode(LISTS)[:, :4].tolist() == [[2, 3, 0, 0], [2, 4, 2, 0], [0] * 4, [3, 2, 0, 0], [0] * 4]
    assert field.encode(LISTS).dtype == torch.int16
    lengths = field.lengths(field.encode(LISTS))
    assert lengths is not None and lengths.tolist() == [2, 3, 1, 2, 1]
    assert field.decode(field.encode(LISTS)).to_list() == [one or [] for one in LISTS.to_list()]
    assert field.describe() == "lists of 2 items (median), 3 known"


def test_unknown_items_are_skipped_and_the_lists_that_hold_them_are_counted() -> None:
    field = Items.learn("bought", LISTS)
    new = pl.Series("bought", [["soap", "tea", None, "soap", "rice"], ["tea"], ["soap"]])
    assert field.encode(new)[:, :3].tolist() == [[2, 4, 0], [2, 0, 0], [0, 0, 0]]
    unknown, long = field.odd(new)
    assert unknown.cells.to_list() == [True, False, True] and not long.cells.any()
    assert "did not have" in unknown.claim


def test_of_a_long_list_the_last_items_are_read() -> None:
    field = Items.learn("bought", LISTS, "2")
    assert field.encode(LISTS).tolist() == [[2, 3], [4, 2], [0, 0], [3, 2], [0, 0]]
    assert field.odd(LISTS)[1].cells.to_list() == [False, True, False, False, False]
    assert field.cut == 0.2 and "20 % longer than 2 and cut" in field.describe()
    assert Items.learn("bought", LISTS).longest > 3  # people go on


def test_very_many_lists_do_not_take_more_memory_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "MOST_BYTES", 10)
    monkeypatch.setattr(items, "LEAST", 1)
    assert Items.learn("bought", LISTS).longest == 1


def test_names_may_be_whole_numbers_and_3_and_3_point_0_are_one() -> None:
    field = Items.learn("bought", pl.Series([["3", "7"]]))
    assert field.encode(pl.Series([[7, 3], [3]]))[:, :2].tolist() == [[3, 2], [2, 0]]
    assert field.encode(pl.Series([[3.0]]))[:, 0].tolist() == [2]


def test_cells_that_are_no_lists_are_refused() -> None:
    with pytest.raises(DataError, match="lists of names"):
        Items.learn("bought", pl.Series("bought", ["tea"]))
    with pytest.raises(DataError, match="lists of names"):
        Items.learn("bought", pl.Series("bought", [[["tea"]]]))


def test_a_list_is_said_and_shown_by_its_last_items() -> None:
    field = Items.learn("bought", LISTS)
    many = pl.Series("bought", [["tea"] * 30 + ["salt"], []])
    field = Items.learn("bought", many)
    first, none = (field.said(cell) for cell in field.encode(many))
    assert first.startswith("... (31 items), tea") and first.endswith(", salt") and none == "empty"
    assert field.show(["<b>"]) == "<span>&lt;b&gt;</span>"
    assert field.show([]) == "<span>empty</span>" and field.show(None) == "<span>missing</span>"
