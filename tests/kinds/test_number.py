import dataclasses
import datetime
import math

import polars as pl
import pytest
import torch

from netwright.kinds.number import BINS, Number, as_numbers, read_numbers
from netwright.kinds.written import Writing, way_of_writing
from netwright.records.errors import DataError
from netwright.records.recipe import Recipe


def encoded(field: Number, cells: list[object]) -> list[float]:
    return field.encode(pl.Series(cells)).tolist()


def test_missing_words_become_nan():
    field = Number.learn("x", pl.Series(["1", "2", "?", "", "NA", "n/a", "None", "-", "nan", None]))
    values = encoded(field, ["1", " 2 ", "?", "", "NA", "n/a", "None", "-", "nan", None])
    assert values[:2] == [1, 2]
    assert all(math.isnan(v) for v in values[2:])
    assert field.describe() == "numbers 1 to 2, 80 % missing"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,234,567.5", 1234567.5), ("$ 12.50", 12.5), ("-€3", -3), ("13.9 %", 13.9), ("1 234", 1234), ("1e3", 1000)],
)
def test_numbers_as_people_write_them_are_read(text: str, value: float):
    assert encoded(Number.learn("x", pl.Series(["1", "2"])), [text]) == [pytest.approx(value)]


def test_decimal_commas_are_learned_from_the_column():
    field = Number.learn("price", pl.Series(["1.234,5", "3,14", "12", "?"]))
    assert encoded(field, ["1.234,5", "3,14", "12"]) == pytest.approx([1234.5, 3.14, 12])
    assert "decimal comma" in field.describe()


@pytest.mark.parametrize("cell", ["170.5", "0.125", "1700.125", ".5"])
def test_a_few_decimal_commas_among_decimal_points_do_not_make_the_column_decimal_comma(cell: str):
    field = Number.learn("height", pl.Series([cell] * 597 + ["170,5"] * 3))
    assert not field.decimal_comma
    assert field.high == max(float(cell), 170.5)
    assert field.unreadable == 0


def test_thousands_by_points_leave_a_column_decimal_comma():
    field = Number.learn("price", pl.Series(["1.234"] * 5 + ["17,5"] * 2))
    assert (field.low, field.high) == (17.5, 1234.0)


def test_thousands_are_not_taken_for_decimal_commas():
    assert encoded(Number.learn("n", pl.Series(["1,234", "5,678", "12"])), ["1,234"]) == [1234]


def test_cells_that_are_no_numbers_are_counted_and_the_first_named():
    field = Number.learn("age", pl.Series([*map(str, range(98)), "unknown", "old"]))
    assert field.describe() == (
        "numbers 0 to 97, 2 % missing, 2 cells are not a number (first: 'unknown'), read as missing"
    )


def test_infinite_numbers_are_missing_and_counted():
    field = Number.learn("x", pl.Series([1.0, 2.0, float("inf"), -1e300]))
    assert field.encode(pl.Series([1.0, float("inf"), 1e300])).isnan().tolist() == [False, True, True]
    assert "2 cells are infinite" in field.describe()
    assert (field.low, field.high) == (1, 2)


def test_zip_codes_are_no_numbers():
    assert not Number.matches(pl.Series(["02139", "10115", "94110", "60601"]))
    assert Number.matches(pl.Series(["0", "0.5", "-0.25", "10"]))


def test_a_few_slips_do_not_hide_a_column_of_numbers():
    assert Number.matches(pl.Series([*map(str, range(99)), "many"]))
    assert not Number.matches(pl.Series([*map(str, range(50)), *["many"] * 50]))
    assert not Number.matches(pl.Series(["?", "", None]))


def test_scale_is_robust_against_outliers():
    field = Number.learn("x", pl.Series([*map(float, range(101)), 1e9]))
    assert field.center == 50.5
    assert field.scale == pytest.approx(1 / 50.5)


def test_scale_falls_back_to_the_range_and_then_to_zero():
    assert Number.learn("x", pl.Series([0.0] * 9 + [4.0])).scale == 0.5
    constant = Number.learn("x", pl.Series([7.0] * 9))
    assert (constant.scale, constant.reach, constant.knots) == (0, 0, (7.0,))
    assert constant.describe() == "always 7"


