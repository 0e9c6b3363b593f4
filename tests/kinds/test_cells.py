import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import numpy as np
import polars as pl
import pytest

import netwright as nw
from netwright.kinds.category import Category
from netwright.kinds.cells import _quarters, words
from netwright.kinds.date import Date
from netwright.kinds.number import Number
from netwright.kinds.sequence import Sequence

COLORS = pl.Series("color", [" red", "green", "n/a", "blue "] * 50)


@contextmanager
def stripped() -> Generator[list[str]]:
    """The name of each column that is stripped."""
    names = list[str]()

    def see(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is words.__code__:
            names.append(frame.f_locals["cells"].name)

    sys.setprofile(see)
    try:
        yield names
    finally:
        sys.setprofile(None)


def test_a_column_of_words_is_recognized_without_stripping_its_cells():
    with stripped() as names:
        assert [kind.matches(COLORS) for kind in (Date, Number, Sequence, Category)] == [False, False, False, True]
    assert names == []


def test_an_audit_strips_a_column_of_words_once_for_its_checks_and_once_for_its_encoding():
    table = pl.DataFrame([COLORS, pl.Series("y", ["yes", "no", "no", "yes", "yes"] * 40)])
    with stripped() as names:
        nw.audit(table, target="y")
    assert names.count("color") == 2


def test_padded_and_missing_cells_are_no_part_of_what_a_column_is_recognized_by():
    assert Date.matches(pl.Series([" 2024-05-01 ", "2024-05-02", "n/a", "-", ""] * 4))
    assert Number.matches(pl.Series([" 3 ", "4.5", "n/a", "-", ""] * 4))
    assert not Number.matches(pl.Series(["n/a", "-", "", "none"] * 4))
    assert not Date.matches(pl.Series([], dtype=pl.String))
    assert not Number.matches(pl.Series([], dtype=pl.String))
    assert not Sequence.matches(pl.Series([], dtype=pl.String))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 97, 1000, 1001, 1002, 1003])
def test_quarters_are_numpys_quantiles_to_the_last_bit(count: int):
    generator = np.random.default_rng(count)
    for values in (generator.normal(size=count) * 1e9, generator.integers(0, 4, count).astype(np.float64)):
        assert _quarters(values) == np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
