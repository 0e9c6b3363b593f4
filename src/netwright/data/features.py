"""Plain features of encoded columns, for models that are no networks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from netwright.machine.quiet import without_warnings
from netwright.records.schema import Block, Schema

PIXELS = 32  # sides of images are averaged down to this
AVERAGED = 16  # images at once
SEEN = 2  # rows that a word or a pair of words has to be in

Matrix = Any  # numpy or scipy.sparse, (N, width): pyright knows no common type
Features = Callable[[Tensor], Matrix]


def features(schema: Schema, inputs: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Matrix]:
    """What turns encoded columns into a matrix (N, width), its scales and vocabularies learned from `inputs`.

    Numbers and dates scaled, categories one-hot, text as TF-IDF of words and pairs of words, images as pixels,
    sequences as one-hot letters by position, series by each channel's statistics.
    """
    parts = [_FEATURES.get(b.fields[0].kind, _scaled)(b, x) for b, x in zip(schema.blocks, inputs, strict=True)]
    return lambda columns: _joined(parts, columns)


def _joined(features: Sequence[Features], inputs: Sequence[Tensor]) -> Matrix:
    from scipy.sparse import csr_array, hstack, issparse

    parts = [feature(x) for feature, x in zip(features, inputs, strict=True)]
    if not any(issparse(part) for part in parts):
        return np.concatenate(parts, axis=1).astype(np.float32)  # solved in half the time of float64
    return hstack([csr_array(part) for part in parts], format="csr")


def _scaled(block: Block, train: Tensor) -> Features:
    """Flattened, the median where missing, scaled; and a column for each that has gaps in training."""
    x = _floats(train)
    gaps = np.flatnonzero(np.isnan(x).any(0))
    with without_warnings(RuntimeWarning):  # of columns without a number: filled by 0
        median = np.nan_to_num(np.nanmedian(x, axis=0)) if len(x) else np.zeros(x.shape[1])
    filled = np.where(np.isnan(x), median, x)
    mean, spread = filled.mean(0), filled.std(0)
    scale = np.where(spread > 0, spread, 1.0)

    def features(cells: Tensor) -> NDArray[np.float64]:
        x = _floats(cells)
        missing = np.isnan(x)
        return np.concatenate([(np.where(missing, median, x) - mean) / scale, missing[:, gaps]], axis=1)

    return features


def _floats(cells: Tensor) -> NDArray[np.float64]:
    return cells.reshape(len(cells), -1).double().numpy()


def _categories(block: Block, train: Tensor) -> Features:
    """One-hot; every column has its own part."""
    return lambda cells: _one_hot(cells, [int(field.high) + 1 for field in block.fields])


def _symbols(block: Block, train: Tensor) -> Features:
    """One-hot by position."""
    return lambda cells: _one_hot(cells, [int(block.fields[0].high) + 1] * cells.shape[1])


def _one_hot(cells: Tensor, sizes: Sequence[int]) -> Matrix:
    from scipy.sparse import csr_array

    rows, columns = cells.shape
    places = cells.numpy().astype(np.int64) + np.cumsum([0, *sizes[:-1]])
    starts = np.arange(rows + 1) * columns
    return csr_array((np.ones(rows * columns), places.ravel(), starts), shape=(rows, sum(sizes)))


def _pixels(block: Block, train: Tensor) -> Features:
    """Pixels of 0 to 1 on a common scale, averaged to PIXELS x PIXELS where the image is larger."""

    def features(cells: Tensor) -> NDArray[np.float64]:
        size = (min(PIXELS, cells.shape[-2]), min(PIXELS, cells.shape[-1]))
        if cells.shape[-2:] == size:
            return _floats(cells.float() / 255)
        parts = cells.split(AVERAGED)  # as floats, all at once would take four times the memory of the bytes
        return _floats(torch.cat([F.adaptive_avg_pool2d(part.float() / 255, size) for part in parts]))

    return features


def _statistics(block: Block, train: Tensor) -> Features:
    """Mean, spread, least, greatest, first and last value of each channel, and the length; scaled."""
    scaled = _scaled(block, _summary(train))
    return lambda cells: scaled(_summary(cells))


def _summary(cells: Tensor) -> Tensor:
    """(N, T, C), NaN where missing -> (N, 6 * C + 1)."""
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


def _words(block: Block, train: Tensor) -> Features:
    """TF-IDF of the words and pairs of words that SEEN or more rows hold."""
    from sklearn.feature_extraction.text import TfidfTransformer

    size = int(block.fields[0].high) + 1
    grams, rows = _grams(train, size)
    known, inverse = np.unique(grams, return_inverse=True)
    in_rows = np.bincount(np.unique(np.stack([rows, inverse]), axis=1)[1], minlength=len(known))
    known = known[in_rows >= SEEN]
    weigh = TfidfTransformer(sublinear_tf=True).fit(_counts(train, size, known))
    return lambda cells: weigh.transform(_counts(cells, size, known))


def _grams(cells: Tensor, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of all words and pairs of words, and the row of each; padding left out."""
    x = cells.numpy().astype(np.int64)
    rows, steps = np.nonzero(x)
    words = x[rows, steps]
    paired = (steps[1:] == steps[:-1] + 1) & (rows[1:] == rows[:-1])
    pairs = (words[:-1] * size + words[1:] + size)[paired]  # behind the single words' numbers
    return np.concatenate([words, pairs]), np.concatenate([rows, rows[1:][paired]])


def _counts(cells: Tensor, size: int, known: NDArray[np.int64]) -> Matrix:
    from scipy.sparse import csr_array

    grams, rows = _grams(cells, size)
    places = np.minimum(np.searchsorted(known, grams), max(len(known) - 1, 0))
    found = known[places] == grams if len(known) else np.zeros(len(grams), dtype=np.bool_)
    ones = np.ones(int(found.sum()))
    return csr_array((ones, (rows[found], places[found])), shape=(len(cells), max(len(known), 1)))


_FEATURES: dict[str, Callable[[Block, Tensor], Features]] = {
    "number": _scaled,
    "date": _scaled,
    "category": _categories,
    "text": _words,
    "sequence": _symbols,
    "image": _pixels,
    "series": _statistics,
}