def test_a_column_without_any_number_is_learned_and_said():
    field = Number.learn("x", pl.Series([None, None], dtype=pl.Float64))
    assert field.describe() == "no numbers"
    assert field.encode(pl.Series([3.0])).tolist() == [3]


def test_knots_are_rising_quantiles():
    field = Number.learn("x", pl.Series(range(1000)))
    assert len(field.knots) == BINS + 1
    assert (field.knots[0], field.knots[-1]) == (0, 999)
    assert list(field.knots) == sorted(set(field.knots))


def test_cells_outside_the_training_range_are_not_clipped():
    assert encoded(Number.learn("x", pl.Series([1, 2, 3])), [99]) == [99]


def test_durations_and_times_of_day_are_seconds():
    durations = pl.Series([datetime.timedelta(minutes=1), None])
    assert Number.learn("x", durations).encode(durations)[0] == 60
    times = pl.Series([datetime.time(1, 0, 1)])
    assert Number.learn("x", times).encode(times).tolist() == [3601]


def test_encoded_columns_may_be_changed():
    cells = pl.Series([1.0, 2.0], dtype=pl.Float32)
    Number.learn("x", cells).encode(cells).add_(1)
    assert cells.to_list() == [1, 2]


def test_errors_name_the_column_and_a_remedy():
    with pytest.raises(DataError, match="column 'x': the kind number takes no detail, got '3'") as error:
        Number.learn("x", pl.Series([1]), "3")
    assert error.value.remedy == "write x=number."
    with pytest.raises(DataError, match=r"column 'x': number cells must be numbers or text, but the column holds List"):
        Number.learn("x", pl.Series([[1], [2]]))


def test_show_escapes_and_shades():
    field = Number.learn("x", pl.Series([1, 2]))
    assert field.show("<1") == "<span>&lt;1</span>"
    assert "background: rgba(230, 120, 0, 0.50)" in field.show(1, torch.tensor(0.5))
    assert field.show(None) == "<span>missing</span>"


def test_what_is_learned_of_a_column_is_exact():
    field = Number.learn("x", pl.Series([*map(float, range(101)), None, float("inf"), float("-inf")]))
    assert (field.low, field.high, field.center, field.scale) == (0, 100, 50, 1 / 50)
    assert field.reach == pytest.approx(0.1 * 50)  # a tenth of the robust scale
    assert field.missing == pytest.approx(3 / 104)
    assert (field.infinite, field.unreadable, field.example) == (2, 0, "")
    assert field.describe() == "numbers 0 to 100, 3 % missing, 2 cells are infinite, read as missing"
    one = Number.learn("x", pl.Series([1.0, 2.0, float("inf")]))
    assert one.describe().endswith("1 cell is infinite, read as missing")


def test_a_column_without_rows_has_no_number_at_all():
    field = Number.learn("x", pl.Series([], dtype=pl.Float64))
    assert (field.low, field.high, field.center, field.scale, field.reach, field.knots) == (0, 0, 0, 0, 0, ())
    assert field.describe() == "no numbers"


def test_one_text_in_a_hundred_with_a_leading_zero_makes_names_of_digits():
    assert not Number.matches(pl.Series(["01", *map(str, range(100, 199))]))
    assert Number.matches(pl.Series(["01", *map(str, range(100, 200))]))


@pytest.mark.parametrize("cells", [[datetime.timedelta(1)], [datetime.time(1)], [1], [1.5]])
def test_cells_that_are_numbers_by_their_type_are_numbers(cells: list[object]):
    assert Number.matches(pl.Series(cells))


@pytest.mark.parametrize("cells", [[datetime.date(2020, 1, 1)], [[1]], [b"1"]])
def test_cells_of_other_types_are_none(cells: list[object]):
    assert not Number.matches(pl.Series(cells))


def test_knots_of_few_values_are_the_values():
    assert Number.learn("x", pl.Series([3.0, 1.0, 2.0])).knots == (1, 2, 3)
    assert Number.learn("x", pl.Series([5.0] * 99 + [7.0])).knots == (5, 7)


