"""Numbers as people write them, in inputs and targets: decimal commas, thousands, currencies, units, times of day."""

from dataclasses import dataclass
from typing import final

import polars as pl

from netwright.kinds.cells import NEARLY_ALL, each_distinct, sample, words

TIME = ":"  # the unit of a column of times of day
CODE_LIKE = 0.01  # from this share of texts with a leading zero (zip codes), digits are names, not numbers
ROUNDED = 0.02  # decimals rounded to three digits lose a trailing zero in one cell of ten; thousands never do
WHOLE = 2  # distinct three-digit numbers without a point, beside 20.540: decimals would be 20.54, or 808.000 too

_EXPONENT = r"(?:[eE][+-]?\d+)?"
_GROUPED = r"\d{1,3}(?:[, ']\d{3})+|[1-9]\d?(?:,\d{2})+,\d{3}"  # 1,234 and 1 234; 12,34,567 as in India
_POINTS = r"[1-9]\d{0,2}(?:\.\d{3})+"  # 1.234
GROUPED = rf"^[+-]?{_POINTS}$"  # 20.546
_WITH_POINT = rf"^[+-]?(?:\d+\.?\d*|\.\d+|(?:{_GROUPED})(?:\.\d+)?){_EXPONENT}$"
_WITH_COMMA = rf"^[+-]?(?:\d+|\d{{1,3}}(?:[. ']\d{{3}})+)?(?:,\d+)?{_EXPONENT}$"
# What cannot be read the other way: 3.14 and 1,234.5, but not 1.234; 3,14 and 1.234,5, but not 1,234.
_SURE_POINT = r"^[+-]?(?:0?\.\d+|0\.\d+|\d+\.(?:\d{1,2}|\d{4,})|\d{4,}\.\d+|\d{1,3}(?:[, ']\d{3})+\.\d+)$"
_SURE_COMMA = r"^[+-]?(?:0?,\d+|\d+,(?:\d{1,2}|\d{4,})|\d{4,},\d+|\d{1,3}(?:[. ']\d{3})+,\d+)$"
_MAYBE_COMMA = r"^[+-]?[1-9]\d{0,2},\d{3}$"

_SIGNS = ("$", "€", "£", "¥", "₹", "%")  # read in any column, as a unit of the number beside them
_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|TRY|ZAR|KRW|MXN"
_TIMES_MORE = ("k", "m", "b", "t", "bn", "mn", "mio", "mrd", "lakh", "crore")  # 5k beside 300 is not 5 beside 300
_BODY = rf"\d(?:[\d.,' ]*\d)?\.?{_EXPONENT}|[.,]\d+{_EXPONENT}"
_CELL = rf"^([+-]?)\s*([$€£¥₹]|(?:{_CODES}))?\s*([+-]?)\s*({_BODY})\s*([\p{{L}}%‰°$€£¥₹\"'][^\s]*(?: \p{{L}}+)?)?$"
_FIGURE = r"\p{N}|(?i:inf)"  # in every cell that can be read as a number
_RANGE = r"^\d[\d.,]*\s*(?:-|\u{2013}|to)\s*\d[\d.,]*$"  # 10-20
_CLOCK = r"(?i)^(\d{1,3}):([0-5]\d)(?::([0-5]\d(?:[.,]\d+)?))?\s*([ap])?\.?m?\.?$"


@final
@dataclass(frozen=True)
class Writing:
    """How the numbers of a column are written."""

    decimal_comma: bool = False  # 1.234,5
    unit: str = ""  # beside nearly all numbers: "kg", "%", "EUR"; ":" for times of day, read as seconds

    def remarks(self) -> tuple[str, ...]:
        """What is not plain about it: `decimal comma`, `in kg`."""
        unit = "times of day in seconds" if self.unit == TIME else f"in {self.unit}" if self.unit else ""
        comma = "decimal comma or points between thousands" if self.decimal_comma else ""
        return tuple(remark for remark in (comma, unit) if remark)


def way_of_writing(cells: pl.Series) -> Writing:
    """How a column of text writes its numbers; the default for other columns."""
    if cells.dtype != pl.String:
        return Writing()
    present = tidy(sample(cells)).drop_nulls()
    if present.is_empty():
        return Writing()
    if int(present.str.contains(_CLOCK).sum()) >= NEARLY_ALL * len(present):
        return Writing(unit=TIME)
    parts = _parts(present)
    numbers = parts["number"].drop_nulls()
    return Writing(_has_decimal_comma(numbers), _common(parts["unit"].drop_nulls(), len(numbers)))


