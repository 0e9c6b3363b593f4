"""Logistic regression or ridge on plain features of every column."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from netwright.baselines.constant import batch_rows
from netwright.records.batch import Examples, Rows
from netwright.records.schema import Block, Schema
from netwright.records.task import Scores, Task

MOST_ROWS = 20_000  # training rows used: seconds on one core
MOST_CELLS = 20_000_000  # rows x encoded cells: 80 MB, and seconds
STRENGTHS = (0.1, 1.0, 10.0)  # inverse penalties tried on held-out rows: a tenfold step shows the difference
TRIED = 5_000  # rows on which the penalty is chosen: which is best shows long before the fit is final
HELD_OUT = 0.2  # share of these that answers are measured on
ITERATIONS = 100  # of the solver; a baseline that has not settled by then is near enough
PIXELS = 32  # sides of images are averaged down to this
AVERAGED = 16  # images at once
SEEN = 2  # rows that a word or a pair of words has to be in
RARE = 1e-4  # probability of a class that the used rows lack

Matrix = Any  # numpy or scipy.sparse, (N, width): pyright knows no common type
Features = Callable[[Tensor], Matrix]
Answer = Callable[[Matrix], NDArray[np.float64]]
Fit = Callable[[Matrix, NDArray[Any], int, float], Answer]
"""(features, targets, outputs of the task, inverse penalty) -> what answers with the task's outputs, (N, outputs)."""


def linear(schema: Schema, task: Task, train: Examples, test: Examples) -> Scores | None:
    """Scores of a linear model of the encoded columns, its penalty chosen on held-out training rows.

    Numbers and dates scaled, categories one-hot, text as TF-IDF of words and pairs of words, images as pixels,
    sequences as one-hot letters by position, series by each channel's statistics. At most MOST_ROWS training rows.
    None for tasks whose targets are neither labels (B,), several labels (B, L), nor numbers (B,).
    """
    inputs, targets = _gather(train)
    fit = _fit_for(targets)
    if fit is None:
        return None
    features = [_FEATURES.get(b.fields[0].kind, _scaled)(b, x) for b, x in zip(schema.blocks, inputs, strict=True)]
    table = _joined(features, inputs)
    answer = _chosen(fit, table, targets[0].numpy(), task.constant(targets).shape[-1])
    score = task.score()
    for batch in test.batches(batch_rows(test), seed=None):
        score.add(torch.from_numpy(answer(_joined(features, batch.inputs))).float(), batch)
    return score.result()


def _gather(train: Examples) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Inputs and targets of at most MOST_ROWS rows, drawn by a fixed seed; fewer where rows are large."""
    first = next(train.batches(1, seed=None)).inputs
    most = max(1, min(MOST_ROWS, MOST_CELLS // sum(x.numel() for x in first)))
    chosen = np.zeros(len(train), dtype=np.bool_)
    chosen[np.random.default_rng(0).permutation(len(train))[:most]] = True
    inputs, targets, start = Rows(), Rows(), 0
    for batch in train.batches(batch_rows(train), seed=None):
        rows = torch.from_numpy(chosen[start : start + len(batch)])
        inputs.add(tuple(x[rows] for x in batch.inputs))
        targets.add(tuple(t[rows] for t in batch.targets))
        start += len(batch)
    return inputs.joined(), targets.joined()


def _joined(features: Sequence[Features], inputs: Sequence[Tensor]) -> Matrix:
    from scipy.sparse import csr_array, hstack, issparse

    parts = [feature(x) for feature, x in zip(features, inputs, strict=True)]
    if not any(issparse(part) for part in parts):
        return np.concatenate(parts, axis=1).astype(np.float32)  # solved in half the time of float64
    return hstack([csr_array(part) for part in parts], format="csr")


def _fit_for(targets: tuple[Tensor, ...]) -> Fit | None:
    if len(targets) != 1:
        return None
    if targets[0].is_floating_point():
        return {1: _fit_numbers, 2: _fit_labels}.get(targets[0].ndim)
    return _fit_classes if targets[0].ndim == 1 else None


def _chosen(fit: Fit, table: Matrix, targets: NDArray[Any], outputs: int) -> Answer:
    """The model of all rows with the penalty that answers held-out rows best, in the loss that it is fitted by."""
    rows = np.random.default_rng(0).permutation(len(targets))[:TRIED]
    held = rows[: round(len(rows) * HELD_OUT)]
    fitted = rows[len(held) :]
    if len(held) == 0:
        return fit(table, targets, outputs, 1.0)
    losses = [
        _loss(fit(table[fitted], targets[fitted], outputs, strength)(table[held]), targets[held])
        for strength in STRENGTHS
    ]
    return fit(table, targets, outputs, STRENGTHS[int(np.argmin(losses))])


def _loss(outputs: NDArray[np.float64], targets: NDArray[Any]) -> float:
    given, wanted = torch.from_numpy(outputs), torch.from_numpy(targets)
    if not wanted.is_floating_point():
        return float(F.cross_entropy(given, wanted))
    if wanted.ndim == 2:
        return float(F.binary_cross_entropy_with_logits(given, wanted.double()))
    return float(F.mse_loss(given[:, 0], wanted.double()))


def _fit_classes(table: Matrix, targets: NDArray[Any], outputs: int, strength: float) -> Answer:
    """Log-probabilities, which are logits too."""
    seen = np.unique(targets)
    floor = np.log(RARE)
    if len(seen) == 1:
        only = np.full((1, outputs), floor)
        only[0, seen[0]] = 0.0
        return lambda x: np.repeat(only, x.shape[0], axis=0)
    model = _logistic(table, targets, strength)

    def answer(x: Matrix) -> NDArray[np.float64]:
        logs = np.full((x.shape[0], outputs), floor)
        given = torch.from_numpy(model.decision_function(x)).double()
        given = given if given.ndim == 2 else torch.stack([torch.zeros_like(given), given], dim=1)
        logs[:, seen] = given.log_softmax(1).numpy()  # exact where a float32 probability is rounded to 0
        return logs

    return answer


def _fit_labels(table: Matrix, targets: NDArray[Any], outputs: int, strength: float) -> Answer:
    """Log odds of each label; of one that all rows or none have, the log odds of RARE."""
    models: list[Any] = [
        _logistic(table, column, strength) if 0 < column.sum() < len(column) else float(np.sign(column[0] - 0.5))
        for column in targets.T
    ]
    sure = -np.log(RARE)

    def answer(x: Matrix) -> NDArray[np.float64]:
        each = [
            np.full(x.shape[0], model * sure) if isinstance(model, float) else model.decision_function(x)
            for model in models
        ]
        return np.stack(each, axis=1)

    return answer


def _fit_numbers(table: Matrix, targets: NDArray[Any], outputs: int, strength: float) -> Answer:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1 / strength).fit(table, targets.astype(np.float64))
    return lambda x: np.asarray(model.predict(x), dtype=np.float64)[:, None]


def _logistic(table: Matrix, targets: NDArray[Any], strength: float) -> Any:  # Any: scikit-learn has no types
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ITERATIONS is a bound on time
        return LogisticRegression(C=strength, max_iter=ITERATIONS).fit(table, targets)


def _scaled(block: Block, train: Tensor) -> Features:
    """Flattened, the median where missing, scaled; and a column for each that has gaps in training."""
    x = _floats(train)
    gaps = np.flatnonzero(np.isnan(x).any(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without a number: filled by 0
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
