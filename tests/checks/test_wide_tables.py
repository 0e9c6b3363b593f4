"""Sizes at which a step over all pairs of columns would take hours, or more memory than there is."""

import numpy as np

from netwright.checks.data.formulas import _best_sets
from netwright.checks.data.near import COLUMN_PAIRS, _drawn_pairs
from netwright.checks.data.useless import AT_ONCE, _alike

GENERATOR = np.random.default_rng(0)


def test_pairs_of_columns_are_drawn_without_listing_all():
    pairs = _drawn_pairs(1_000_000, GENERATOR)
    assert len(pairs) == COLUMN_PAIRS
    assert all(first != second and max(first, second) < 1_000_000 for first, second in pairs)


def test_formulas_are_searched_among_the_most_predictive_of_many_columns():
    x = GENERATOR.normal(size=(100_000, 20))
    assert _best_sets(x, x[70_000] + x[80_000], 2)[0] == (70_000, 80_000)


def test_parallel_rows_are_found_across_blocks_in_order():
    x = GENERATOR.normal(size=(3 * AT_ONCE, 60))
    x[AT_ONCE + 7], x[2 * AT_ONCE] = x[5], x[AT_ONCE + 9]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert list(_alike(x)) == [(5, AT_ONCE + 7), (AT_ONCE + 9, 2 * AT_ONCE)]