def read_text(cells: pl.Series, writing: Writing) -> pl.Series:
    """Float64; null if a cell is missing or not a number written in this way, or in one that cannot be mistaken."""
    if writing.decimal_comma or writing.unit:
        return each_distinct(cells, lambda c: _read(c, writing))
    values = cells.cast(pl.Float64, strict=False)
    hard = (values.is_null() & cells.is_not_null()).arg_true()  # usually few: the fast cast reads the rest
    if hard.is_empty():
        return values
    return values.scatter(hard, each_distinct(cells.gather(hard), lambda c: _read(c, writing)))


def written_otherwise(cells: pl.Series, writing: Writing) -> pl.Series:
    """Which cells have another decimal sign or unit than the column: a mask."""
    none = cells.is_null() & False
    if writing.unit == TIME:
        return none
    if cells.dtype != pl.String:
        return cells.is_not_null() if writing.unit else none
    if writing.decimal_comma or writing.unit:
        return each_distinct(cells, lambda some: _otherwise(some, writing))
    hard = (cells.cast(pl.Float64, strict=False).is_null() & cells.is_not_null()).arg_true()
    return none if hard.is_empty() else none.scatter(hard, _otherwise(cells.gather(hard), writing))


def _otherwise(cells: pl.Series, writing: Writing) -> pl.Series:
    parts = _parts(tidy(cells))
    sign = parts["number"].str.contains(_SURE_POINT if writing.decimal_comma else _SURE_COMMA)
    unit = each_distinct(parts["unit"], _same_units).fill_null("") != _same_unit(writing.unit)
    return (sign | unit).fill_null(False)


def holds_numbers(cells: pl.Series) -> bool:
    """Whether a column of text nearly always holds numbers, written in one way."""
    few = sample(cells)
    if not few.str.contains(_FIGURE).any():
        return False  # at once, for columns of words
    present = words(few).drop_nulls()
    if int(present.str.contains(_FIGURE).sum()) < NEARLY_ALL * len(present):
        return False
    writing = way_of_writing(present)
    has_zeros = int(present.str.contains(r"^[+-]?0\d").sum()) >= CODE_LIKE * len(present)
    if has_zeros and writing.unit != TIME:
        return False
    return int(read_text(present, writing).is_not_null().sum()) >= NEARLY_ALL * len(present)


def share_of_numbers(cells: pl.Series) -> float:
    """The share of a text column's cells that hold a number or a range of numbers, with any unit."""
    present = tidy(sample(cells)).drop_nulls()
    holds = _parts(present)["number"].is_not_null() | present.str.contains(_RANGE)
    return int(holds.sum()) / max(len(present), 1)


def other_units(cells: pl.Series) -> pl.Series:
    """Which numbers in a column of text have another unit than most, or lack it: a mask."""
    parts = _parts(tidy(cells))
    units = each_distinct(parts["unit"], _same_units).fill_null("")
    numbers = parts["number"].is_not_null()
    usual = units.filter(numbers).mode().sort()
    return numbers & (units != usual[0]) if len(usual) else numbers


def foreign_units(cells: pl.Series) -> pl.Series:
    """The unit of each number in a column of text that has another one than most that have one; else null."""
    units = each_distinct(_parts(tidy(cells))["unit"], _same_units)
    usual = units.drop_nulls().mode().sort()
    return units.set((units == usual[0]).fill_null(False), None) if len(usual) else units


def groups_by_points(cells: pl.Series) -> bool:
    """Whether points part thousands in a column of text, as in 20.546 beside 808: then no cell has decimals."""
    texts = cells.drop_nulls()
    if not texts.str.contains(GROUPED).any():
        return False  # at once, for columns of decimals
    pointed = texts.str.contains(".", literal=True)
    groups, others = texts.filter(pointed), texts.filter(~pointed)
    if not groups.str.contains(GROUPED).all():
        return False
    if not others.str.contains(r"^[+-]?\d{1,3}$").all():
        return False
    if groups.str.contains(r"\..*\.").any():
        return True
    whole = others.filter(others.str.contains(r"^[+-]?\d{3}$")).n_unique()  # one alone may be a code, such as 999
    return bool(groups.str.ends_with("0").any()) and whole >= WHOLE


