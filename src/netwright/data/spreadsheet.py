"""Cells that a spreadsheet would compute, written so that it shows them: `=1+1` becomes `'=1+1`, and is read back.

A CSV says nothing of types: Excel, LibreOffice and others compute every cell that begins like a formula, also one that
came with somebody's data (OWASP, "CSV Injection"). An apostrophe goes before such cells, and before those that already
begin with apostrophes and a formula, so that taking one away always gives the cell back. Plain numbers stay.
"""

import re

import polars as pl

_FORMULA = r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"  # the last four: full width, which Excel computes too
_NUMBER = r"'*[+-][0-9.,]*[0-9][0-9.,]*(?:[eE][+-]?[0-9]+)?%?"
_STARTS, _IS_NUMBER = re.compile(_FORMULA), re.compile(_NUMBER)


def guarded(text: str) -> str:
    """The text of a cell as it is written."""
    return f"'{text}" if _is_formula(text) else text


def unguarded(text: str) -> str:
    """The text of a cell from how it is written."""
    return text[1:] if text.startswith("'") and _is_formula(text) else text


def guarded_table(table: pl.DataFrame) -> pl.DataFrame:
    """All cells of text, and the names of columns, as they are written."""
    texts = pl.col(pl.String)
    cells = pl.when(~_are_formulas(texts)).then(texts).otherwise(pl.lit("'") + texts)
    return table.with_columns(cells).rename(guarded)


def unguarded_texts(texts: pl.Expr) -> pl.Expr:
    """Cells of text from how they are written."""
    is_guarded = texts.str.starts_with("'") & _are_formulas(texts)
    return pl.when(~is_guarded).then(texts).otherwise(texts.str.slice(1))


def _is_formula(text: str) -> bool:
    return _STARTS.match(text) is not None and _IS_NUMBER.fullmatch(text) is None


def _are_formulas(texts: pl.Expr) -> pl.Expr:
    return texts.str.contains(f"^{_RUST}") & ~texts.str.contains(f"^{_NUMBER}$")


_RUST = re.sub(r"\\u([0-9a-f]{4})", r"\\u{\1}", _FORMULA)  # how the regular expressions of polars write it