def test_knots_are_49_at_equal_shares_of_the_rows():
    field = Number.learn("x", pl.Series(range(1, 97)))
    assert field.knots == (1, *range(2, 97, 2))
    assert len(field.knots) == 49


def test_a_value_that_fills_most_of_the_rows_takes_one_knot():
    field = Number.learn("x", pl.Series([0.0] * 4800 + list(map(float, range(1, 4801)))))
    assert len(field.knots) == 48  # of 9600 rows 200 fill a bin, and the zeros count as so many
    assert field.knots[:3] == (0, 9, 113)
    assert field.knots[-1] == 4800


def test_a_tie_of_commas_and_points_is_read_with_points():
    field = Number.learn("x", pl.Series(["170.5", "170,5"]))
    assert not field.decimal_comma
    assert Number.learn("x", pl.Series(["170.5", "170,5", "171,5"])).decimal_comma
    assert not way_of_writing(pl.Series([1.5])).decimal_comma


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["1,5", "2,25"])])
def test_numbers_in_categorical_columns_are_read_as_text(dtype: pl.DataType):
    assert read_numbers("x", pl.Series(["1,5", "2,25"], dtype=dtype), Writing(decimal_comma=True)).to_list() == [
        1.5,
        2.25,
    ]


def test_truth_and_nothing_are_numbers_too():
    assert read_numbers("x", pl.Series([True, False]), Writing()).to_list() == [1, 0]
    assert read_numbers("x", pl.Series([None, None]), Writing()).to_list() == [None, None]


def test_texts_are_read_whether_most_or_few_of_them_are_hard():
    cells = pl.Series(["1", "$2", "3"] * 50 + ["none of these"])
    assert read_numbers("x", cells, Writing()).to_list() == [1, 2, 3] * 50 + [None]
    assert read_numbers("x", pl.Series(["1", None]), Writing()).to_list() == [1, None]


def test_only_columns_with_missing_cells_have_an_input_for_them():
    recipe = Recipe(embedding="none")
    full, gaps = Number.learn("a", pl.Series([1.0, 2.0])), Number.learn("b", pl.Series([1.0, None]))
    widths = [Number.stem(fields, recipe)[1].width for fields in ((full,), (gaps,), (full, gaps))]
    assert widths == [1, 2, 3]


def test_a_number_is_summed_up_by_itself():
    fields = tuple(Number.learn(name, pl.Series([1.0, 2.0])) for name in "ab")
    first, second = Number.summary(fields, torch.tensor([[1.0, 3.0], [2.0, 4.0]]))
    assert (first.name, first.values.tolist(), second.values.tolist()) == ("a", [1, 2], [3, 4])


def test_a_field_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Number.learn("a", pl.Series([1.0])).center = 2.0


def test_small_steps_between_great_numbers_are_kept():
    seconds = pl.Series(range(1_700_000_000, 1_700_000_100))
    field = Number.learn("t", seconds)
    assert field.encode(seconds).diff().tolist() == [1.0] * 99
    assert field.decode(field.encode(seconds)).to_list() == seconds.to_list()
    assert field.describe() == "numbers 1,700,000,000 to 1,700,000,099"
    assert Number.learn("t", pl.Series([1.5, 2.5, 1e9])).origin == 0


def test_a_column_is_read_as_it_writes_its_own_numbers():
    assert as_numbers(pl.Series(["42,5 EUR", "3 EUR", "n.d."])).to_list() == [42.5, 3, None]
    assert as_numbers(pl.Series([1, 2])).to_list() == [1, 2]


@pytest.mark.parametrize(
    ("cells", "step"),
    [
        ([1, 5, 3, 12], 1.0),
        ([1.5, 2.0, 0.25, 9.75], 0.01),
        ([0.1, 2.3, 17.0, 5.6], 0.1),
        ([0.1234567, 2.7182818], 0.0),
        ([1.0, 2.01], 0.01),
        ([123456.5, 7.125], 0.0),
    ],  # float32 cannot tell three decimals of a hundred thousand
)
def test_the_step_of_a_column_is_its_last_decimal(cells: list[float], step: float):
    assert Number.learn("x", pl.Series(cells)).step == pytest.approx(step)
