import polars as pl
import pytest
import torch

from netwright.kinds.category import Category
from netwright.records.errors import DataError
from netwright.records.threat import Reach

COLORS = ["red"] * 5 + ["green"] * 4 + ["blue"] * 3


def encoded(field: Category, cells: list[object]) -> list[int]:
    return field.encode(pl.Series(cells)).tolist()


def test_unseen_categories_encode_as_unknown():
    assert encoded(Category.learn("color", pl.Series(COLORS)), ["violet", "red"]) == [0, 2]


def test_missing_has_its_own_index():
    assert encoded(Category.learn("color", pl.Series(COLORS)), [None, "?", " ", "N/A"]) == [1, 1, 1, 1]


def test_values_stand_by_falling_frequency_and_then_by_name():
    field = Category.learn("x", pl.Series(["b"] * 3 + ["a"] * 3 + ["c"] * 4))
    assert field.values == ("c", "a", "b")
    assert encoded(field, ["c", "a", "b"]) == [2, 3, 4]


def test_rare_values_are_read_as_unseen_and_counted():
    field = Category.learn("color", pl.Series([*COLORS, "once", "twice", "twice"]))
    assert encoded(field, ["once", "twice"]) == [0, 0]
    assert field.describe() == "3 categories, 2 more in fewer than 3 rows each, read as unseen"


def test_outer_blanks_do_not_make_a_category():
    assert encoded(Category.learn("color", pl.Series(COLORS)), [" red "]) == [2]


def test_one_category_written_as_int_float_or_text_is_one():
    field = Category.learn("zip", pl.Series([3, 3, 3, 4, 4, 4]))
    assert encoded(field, ["3"]) == encoded(field, [3]) == encoded(field, [3.0]) == [2]


def test_thousands_of_categories_encode():
    values = [f"user {i}" for i in range(5000)]
    field = Category.learn("user", pl.Series(values * 3))
    assert sorted(encoded(field, values)) == list(range(2, 5002))


def test_identifiers_unique_for_each_row_all_become_unseen():
    ids = pl.Series([f"id{i}" for i in range(100)])
    assert Category.matches(ids)
    field = Category.learn("id", ids)
    assert field.values == ()
    assert set(field.encode(ids).tolist()) == {0}


def test_enumerations_and_truth_values_are_categories():
    cells = pl.Series(["a", "b", "a", "a", "b", "b"], dtype=pl.Categorical)
    assert Category.matches(cells)
    assert Category.learn("x", cells).encode(cells).tolist() == [2, 3, 2, 2, 3, 3]
    assert Category.matches(pl.Series([True, False]))
    assert Category.matches(pl.Series([None, None]))


def test_few_distinct_phrases_are_categories_and_many_are_not():
    assert Category.matches(pl.Series(["never married", "divorced since", "lives apart"] * 4))
    assert not Category.matches(pl.Series([f"the film number {i} was good" for i in range(100)]))


def test_phrases_few_for_the_whole_column_but_many_for_a_sample_are_categories():
    assert Category.matches(pl.Series([f"shop {i % 4000}" for i in range(60_000)]))


def test_sentences_in_scripts_without_blanks_are_no_categories():
    assert not Category.matches(pl.Series([f"这部电影非常好看我很喜欢{chr(0x4E00 + i)}" for i in range(50)]))


def test_lists_are_no_categories():
    with pytest.raises(DataError, match=r"column 'x': category cells must be text, numbers or booleans, .* List"):
        Category.learn("x", pl.Series([[1], [2]]))


def test_names_are_known_however_invisibly_they_differ():
    field = Category.learn("x", pl.Series(["caf\u00e9", "cafe\u0301", "caf\u00e9\u200b", "bar", "bar", "bar"]))
    assert field.values == ("bar", "caf\u00e9")
    flags = Category.learn("x", pl.Series(["True", "False"] * 3))
    assert flags.encode(pl.Series([True, False])).tolist() == flags.encode(pl.Series(["TRUE", "false"])).tolist()
    assert flags.encode(pl.Series(["True", "False"])).tolist() == flags.encode(pl.Series([True, False])).tolist()


def test_truth_in_several_spellings_is_one_value():
    field = Category.learn("x", pl.Series(["True", "true", "TRUE", "False", "false", "False"]))
    assert field.values == ("false", "true")
    assert field.encode(pl.Series(["True", "false", "FALSE"])).tolist() == [3, 2, 2]
    assert Category.learn("x", pl.Series(["Yes", "YES", "Yes"] * 3)).values == ("Yes", "YES")


def test_a_value_is_swapped_for_any_other_and_nothing_for_missing():
    first, second = Category.learn("color", pl.Series(COLORS)), Category.learn("sex", pl.Series(["f", "m"] * 3))
    way = Category.way((first, second), Reach())
    candidates, allowed = way.swaps(torch.tensor([[2, 3], [0, 1]], dtype=torch.int32), 1.0)
    assert candidates.dtype == torch.int32 and candidates.shape == allowed.shape == (2, 2, 3)
    offered = [[c[a].tolist() for c, a in zip(*pair, strict=True)] for pair in zip(candidates, allowed, strict=True)]
    assert offered == [[[3, 4], [2]], [[2, 3, 4], []]]


def test_immutable_columns_keep_their_value():
    fields = (Category.learn("color", pl.Series(COLORS)), Category.learn("sex", pl.Series(["f", "m"] * 3)))
    way = Category.way(fields, Reach(immutable=frozenset({"color"})))
    assert way.swaps(torch.tensor([[2, 3]]), 1.0)[1].any(2).tolist() == [[False, True]]
    assert not Category.way(fields, Reach(immutable=frozenset({"color", "sex"}))).is_open


def test_encoded_values_are_decoded_and_said():
    field = Category.learn("color", pl.Series(COLORS))
    assert field.decode(torch.tensor([2, 1, 0, 4])).to_list() == ["red", None, "rare or unseen", "blue"]
    assert [field.said(torch.tensor(index)) for index in (3, 1, 0)] == ["green", "missing", "rare or unseen"]
