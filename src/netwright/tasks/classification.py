"""One label for each example, out of two or many."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.models.network import joined
from netwright.records.batch import Batch
from netwright.records.errors import DataError, Unreadable, listed
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, Objective, Score, Task
from netwright.tasks import metrics
from netwright.tasks.cells import (
    as_labels,
    as_numbers,
    count_of,
    encoded_labels,
    hold_few_whole_numbers,
    hold_numbers,
    hold_pictures,
    only_column,
)
from netwright.tasks.losses import choose_loss, class_weights, over_members
from netwright.tasks.outputs import check_answers, check_outputs, infer

RARE = 0.5  # rows: what a class without a row counts in the best constant answer, whose logit is then finite
MOST_CLASSES = 100  # more are scored without AUC and confusion, which grow with the classes (and their square)


@final
@dataclass(frozen=True)
class Classification(Task):
    """Labels are text, sorted (numbers by size); `counts` are their training rows, empty where not known.

    Training watches the log loss: accuracy moves in steps of one row on a small validation part and is blind to a rare
    class, while log loss uses every row's probability and falls before the accuracy rises.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...] = ()

    name: ClassVar[str] = "classification"
    metric: ClassVar[str] = "log_loss"
    higher_is_better: ClassVar[bool] = False

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        """One column of text, truth values, categories, or few whole numbers: see `hold_few_whole_numbers`."""
        if cells.width != 1 or cells.to_series().dtype.is_nested() or hold_pictures(cells.to_series()):
            return False
        column = cells.to_series()
        return not column.dtype.is_temporal() and (not hold_numbers(column) or hold_few_whole_numbers(column))

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS) -> Self:
        """The labels and their counts. Raises DataError for missing labels, one class, or a label for every row."""
        column = only_column(cells, "classification")
        known = as_labels(column)
        if known.null_count():
            raise DataError(
                f"{column.name!r} holds no label in {count_of(known.null_count(), 'row')}",
                remedy="leave these rows out, or fill in their labels.",
            )
        counted = known.value_counts(name="count")
        _check_learnable(column.name, counted, len(known))
        numbers = as_numbers(counted[column.name])
        counted = counted.with_columns(number=numbers).sort(["number", column.name], nulls_last=True)
        return cls(tuple(counted[column.name]), tuple(counted["count"]))

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """(N,) int64 positions in `labels`; -1 where a label is missing or not among them (then Unreadable)."""
        column = only_column(cells, "classification")
        found = encoded_labels(column, self.labels)
        encoded = torch.from_numpy(found.fill_null(-1).to_numpy().copy())
        if found.null_count():
            bad = {row: f"the label is {column[row]!r}" for row in found.is_null().arg_true()}
            first = next(iter(bad))
            raise Unreadable(
                f"in {count_of(len(bad), 'row')} {column.name!r} holds no label that was learned: "
                f"the first is row {first}, {column[first]!r}",
                f"choose labels from {listed(self.labels)}.",
                encoded,
                bad,
            )
        return (encoded,)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """As many logits as labels, also for two."""
        return joined(schema, recipe, len(self.labels))

    def objective(self, recipe: Recipe) -> Objective:
        """Cross entropy or focal loss, smoothed and weighted as the recipe says."""
        loss = choose_loss(recipe, ("cross_entropy", "focal"), self.name)
        weights = class_weights(recipe, self.counts, self.name)

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            outputs = check_outputs(network(*batch.inputs), batch, len(self.labels), self.describe())
            targets = _flat(batch)
            each = over_members(loss, outputs, targets)
            return each if weights is None else each * weights.to(each.device)[targets]

        return losses

    def score(self) -> Score:
        """log_loss, accuracy, balanced_accuracy, f1, auc, average_precision (two classes), calibration_error.

        With two classes f1, auc and average_precision are about the rarer one (the last where counts are unknown or
        equal); with more, f1 and auc are the mean over the classes, each against the rest.
        """
        confused = self._confused if len(self.labels) <= MOST_CLASSES else None
        columns = len(self.labels) if len(self.labels) > 2 else 1
        return metrics.Kept(self._keep, self._quick, self._dear, columns=columns, labels=self.labels, confused=confused)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """prediction, its probability, and p_<label> for every label."""
        outputs = check_answers(infer(network, batch), batch, len(self.labels), self.describe())
        shares = outputs.softmax(1).cpu()
        probability, answer = shares.max(1)
        columns = {f"p_{label}": shares[:, k].numpy() for k, label in enumerate(self.labels)}
        words = pl.Series(self.labels, dtype=pl.String)[answer.numpy()]
        return pl.DataFrame({"prediction": words, "probability": probability.numpy(), **columns})

    def chance_loss(self, targets: tuple[Tensor, ...]) -> float:
        """The entropy of the labels: what always answering with their shares costs."""
        return float(F.cross_entropy(self.constant(targets).expand(len(targets[0]), -1), targets[0]))

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, K): the logarithm of each label's share."""
        counts = torch.bincount(targets[0], minlength=len(self.labels)).double().clamp(min=RARE)
        return (counts / counts.sum()).log().float()[None]

    def describe(self) -> str:
        """`classification into 2 classes: bright, dark`."""
        named = f": {', '.join(self.labels)}" if len(self.labels) <= 3 else ""
        return f"classification into {len(self.labels)} classes{named}"

    @property
    def rarer(self) -> int:
        """The class that is looked for, of two: the one with fewer training rows."""
        return 0 if self.counts and self.counts[0] < self.counts[1] else 1

    def _keep(self, outputs: Tensor | tuple[Tensor, ...], batch: Batch) -> tuple[Tensor, ...]:
        answers = check_answers(outputs, batch, len(self.labels), self.describe())
        return answers.log_softmax(1), _flat(batch)

    def _quick(self, logs: NDArray[np.float32], targets: NDArray[np.int64]) -> dict[str, metrics.Statistic]:
        losses = metrics.mean_of(-logs[np.arange(len(targets)), targets].astype(np.float64), "lower")
        right = (logs.argmax(1) == targets).astype(np.float64)
        found = {"loss": losses, "log_loss": losses, "accuracy": metrics.mean_of(right, "higher")}
        if len(self.labels) == 2:
            found["auc"] = metrics.auc(logs[:, self.rarer].astype(np.float64), targets == self.rarer)
        return found

    def _dear(self, logs: NDArray[np.float32], targets: NDArray[np.int64]) -> dict[str, metrics.Statistic]:
        classes, answers, rarer = len(self.labels), logs.argmax(1), self.rarer
        sure = np.exp(logs.max(1).astype(np.float64))
        found = {
            "balanced_accuracy": metrics.balanced_accuracy(targets, answers, classes),
            "f1": metrics.f1(targets, answers, classes, rarer if classes == 2 else None),
            "calibration_error": metrics.calibration_error(sure, answers == targets),
        }
        if classes == 2:
            chances = logs[:, rarer].astype(np.float64)
            found["average_precision"] = metrics.average_precision(chances, targets == rarer)
        elif classes <= MOST_CLASSES:
            found["auc"] = metrics.mean_auc(np.exp(logs), targets[:, None] == np.arange(classes))
        return found

    def _confused(self, logs: NDArray[np.float32], targets: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
        return metrics.confusion(targets, logs.argmax(1), len(self.labels))


def _flat(batch: Batch) -> Tensor:
    """(B,) int64, also out of an engineer's (B, 1) or smaller integers."""
    return batch.targets[0].reshape(len(batch)).long()


def _check_learnable(name: str, counted: pl.DataFrame, rows: int) -> None:
    if counted.height < 2:
        only = f"is {counted[name][0]!r} in every row" if counted.height else "has no rows"
        raise DataError(f"{name!r} {only}: one class cannot be told from another", remedy="add rows of another class.")
    if counted.height == rows and rows > 2:
        raise DataError(
            f"every row of {name!r} has another value: a network cannot learn classes seen once",
            remedy="choose another target, or the task regression.",
        )
