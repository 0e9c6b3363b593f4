import polars as pl
import pytest
from tests.sick import visits as sick

from netwright.checks.data.item_names import ids_in_order, plain, renamed_items
from netwright.checks.evidence import Skip


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("The Old House", "the  old-house!", True),
        ("Café Noir", "CAFÉ NOIR", True),
        ("A-1 12", "A1-12", True),
        ("1-12", "11-2", False),
        ("1-2-3-4", "12-34", False),
        ("iPhone 7", "iPhone 8", False),
    ],
)
def test_names_are_compared_without_case_spaces_and_marks(one: str, other: str, is_same: bool) -> None:
    first, second = plain(pl.Series([one, other])).to_list()
    assert (first == second) is is_same


def test_items_under_two_names_are_listed() -> None:
    (found,) = renamed_items(sick.evidence(sick.renamed(sick.healthy()).drop("code")))
    assert found.severity == "warning"
    assert found.summary.startswith("20 of 210 names in 'item' belong to 10 items: 'THE")
    assert len(found.places) == 2


def test_ids_with_one_title_are_listed_and_genres_are_not() -> None:
    frame = sick.healthy().rename({"item": "title", "code": "item"}).with_columns(genre=pl.lit("novel"))
    frame = frame.with_columns(title=pl.when(pl.col("item") == 7).then(pl.lit("The red house 1")).otherwise("title"))
    (found,) = renamed_items(sick.evidence(frame))
    assert (found.title, found.severity) == ("items of one title", "warning")
    assert found.summary == "2 of 200 ids in 'item' belong to 1 item: '0', '7' are all 'The red house 1'"


def test_user_numbers_in_the_order_of_coming_are_a_note_and_a_column_of_them_is_a_warning() -> None:
    frame = sick.numbered(sick.healthy())
    (found,) = ids_in_order(sick.evidence(frame))
    assert (found.severity, found.columns) == ("warning", ("member",))
    renamed = frame.with_columns(user=pl.col("member").cast(pl.Int64)).drop("member")
    (found,) = ids_in_order(sick.evidence(renamed))
    assert (found.severity, found.columns) == ("note", ("user",))


def test_ids_at_random_and_measures_tell_no_time() -> None:
    assert not list(ids_in_order(sick.evidence(sick.healthy().with_columns(age=pl.col("user") % 50))))
    with pytest.raises(Skip, match="--time"):
        list(ids_in_order(sick.evidence(sick.healthy(), time="")))
