"""A quick model of the data, for checks of where and how well the target can be predicted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netwright.checks.data.encoded import blocks
from netwright.checks.evidence import DataEvidence, Skip
from netwright.machine.threads import one_blas_thread
from netwright.records.features import dense
from netwright.simple_models import perceptron, trees
from netwright.simple_models.wanted import Wanted

MOST_ROWS = 20_000  # of a table: a boosted forest learns from them in about a second
MOST_LARGE = 6_000  # pictures, texts and series, from which a dense network learns in a second or two
LEAST_ROWS = 60  # to fit anything
MOST_CLASSES = 50
FOLDS = 3
MOST_FEATURES = 1_200  # per block: color pictures of 20 x 20, the most frequent words
MOST_CELLS = 20_000_000  # encoded, that features are learned from: 80 MB
AT_ONCE = 256  # rows
TABLE = ("numbers", "labels", "dates")  # families of cells that trees read as they are

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Quick:
    """Features and targets of some rows, and a model that fits in about a second."""

    x: Numbers  # (rows, features) float32
    y: Numbers  # classes, or numbers in standard deviations
    rows: Numbers  # of the data
    is_table: bool

    @property
    def is_classes(self) -> bool:
        """Whether the target is a class."""
        return self.y.dtype.kind in "iu"

    @property
    def chance(self) -> float:
        """The mean error of the best constant answer."""
        if self.is_classes:
            return 1 - np.unique(self.y, return_counts=True)[1].max() / len(self.y)
        return float(np.abs(self.y - np.median(self.y)).mean())

    def errors(self, train: Numbers, held: Numbers, seed: int = 0) -> Numbers:
        """Of a model trained on `train` positions, for each held-out one: 1 if the class is wrong, or the distance."""
        wanted, truth = self.wanted(train), self.y[held]
        # Batches of 64 rows are too small to share: on a busy machine two threads that wait for each other took 19
        # times the processor time of one.
        with one_blas_thread():
            if self.is_table:
                least = min(20, max(2, len(train) // 20))  # rows; with 20 in each, few rows could not be split at all
                answer = trees.fit(self.x[train], wanted, seed, rounds=60, bins=63, least=least)
            else:
                answer = perceptron.fit(self.x[train], wanted, seed)
            if answer is None:
                raise Skip("the quick model cannot learn such targets")
            given = answer(self.x[held]).numpy()
        if self.is_classes:
            return (given.argmax(1) != truth).astype(np.float64)
        return np.abs(given[:, 0] - truth).astype(np.float64)

    def wanted(self, train: Numbers) -> Wanted:
        """The targets of some positions."""
        y = self.y[train]
        return Wanted.classes(y, int(self.y.max()) + 1) if self.is_classes else Wanted.numbers(y)


def quick(evidence: DataEvidence) -> Quick:
    """At most MOST_ROWS or MOST_LARGE rows of all parts. Raises Skip if the target is neither a class nor a number."""
    prepared = evidence.prepared
    if prepared is None:
        raise Skip(evidence.problem or "the data cannot be encoded")
    is_table = all(field.family in TABLE for field in prepared.schema.inputs)
    index = np.concatenate([part.rows.cpu().numpy() for part in (prepared.train, prepared.valid, prepared.test)])
    most = MOST_ROWS if is_table else MOST_LARGE
    rows = np.random.default_rng(evidence.seed).permutation(index)[:most]
    targets = prepared.whole.targets(torch.from_numpy(rows))
    if len(targets) != 1 or targets[0].ndim != 1:
        raise Skip("the target is neither one class nor one number per row")
    y = targets[0].cpu().numpy()
    if len(rows) < LEAST_ROWS:
        raise Skip(f"fewer than {LEAST_ROWS} rows")
    if y.dtype.kind in "iu" and len(np.unique(y)) > MOST_CLASSES:
        raise Skip(f"more than {MOST_CLASSES} classes")
    return Quick(_features(evidence, rows, is_table=is_table), y, rows, is_table)


def out_of_fold(evidence: DataEvidence) -> Numbers:
    """Errors for each of the quick model's rows, by models that did not learn from it."""
    model = evidence.once(quick)
    fold = np.arange(len(model.rows)) % FOLDS  # the rows are in random order
    errors = np.empty(len(model.rows))
    for number in range(FOLDS):
        train, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if model.is_classes and len(np.unique(model.y[train])) < 2:
            raise Skip("one class only")
        errors[held] = model.errors(train, held, evidence.seed)
    return errors


def _features(evidence: DataEvidence, rows: Numbers, *, is_table: bool) -> Numbers:
    """Tables as they are encoded, since trees accept gaps; else the features of simple models."""
    index, parts = torch.from_numpy(rows), list[Numbers]()
    for block, column in blocks(evidence):
        if is_table:
            parts.append(column(index).cpu().reshape(len(rows), -1).numpy())
            continue
        cells = max(1, column(index[:1]).numel())
        read = block.features(column(index[: max(1, MOST_CELLS // cells)]).cpu(), MOST_FEATURES)
        parts.append(np.concatenate([dense(read(column(part).cpu())) for part in index.split(AT_ONCE)]))
    return np.concatenate(parts, axis=1, dtype=np.float32)
