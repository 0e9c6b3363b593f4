"""Columns of each kind for simple models: one-hot codes, pixels, statistics of steps, words."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from netwright.records.features import Features, Matrix, floats, scaled

PIXELS = 32  # images are averaged down to this many pixels a side
AVERAGED = 16  # images at once
SEEN = 2  # least number of rows with a word or a pair of words


def one_hot(cells: Tensor, sizes: Sequence[int]) -> Matrix:
    """(N, columns) codes; every column has its own part, of its size."""
    from scipy.sparse import csr_array

    rows, columns = cells.shape
    places = cells.numpy().astype(np.int64) + np.cumsum([0, *sizes[:-1]])
    starts = np.arange(rows + 1) * columns
    return csr_array((np.ones(rows * columns), places.ravel(), starts), shape=(rows, sum(sizes)))


def symbols(size: int, most: int) -> Features:
    """One-hot by position; only the first positions if all would take more than `most` columns."""

    def read(cells: Tensor) -> Matrix:
        first = cells[:, : max(1, most // size)]
        return one_hot(first, [size] * first.shape[1])

    return read


def pixels(channels: int, most: int) -> Features:
    """Pixels from 0 to 1, on a common scale, averaged to PIXELS x PIXELS or fewer."""
    side = min(PIXELS, max(1, int((most / channels) ** 0.5)))

    def read(cells: Tensor) -> NDArray[np.float64]:
        size = (min(side, cells.shape[-2]), min(side, cells.shape[-1]))
        if cells.shape[-2:] == size:
            return floats(cells.float() / 255)
        parts = cells.split(AVERAGED)  # all at once, floats would take four times the memory of the bytes
        return floats(torch.cat([F.adaptive_avg_pool2d(part.float() / 255, size) for part in parts]))

    return read


def statistics(train: Tensor) -> Features:
    """Mean, spread, least, greatest, first and last value of each channel, and the length; scaled."""
    read = scaled(_of_steps(train))
    return lambda cells: read(_of_steps(cells))


def _of_steps(cells: Tensor) -> Tensor:
    """(N, T, C), NaN if missing -> (N, 6 * C + 1)."""
    known = ~cells.isnan()
    count = known.sum(1)
    filled = cells.nan_to_num(0.0)
    mean = torch.where(count > 0, filled.sum(1) / count, torch.nan)
    spread = (((filled - mean[:, None]) * known) ** 2).sum(1).div(count).sqrt()
    least = torch.where(known, cells, torch.inf).amin(1)
    greatest = torch.where(known, cells, -torch.inf).amax(1)
    steps = torch.arange(cells.shape[1])[None, :, None]
    first = torch.where(known, steps, cells.shape[1] - 1).amin(1, keepdim=True)
    last = torch.where(known, steps, 0).amax(1, keepdim=True)
    ends = torch.cat([cells.gather(1, first), cells.gather(1, last)], dim=1).flatten(1)
    length = (known.any(2) * (steps[..., 0] + 1)).amax(1, keepdim=True)
    parts = torch.cat([mean, spread, least, greatest, ends, length], dim=1)
    return torch.where(parts.isinf(), torch.nan, parts)


def words(train: Tensor, size: int, most: int) -> Features:
    """TF-IDF of the words and pairs of words that are in SEEN or more rows; at most the `most` most frequent."""
    from sklearn.feature_extraction.text import TfidfTransformer

    grams, rows = _grams(train, size)
    known, inverse = np.unique(grams, return_inverse=True)
    in_rows = np.bincount(np.unique(np.stack([rows, inverse]), axis=1)[1], minlength=len(known))
    kept = in_rows >= SEEN
    if kept.sum() > most:
        kept[np.argsort(-in_rows, kind="stable")[most:]] = False
    known = known[kept]
    weigh = TfidfTransformer(sublinear_tf=True).fit(_counts(train, size, known))
    return lambda cells: weigh.transform(_counts(cells, size, known))


def _grams(cells: Tensor, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of all words and pairs of words, and the row of each; without padding."""
    x = cells.numpy().astype(np.int64)
    rows, steps = np.nonzero(x)
    single = x[rows, steps]
    paired = (steps[1:] == steps[:-1] + 1) & (rows[1:] == rows[:-1])
    pairs = (single[:-1] * size + single[1:] + size)[paired]  # after the single words' numbers
    return np.concatenate([single, pairs]), np.concatenate([rows, rows[1:][paired]])


def _counts(cells: Tensor, size: int, known: NDArray[np.int64]) -> Matrix:
    from scipy.sparse import csr_array

    grams, rows = _grams(cells, size)
    places = np.minimum(np.searchsorted(known, grams), max(len(known) - 1, 0))
    found = known[places] == grams if len(known) else np.zeros(len(grams), dtype=np.bool_)
    ones = np.ones(int(found.sum()))
    return csr_array((ones, (rows[found], places[found])), shape=(len(cells), max(len(known), 1)))
