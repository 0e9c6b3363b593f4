"""One label for each example, out of two or many."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self, final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.kinds.cells import names, one_spelling, positions, unreadable
from netwright.kinds.mask import Mask
from netwright.kinds.number import as_numbers
from netwright.models.modes import evaluating
from netwright.models.network import joined
from netwright.records.batch import Batch, Outputs
from netwright.records.errors import DataError, counted, listed
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Schema
from netwright.records.task import NO_INPUTS, Labels, Objective, Score, Scores, Task
from netwright.tasks import metrics
from netwright.tasks.cells import (
    FEW_CLASSES,
    MOST,
    ROWS_PER_CLASS,
    hold_numbers,
    only_column,
    refuse_detail,
    refuse_unclear,
)
from netwright.tasks.losses import choose_loss, class_weights, over_members
from netwright.tasks.outputs import check_answers, check_outputs, mean_over_members

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

RARE = 0.5  # a class without rows counts as this many in the best constant answer, so its logit is finite
MOST_SHOWN = 1_000  # labels up to which each has its probability in an answer: a column each
MOST_CLASSES = 100  # with more, AUC and confusion are skipped: they grow with the classes (and their square)


@final
@dataclass(frozen=True)
class Classification(Task):
    """Labels are text, sorted (numbers by size); `counts` are their training rows, empty if unknown.

    Training watches the log loss. On a small validation part accuracy moves in steps of one row and is blind to a rare
    class; log loss uses every row's probability and falls before the accuracy rises.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...] = ()
    typed: Literal["text", "boolean", "integer", "number"] = field(default="text", compare=False)
    """The type of the cells that labels came from; answers have it too."""

    name: ClassVar[str] = "classification"
    metric: ClassVar[str] = "log_loss"
    higher_is_better: ClassVar[bool] = False
    link: ClassVar[Literal["softmax"]] = "softmax"
    has_places: ClassVar[bool] = False
    can_be_wrong: ClassVar[bool] = True
    harm_name: ClassVar[str] = "wrong answers"
    families: ClassVar[tuple[Family, ...]] = ("labels",)

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        """One column of text, booleans, categories, or few whole numbers: see `_hold_few_whole_numbers`."""
        if cells.width != 1 or cells.to_series().dtype.is_nested() or Mask.matches(cells.to_series()):
            return False
        column = cells.to_series()
        refuse_unclear(column)
        return not hold_numbers(column) or _hold_few_whole_numbers(column)

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """The labels and their counts. Raises DataError for missing labels, one class, or a new label in every row."""
        refuse_detail(cls.name, detail)
        column = only_column(cells, cls.name)
        known = one_spelling(names(column))
        if known.null_count():
            raise DataError(
                f"{column.name!r} holds no label in {counted(known.null_count(), 'row')}",
                remedy="leave these rows out, or fill in their labels.",
            )
        found = known.value_counts(name="count")
        _check_learnable(column.name, found, len(known))
        numbers = as_numbers(found[column.name])
        found = found.with_columns(number=numbers).sort(["number", column.name], nulls_last=True)
        return cls(tuple(found[column.name]), tuple(found["count"]), _type_of(column))

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """(N,) int64 positions in `labels`; -1 if a label is missing or unknown (then Unreadable)."""
        column = only_column(cells, self.name)
        found = positions(names(column), self.labels)
        encoded = torch.from_numpy(found.fill_null(-1).to_numpy().copy())
        if found.null_count():
            bad = {row: f"the label is {column[row]!r}" for row in found.is_null().arg_true()}
            what, first = f"{column.name!r} holds no known label", repr(column[next(iter(bad))])
            raise unreadable(what, first, f"choose labels from {listed(self.labels)}.", (encoded,), bad)
        return (encoded,)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """One logit for each label, also for two."""
        return joined(schema, recipe, len(self.labels))

    def objective(self, recipe: Recipe) -> Objective:
        """Cross entropy or focal loss, smoothed and weighted by the recipe."""
        loss = choose_loss(recipe, ("cross_entropy", "focal"), self.name)
        weights = class_weights(recipe, self.counts, self.name)

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            outputs = check_outputs(self.forward(network, batch), batch, len(self.labels), self.describe())
            targets = _flat(batch)
            each = over_members(loss, outputs, targets)
            return each if weights is None else each * weights.to(each.device)[targets]

        return losses

    def harm(self, outputs: Outputs, clean: Outputs, batch: Batch) -> Tensor:
        """1 if the label is wrong. An answer of NaN is wrong."""
        answers = check_answers(outputs, batch, len(self.labels), self.describe())
        return ((answers.argmax(1) != _flat(batch)) | answers.isnan().any(1)).float()

    def score(self) -> Score:
        """log_loss, accuracy, balanced_accuracy, f1, auc, average_precision (two classes), calibration_error.

        With two classes f1, auc and average_precision are about the rarer one (the last if counts are unknown or
        equal); with more, f1 and auc are the mean over the classes, one versus rest.
        """
        if len(self.labels) > MOST_CLASSES:
            return metrics.Kept(self._keep_few, self._quick_of_few, self._dear_of_few, labels=self.labels)
        confused = self._confused
        columns = len(self.labels) if len(self.labels) > 2 else 1
        return metrics.Kept(self._keep, self._quick, self._dear, columns=columns, labels=self.labels, confused=confused)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """prediction, its probability, and p_<label> for every label if there are at most MOST_SHOWN."""
        with evaluating(network):
            outputs = check_answers(self.forward(network, batch), batch, len(self.labels), self.describe())
        shares = outputs.softmax(1).cpu()
        probability, answer = shares.max(1)
        columns = {f"p_{label}": shares[:, k].numpy() for k, label in enumerate(self._shown)}
        labels = pl.Series(self.labels, dtype=pl.String)[answer.numpy()]
        labels = labels == "true" if self.typed == "boolean" else labels.cast(_TYPES.get(self.typed, pl.String))
        return pl.DataFrame({"prediction": labels, "probability": probability.numpy(), **columns})

    def answers(self, outputs: Outputs) -> Outputs:
        """The mean over members."""
        return mean_over_members(outputs)

    def view(self, targets: tuple[Tensor, ...]) -> Labels:
        """The labels."""
        return Labels(targets[0].flatten().long().cpu().numpy(), self.labels, self.counts)

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, K): the logarithm of each label's share."""
        counts = torch.bincount(targets[0], minlength=len(self.labels)).double().clamp(min=RARE)
        return (counts / counts.sum()).log().float()[None]

    def plainly(self, scores: Scores, things: str, constant: Scores | None = None) -> str:
        """`63 of 100 pictures are right (56 to 70); guessing gives 25.`"""
        right = scores["accuracy"]
        digits = 0 if 0.01 <= right.value < 0.99 else 1  # 99.6 of 100 is not all
        value, low, high = (f"{100 * share:.{digits}f}" for share in (right.value, right.low, right.high))
        guess = "" if constant is None else f"; guessing gives {100 * constant['accuracy'].value:.0f}"
        return f"{value} of 100 {things} are right ({low} to {high}){guess}."

    def describe(self) -> str:
        """`classification into 2 classes: bright, dark`."""
        shown = [repr(label) if "," in label else label for label in self.labels]
        named = f": {', '.join(shown)}" if len(shown) <= 3 else ""
        return f"classification into {len(shown)} classes{named}"

    def remarks(self) -> tuple[str, ...]:
        """A note if labels look like lists of other labels."""
        known = {label.strip() for label in self.labels}
        lists = [
            label for label in self.labels if "," in label and known >= {part.strip() for part in label.split(",")}
        ]
        if not lists:
            return ()
        way = f"write {lists[0].replace(', ', ';').replace(',', ';')!r} and name the task multilabel"
        return (f"{lists[0]!r} is read as one class, but may mean several labels at once: then {way}",)

    @property
    def _shown(self) -> tuple[str, ...]:
        return self.labels if len(self.labels) <= MOST_SHOWN else ()

    @property
    def rarer(self) -> int:
        """The positive class of two: the one with fewer training rows."""
        return 0 if self.counts and self.counts[0] < self.counts[1] else 1

    def _keep(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
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
        else:
            found["auc"] = metrics.mean_auc(np.exp(logs), targets[:, None] == np.arange(classes))
        return found

    def _keep_few(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
        """The logarithms for the right label and the answer, the answer, the label: rows of all labels fill memory."""
        logs, targets = self._keep(outputs, batch)
        sure, answers = logs.max(1)
        return logs.gather(1, targets[:, None])[:, 0], sure, answers, targets

    def _quick_of_few(
        self, of_target: Floats, _sure: Floats, answers: Rows, targets: Rows
    ) -> dict[str, metrics.Statistic]:
        losses = metrics.mean_of(-of_target.astype(np.float64), "lower")
        right = metrics.mean_of((answers == targets).astype(np.float64), "higher")
        return {"loss": losses, "log_loss": losses, "accuracy": right}

    def _dear_of_few(
        self, _of_target: Floats, sure: Floats, answers: Rows, targets: Rows
    ) -> dict[str, metrics.Statistic]:
        classes = len(self.labels)
        return {
            "balanced_accuracy": metrics.balanced_accuracy(targets, answers, classes),
            "f1": metrics.f1(targets, answers, classes, None),
            "calibration_error": metrics.calibration_error(np.exp(sure.astype(np.float64)), answers == targets),
        }

    def _confused(self, logs: NDArray[np.float32], targets: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
        return metrics.confusion(targets, logs.argmax(1), len(self.labels))


def _flat(batch: Batch) -> Tensor:
    """(B,) int64, also from an engineer's (B, 1) or smaller integers."""
    return batch.targets[0].reshape(len(batch)).long()


def _hold_few_whole_numbers(cells: pl.Series) -> bool:
    """Whether numbers look like classes: whole, at most FEW_CLASSES of them, each in ROWS_PER_CLASS rows or more."""
    numbers = as_numbers(cells).drop_nulls().drop_nans()
    distinct = numbers.n_unique()
    few = 0 < distinct <= FEW_CLASSES and len(numbers) >= ROWS_PER_CLASS * distinct
    return few and bool((numbers == numbers.floor()).all())


_TYPES = {"integer": pl.Int64, "number": pl.Float64}


def _type_of(cells: pl.Series) -> Literal["text", "boolean", "integer", "number"]:
    if cells.dtype == pl.Boolean:
        return "boolean"
    return "integer" if cells.dtype.is_integer() else "number" if cells.dtype.is_numeric() else "text"


def _check_learnable(name: str, found: pl.DataFrame, rows: int) -> None:
    if found.height < 2:
        only = f"is {found[name][0]!r} in every row" if found.height else "has no rows"
        raise DataError(f"{name!r} {only}: there must be two classes or more", remedy="add rows of another class.")
    if found.height == rows and rows > 2:
        are_numbers = int(as_numbers(found[name]).is_not_null().sum()) >= MOST * rows
        raise DataError(
            f"{name!r} is different in every row: a network cannot learn classes seen once",
            remedy="choose another target, or the task regression." if are_numbers else "choose another target.",
        )
