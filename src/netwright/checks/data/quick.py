"""A quick model of the data, for checks that ask where and how well the target can be predicted at all."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from netwright.checks.data.encoded import Column, blocks
from netwright.checks.data.summaries import matrix, of_block
from netwright.checks.evidence import DataEvidence, Skip
from netwright.machine.quiet import without_warnings
from netwright.machine.threads import one_blas_thread
from netwright.records.schema import Block

MOST_ROWS = 20_000  # of a table: a boosted forest learns from them in about a second
MOST_LARGE = 6_000  # pictures, texts and series, from which a dense network learns in a second or two
LEAST_ROWS = 60  # to fit anything
MOST_CLASSES = 50
FOLDS = 3
PIXELS = 20  # sides of pictures are averaged down to this
WORDS = 2_000  # the most frequent ones
TABLE_KINDS = ("number", "category", "date", "tensor")

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Quick:
    """Features and targets of some rows, and a model that is fitted in about a second."""

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
        """The mean error of the best answer that is one for all rows."""
        if self.is_classes:
            return 1 - np.unique(self.y, return_counts=True)[1].max() / len(self.y)
        return float(np.abs(self.y - np.median(self.y)).mean())

    def errors(self, train: Numbers, held: Numbers, seed: int = 0) -> Numbers:
        """Of a model of the `train` positions, for each held one: 1 where the class is wrong, or the distance."""
        model = self._model(seed, len(train))
        # Batches of 64 rows are too small to share: on a crowded machine two threads that wait for each other took 19
        # times as much of the processor as one.
        with one_blas_thread(), without_warnings():  # of a network that has not settled: passes are a budget
            answers = model.fit(self.x[train], self.y[train]).predict(self.x[held])
        if self.is_classes:
            return (answers != self.y[held]).astype(np.float64)
        return np.abs(answers - self.y[held]).astype(np.float64)

    def _model(self, seed: int, count: int) -> Any:  # Any: scikit-learn has no types
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.neural_network import MLPClassifier, MLPRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if self.is_table:
            trees = HistGradientBoostingClassifier if self.is_classes else HistGradientBoostingRegressor
            leaf = min(20, max(2, count // 20))  # rows; with 20 in each, few rows cannot be parted at all
            return trees(
                max_iter=60, max_leaf_nodes=15, max_bins=63, learning_rate=0.1, min_samples_leaf=leaf, random_state=seed
            )
        dense: Any = MLPClassifier if self.is_classes else MLPRegressor
        network = dense(
            hidden_layer_sizes=(64,), batch_size=64, max_iter=12, learning_rate_init=2e-3, random_state=seed
        )
        return make_pipeline(StandardScaler(), network)


def quick(evidence: DataEvidence) -> Quick:
    """Of all parts' rows, at most MOST_ROWS or MOST_LARGE. Raises Skip where the target is no class and no number."""
    prepared = evidence.prepared
    if prepared is None:
        raise Skip(evidence.problem or "the data cannot be encoded")
    is_table = all(field.kind in TABLE_KINDS for field in prepared.schema.inputs)
    index = np.concatenate([part.rows.cpu().numpy() for part in (prepared.train, prepared.valid, prepared.test)])
    most = MOST_ROWS if is_table else MOST_LARGE
    rows = np.random.default_rng(evidence.seed).permutation(index)[:most]
    targets = prepared.whole.targets(torch.from_numpy(rows))
    if len(targets) != 1 or targets[0].ndim != 1:
        raise Skip("the target is neither one class nor one number for each row")
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
    parts = list[Numbers]()
    index = torch.from_numpy(rows)
    for block, column in blocks(evidence):
        kind = block.fields[0].kind
        if kind == "image":
            parts.append(_pixels(column, index))
        elif kind == "text":
            parts.append(_bag(block, column(index)))
        elif kind == "sequence":
            parts.append(_symbols(block, column(index)))
        else:
            parts.append(matrix(of_block(block, column(index).cpu())))
    x = np.concatenate(parts, axis=1)
    return x if is_table else np.nan_to_num(x)  # trees take gaps as they are


def _pixels(column: Column, index: Tensor) -> Numbers:
    height, width = column(index[:1]).shape[-2:]
    size = (min(PIXELS, height), min(PIXELS, width))
    parts = [F.adaptive_avg_pool2d(column(part).cpu().float() / 255, size) for part in index.split(256)]
    return torch.cat(parts).flatten(1).numpy()


def _bag(block: Block, cells: Tensor) -> Numbers:
    x = cells.cpu().numpy().astype(np.int64)
    width = min(WORDS, int(block.fields[0].high) + 1)
    bag = np.zeros((len(x), width), np.float32)
    rows, steps = np.nonzero((x > 0) & (x < width))
    np.add.at(bag, (rows, x[rows, steps]), 1)
    return np.log1p(bag)


def _symbols(block: Block, cells: Tensor) -> Numbers:
    """One-hot by position, of as many first positions as WORDS columns hold."""
    count = int(block.fields[0].high) + 1
    return F.one_hot(cells[:, : max(1, WORDS // count)].cpu().long(), count).flatten(1).float().numpy()
