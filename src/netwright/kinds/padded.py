"""Rows of different lengths in one array."""

import numpy as np

from netwright.kinds.cells import Values

PADDING, UNKNOWN, FIRST = 0, 1, 2  # indexes of tokens: after the end, unknown, the most frequent


def padded(values: Values, lengths: Values, longest: int, *, blank: float = PADDING) -> Values:
    """(N, longest) of the values' type: `values` holds all rows one after the other, `blank` pads them."""
    rows = np.full((len(lengths), longest), blank, dtype=values.dtype)
    rows[np.arange(longest) < lengths[:, None]] = values
    return rows
