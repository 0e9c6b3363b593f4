import polars as pl
import pytest

from netwright.kinds.written import (
    Writing,
    groups_by_points,
    holds_numbers,
    other_units,
    read_text,
    share_of_numbers,
    way_of_writing,
)


def _read(*cells: str | None, by: Writing | None = None) -> list[float | None]:
    column = pl.Series("x", cells, pl.String)
    return read_text(column, way_of_writing(column) if by is None else by).to_list()


@pytest.mark.parametrize(
    ("cells", "numbers", "decimal_comma", "unit"),
    [
        (("42,5", "3,14", "1.234,5"), [42.5, 3.14, 1234.5], True, ""),
        (("42,500", "1,300"), [42500, 1300], False, ""),
        (("42'500", "42\u2019500", "1 300", "1\u202f300"), [42500, 42500, 1300, 1300], False, ""),
        (("12,34,567", "1,23,456"), [1234567, 123456], False, ""),
        (("1.234.567", "808"), [1234567, 808], True, ""),
        (("$42.5", "-$3", "$ 1,234.50", "$-2"), [42.5, -3, 1234.5, -2], False, "$"),
        (("42,5 €", "3,1 €"), [42.5, 3.1], True, "€"),
        (("EUR 42,5", "EUR 3,1"), [42.5, 3.1], True, "EUR"),
        (("42,5 EUR", "3 EUR"), [42.5, 3], True, "EUR"),
        (("12 %", "13.9%"), [12, 13.9], False, "%"),
        (("28 kg", "30 KG", "31.5kg"), [28, 30, 31.5], False, "kg"),
        (("3\u00a0\u00b0C", "-4.5 \u00b0C"), [3, -4.5], False, "\u00b0C"),
        (("\uff13\uff12.\uff15", "7"), [32.5, 7], False, ""),
        (('5"', '7.5"'), [5, 7.5], False, '"'),
        (("60 km/h", "72.5 km/h"), [60, 72.5], False, "km/h"),
        (("3 m2", "5.5 m2"), [3, 5.5], False, "m2"),
        (("1 day", "2 days", "3 days"), [1, 2, 3], False, "days"),
        (("5k", "6.5k"), [5, 6.5], False, "k"),
        (("(5)", "(1,234)", "7"), [-5, -1234, 7], False, ""),
        (("\u22125", "\u20133", "4"), [-5, -3, 4], False, ""),
        (("26:15", "7:30:30"), [94500, 27030], False, ":"),
        (("5.", ".5", "1e3"), [5, 0.5, 1000], False, ""),
        (("0,125", "1,234"), [0.125, 1.234], True, ""),
    ],
)
def test_a_column_is_read_as_it_writes_its_numbers(cells, numbers, decimal_comma, unit):
    column = pl.Series("x", cells)
    assert way_of_writing(column) == Writing(decimal_comma, unit)
    assert _read(*cells) == pytest.approx(numbers)
    assert holds_numbers(column)


@pytest.mark.parametrize(
    "cells",
    [
        ("12A", "13B", "14C"), ("2023-01-15", "2024-02-16"), ("10-20", "20-30"), ("1/2", "3/4"),
        ("3.4.2020", "4.5.2021"), ("SKU123", "SKU124"), ("02139", "10115"), ("5 kg", "300 g"),
        ("192.168.0.1", "10.0.0.7"), ("?", ""), ("<0.1", ">5"),
    ],
)  # fmt: skip
def test_codes_ranges_dates_and_several_units_are_no_numbers(cells):
    assert not holds_numbers(pl.Series(cells))


def test_numbers_written_otherwise_are_read_if_they_cannot_be_mistaken():
    points, commas = Writing(), Writing(decimal_comma=True)
    assert _read("1,5", "2.345,6", "1,234", "x", None, by=points) == [1.5, 2345.6, 1234, None, None]
    assert _read("1.5", "2,345.6", "1.234", "x", None, by=commas) == [1.5, 2345.6, 1234, None, None]


def test_another_unit_is_not_read_as_the_known_one():
    assert _read("5 kg", "5 g", "5", "5 Kgs", by=Writing(unit="kg")) == [5, None, 5, 5]
    assert _read("5k", "5", by=Writing(unit="k")) == [5, None]
    assert _read("5 mm", "5 %", "€5", by=Writing()) == [None, 5, 5]


def test_thousands_beside_a_rare_slip_stay_thousands():
    cells = [f"{n},{n:03}" for n in range(100, 250)]
    assert not way_of_writing(pl.Series([*cells, "1,5"])).decimal_comma
    assert way_of_writing(pl.Series([*cells[:9], "1,5"])).decimal_comma


def test_points_between_thousands_are_told_from_decimals():
    assert groups_by_points(pl.Series(["20.546", "1.230", "808", "117"]))
    assert not groups_by_points(pl.Series(["20.546", "1.230", "999"]))  # one code for a missing cell
    assert not groups_by_points(pl.Series(["1.333", "1.667", "2", "1", "100", "300"]))  # averages, rounded
    assert not groups_by_points(pl.Series(["20.546", "1.23", "808", "117"]))
    assert not groups_by_points(pl.Series(["20.546", "1.230", "1808", "117"]))
    assert not groups_by_points(pl.Series(["0.546", "1.230", "808", "117"]))


def test_the_share_of_numbers_counts_any_unit_and_ranges():
    assert share_of_numbers(pl.Series(["5 kg", "300 g", "a lot", "10-20"])) == 0.75


def test_numbers_with_another_unit_than_most_are_found():
    cells = pl.Series(["$5", "$6", "\u20ac7", "8", "none", None])
    assert other_units(cells).to_list()[:4] == [False, False, True, True]
    assert other_units(pl.Series(["5", "6", "7 kg"])).to_list() == [False, False, True]
