"""Rows as plain columns: what simple models learn from, and what a person can name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ALL = 2**31  # columns: all that a kind has

Matrix = Any  # numpy or scipy.sparse, (N, width): pyright knows no common type
Features = Callable[[Tensor], Matrix]
"""Encoded cells of a block -> (N, width), for models other than networks; learned from training rows."""
Numbers = NDArray[Any]


@dataclass(frozen=True)
class Summary:
    """A number or a category of each row."""

    name: str  # "age", "brightness of image"; empty if only classifiers use it
    column: str  # of the data
    values: Numbers  # (rows,), NaN if missing; positions in `labels` if it has labels
    labels: tuple[str, ...] = ()
    is_date: bool = False  # days since 1970


def take(columns: Sequence[Summary], rows: Numbers) -> list[Summary]:
    """Some of the rows."""
    return [replace(c, values=c.values[rows]) for c in columns]


def matrix(columns: Sequence[Summary]) -> Numbers:
    """(rows, columns) float32 for classifiers."""
    return np.stack([c.values.astype(np.float32) for c in columns], axis=1)


def side_by_side(parts: Sequence[Matrix]) -> Matrix:
    """The features of several blocks."""
    from scipy.sparse import csr_array, hstack, issparse

    if not any(issparse(part) for part in parts):
        return np.concatenate(parts, axis=1).astype(np.float32)  # solved in half the time of float64
    return hstack([csr_array(part) for part in parts], format="csr")


def dense(x: Matrix) -> NDArray[np.float32]:
    """As an array, for models that take no sparse matrices."""
    return np.asarray(x if isinstance(x, np.ndarray) else x.toarray(), np.float32)


def scaled(train: Tensor) -> Features:
    """Flattened, imputed by the median and scaled, plus an indicator for each column with gaps in training."""
    x = floats(train)
    gaps = np.flatnonzero(np.isnan(x).any(0))
    known = np.flatnonzero(~np.isnan(x).all(0))  # a column of NaN is filled with 0
    median = np.zeros(x.shape[1])
    median[known] = np.nanmedian(x[:, known], axis=0) if len(x) else 0.0
    filled = np.where(np.isnan(x), median, x)
    mean, spread = filled.mean(0), filled.std(0)
    scale = np.where(spread > 0, spread, 1.0)

    def features(cells: Tensor) -> NDArray[np.float64]:
        x = floats(cells)
        missing = np.isnan(x)
        return np.concatenate([(np.where(missing, median, x) - mean) / scale, missing[:, gaps]], axis=1)

    return features


def floats(cells: Tensor) -> NDArray[np.float64]:
    """(N, width), flat."""
    return cells.reshape(len(cells), -1).double().numpy()


def moments(of: str, column: str, x: Tensor, known: Tensor) -> Iterator[Summary]:
    """Mean, spread, least and greatest value of each row; NaN if the row is empty."""
    count = known.sum(1)
    filled = torch.where(known, x, 0.0)
    mean = filled.sum(1) / count
    spread = (((filled - mean[:, None]) * known) ** 2).sum(1).div(count).sqrt()
    least, greatest = torch.where(known, x, torch.inf).amin(1), torch.where(known, x, -torch.inf).amax(1)
    for what, values in {"mean": mean, "spread": spread, "least": least, "greatest": greatest}.items():
        yield Summary(f"{what} of {of}", column, torch.where(count > 0, values, torch.nan).numpy())
