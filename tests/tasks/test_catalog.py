from datetime import date

import polars as pl
import pytest

from netwright.records.errors import DataError, RecipeError
from netwright.tasks import catalog as catalogs
from netwright.tasks.catalog import Catalog, catalog
from netwright.tasks.classification import Classification

TABLE = pl.DataFrame({
    "item": ["1", "2", "3", "4", "8", "9"],
    "kind": ["War, Space", "Love", "Space", None, "Space war", "unheard of"],
    "price": [1.0, 50.0, 2.0, None, 1.5, None],
    "tags": [["old"], [], ["new"], ["new"], ["old"], None],
    "picture": [b"x"] * 6,
})  # fmt: skip
KNOWN = ("3", "2", "1", "4", "77")


def test_a_new_item_is_like_known_ones_that_share_its_words_labels_and_numbers() -> None:
    found = catalog(TABLE, "item", KNOWN)
    assert found.items == ("8",) and found.alone == 1  # 9 shares nothing with any
    assert [KNOWN[place] for place in found.nearest[0]][:2] == ["1", "3"]
    assert "2" not in [KNOWN[place] for place in found.nearest[0]]
    sizes = found.likeness[0]
    assert 1 >= sizes[0] > sizes[1] > 0
    assert catalog(TABLE.filter(pl.col("item") < "8"), "item", KNOWN) == Catalog()


def test_only_so_many_known_items_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "ALIKE", 1)
    assert [len(near) for near in catalog(TABLE, "item", KNOWN).nearest] == [1]
    monkeypatch.setattr(catalogs, "BLOCK", 1)
    assert len(catalog(TABLE, "item", ("3",)).items) == 3


def test_numbers_are_names_if_there_are_few_and_tenths_if_there_are_many() -> None:
    stars = pl.DataFrame({"item": range(40), "stars": [k % 4 for k in range(40)], "day": [date(2024, 1, 1)] * 40})
    found = catalog(stars, "item", [str(k) for k in range(39)])
    assert found.items == ("39",) and all(place % 4 == 3 for place in found.nearest[0][:9])
    prices = pl.DataFrame({"item": range(40), "price": [*range(39), 4]})
    near = catalog(prices, "item", [str(k) for k in range(39)]).nearest[0]
    assert set(near) <= {2, 3, 4, 5, 6, 7, 8}


def test_tables_that_say_nothing_are_refused() -> None:
    for table, told in (
        (TABLE.rename({"item": "id"}), "has no column 'item', only id, kind"),
        (TABLE.select("item"), "says nothing about them"),
        (TABLE.filter(item="9"), "has none of the 5 items that training had"),
        (TABLE.select("item", "picture"), "hold no numbers, words or labels"),
    ):
        with pytest.raises(DataError, match=told):
            catalog(table, "item", KNOWN)


def test_other_tasks_have_neither_catalogs_nor_similar_items() -> None:
    task = Classification(("no", "yes"))
    with pytest.raises(RecipeError, match="--items does not suit classification"):
        task.stocked(TABLE)
    with pytest.raises(RecipeError, match="similar does not suit classification"):
        task.similar(None, "1", 3)  # type: ignore[arg-type]  refused before the network is looked at