def tidy(cells: pl.Series) -> pl.Series:
    """Stripped text with plain spaces, minus signs and apostrophes, (5) as -5; null if missing."""
    bare = words(cells)
    if (bare.str.len_bytes() > bare.str.len_chars()).any():
        bare = bare.str.replace_all(r"[\u{b4}\u{2019}\u{2032}]", "'").str.normalize("NFKC")
        bare = bare.str.replace_all(r"[\u{2010}-\u{2013}\u{2212}]", "-")
    return bare.str.replace(r"^\(([^()+-]*)\)$", "-$1")


def _read(cells: pl.Series, writing: Writing) -> pl.Series:
    texts = tidy(cells)
    if writing.unit == TIME:
        return _seconds(texts).alias(cells.name)
    parts = _parts(texts)
    own = _same_unit(writing.unit)
    unit = each_distinct(parts["unit"], _same_units)
    known = unit.is_in([own, *_SIGNS]) if own else unit.is_in(list(_SIGNS))
    if own not in _TIMES_MORE:
        known |= unit.is_null()
    numbers = _numbers(parts["number"], decimal_comma=writing.decimal_comma)
    return numbers.set(~known.fill_null(own not in _TIMES_MORE), None).alias(cells.name)


def _parts(texts: pl.Series) -> pl.DataFrame:
    """The number and the unit of each cell, null if there is none; without spaces between sign and digits."""
    groups = texts.alias("cell").to_frame().select(pl.col("cell").str.extract_groups(_CELL).struct.unnest())
    groups.columns = ["sign", "before", "second", "body", "after"]
    signs = pl.concat_str("sign", "second", ignore_nulls=True)
    return groups.select(
        (signs + pl.col("body").str.strip_chars()).alias("number"),
        pl.coalesce("before", "after").alias("unit"),
    )


def _common(units: pl.Series, numbers: int) -> str:
    """The unit of nearly all numbers, as most write it; empty if there is none."""
    alike = units.filter(_same_units(units) == _same_unit(units.mode().sort()[0])) if len(units) else units
    return str(alike.mode().sort()[0]) if len(alike) and len(alike) >= NEARLY_ALL * numbers else ""


def _same_units(units: pl.Series) -> pl.Series:
    return units.map_elements(_same_unit, return_dtype=pl.String)


def _same_unit(unit: str) -> str:
    """Units that differ in nothing but case and plural are one: day, Days."""
    lower = unit.lower().rstrip(".")
    return lower[:-1] if len(lower) > 2 and lower.endswith("s") else lower


def _numbers(texts: pl.Series, *, decimal_comma: bool) -> pl.Series:
    cell = pl.col("cell")
    point = pl.when(cell.str.contains(_WITH_POINT)).then(cell.str.replace_all(r"[, ']", ""))
    comma = pl.when(cell.str.contains(_WITH_COMMA)).then(
        cell.str.replace_all(r"[. ']", "").str.replace(",", ".", literal=True)
    )
    if decimal_comma:
        plain = pl.when(cell.str.contains(_SURE_POINT)).then(point).otherwise(comma)
    else:
        plain = pl.when(cell.str.contains(_SURE_COMMA)).then(comma).otherwise(point)
    return texts.alias("cell").to_frame().select(plain.cast(pl.Float64, strict=False)).to_series()


def _has_decimal_comma(numbers: pl.Series) -> bool:
    """Whether more cells surely have a decimal comma than surely a decimal point, or points part thousands."""
    comma, point = (int(numbers.str.contains(form).sum()) for form in (_SURE_COMMA, _SURE_POINT))
    unclear = int(numbers.str.contains(_MAYBE_COMMA).sum())
    return comma > max(point, ROUNDED * unclear) or (not comma and not point and groups_by_points(numbers))


def _seconds(texts: pl.Series) -> pl.Series:
    """Seconds since midnight of 7:30, 07:30:15 and 7:30 pm."""
    groups = texts.alias("cell").to_frame().select(pl.col("cell").str.extract_groups(_CLOCK).struct.unnest())
    groups.columns = ["hour", "minute", "second", "half"]
    hour, half = pl.col("hour").cast(pl.Float64), pl.col("half").str.to_lowercase()
    hour = pl.when(half.is_null()).then(hour).otherwise(hour % 12 + 12 * (half == "p"))
    second = pl.col("second").str.replace(",", ".", literal=True).cast(pl.Float64).fill_null(0.0)
    return groups.select(hour * 3600 + pl.col("minute").cast(pl.Float64) * 60 + second).to_series()
