"""Several labels for each example, any number of them at once."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self, final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.kinds.cells import names, positions, unreadable, visible, yes_no
from netwright.models.modes import evaluating
from netwright.models.network import joined
from netwright.records.batch import Batch, Outputs
from netwright.records.errors import DataError, RecipeError, listed
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, Objective, Score, Task
from netwright.tasks import metrics
from netwright.tasks.cells import refuse_detail
from netwright.tasks.losses import choose_loss, over_members
from netwright.tasks.outputs import check_answers, check_outputs, mean_over_members

SEPARATORS = (";", "|")  # not commas: names of people and numbers have them
OFTEN = 0.05  # from this share of cells with a separator, a column of text is read as lists
JOINER = ";"  # between the labels of one answer, if the targets are columns or lists
RARE = 0.5  # rows: count of a label never or always seen, in the best constant answer, so its logit is finite


@final
@dataclass(frozen=True)
class Multilabel(Task):
    """Targets are one column of yes and no for each label, or one column of lists or of separated text (`a;b`).

    `counts` are the training rows of each label. `separator` is empty unless the targets are separated text; there an
    empty cell means no label. Training watches the log loss, for the reasons given in `Classification`.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...] = ()
    separator: str = ""
    exclusive: bool = False  # whether every training row has exactly one label; then every answer has one

    name: ClassVar[str] = "multilabel"
    metric: ClassVar[str] = "log_loss"
    higher_is_better: ClassVar[bool] = False
    link: ClassVar[Literal["sigmoid"]] = "sigmoid"
    has_places: ClassVar[bool] = False
    harm_name: ClassVar[str] = "share of wrong labels"

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        """Two or more columns of yes and no; one column of lists of text; one of text with a clear separator.

        Clear means: in OFTEN of the cells or more, and fewer distinct parts than distinct cells.
        """
        if cells.width > 1:
            return all(_is_yes_no(column) for column in cells)
        if cells.width == 0:
            return False
        column = cells.to_series()
        return column.dtype == pl.List(pl.String) or bool(_separator(column))

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """The labels and their counts. Raises DataError if every label is the same in all rows."""
        refuse_detail(cls.name, detail)
        separator = _separator(cells.to_series()) if cells.width == 1 else ""
        if cells.width == 1 and not separator and not isinstance(cells.to_series().dtype, pl.List):
            raise DataError(
                f"{cells.columns[0]!r} has neither lists nor text separated by {' or '.join(SEPARATORS)}",
                remedy="name one column for each label, or choose the task classification.",
            )
        labels = tuple(cells.columns) if cells.width > 1 else _parts(cells.to_series(), separator)
        given = cls(labels, (), separator).encode(cells)[0]
        counts = given.sum(0).long()
        if not ((counts > 0) & (counts < len(given))).any():
            raise DataError(
                f"none of the labels {listed(labels)} differs between rows: there is nothing to predict",
                remedy="choose other targets.",
            )
        return cls(labels, tuple(counts.tolist()), separator, bool((given.sum(1) == 1).all()))

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """(N, L) float32 of 0 and 1; NaN rows if a cell is missing or has an unknown label (then Unreadable)."""
        encoded, bad = self._columns(cells) if cells.width > 1 else self._lists(cells.to_series())
        if bad:
            encoded[list(bad)] = torch.nan
            what, first = f"{listed(cells.columns)} cannot be read as labels", next(iter(bad.values()))
            remedy = f"give 0 or 1 for each label, or labels from {listed(self.labels)}."
            raise unreadable(what, f"where {first}", remedy, (encoded,), bad)
        return (encoded,)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """One logit for each label."""
        return joined(schema, recipe, len(self.labels))

    def objective(self, recipe: Recipe) -> Objective:
        """The mean over the labels of each label's own log loss, smoothed by the recipe."""
        loss = choose_loss(recipe, ("binary",), self.name)
        if recipe.class_weights != "none":
            raise RecipeError("multilabel classification has no class weights", remedy="set class_weights=none.")

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            outputs = check_outputs(self.forward(network, batch), batch, len(self.labels), self.describe())
            return over_members(loss, outputs, batch.targets[0].float())

        return losses

    def harm(self, outputs: Outputs, clean: Outputs, batch: Batch) -> Tensor:
        """The share of labels that are wrong."""
        answers = check_answers(outputs, batch, len(self.labels), self.describe())
        return ((answers > 0) != (batch.targets[0] > 0.5)).float().mean(1)

    def score(self) -> Score:
        """log_loss, f1_macro and f1_micro, auc (mean over the labels), subset_accuracy and hamming_loss."""
        return metrics.Kept(self._keep, self._quick, columns=len(self.labels), labels=self.labels)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """prediction: the labels at 1/2 or above, joined; and p_<label> for every label."""
        with evaluating(network):
            outputs = check_answers(self.forward(network, batch), batch, len(self.labels), self.describe())
        shares = outputs.sigmoid().cpu().numpy()
        columns = [pl.Series(f"p_{label}", shares[:, k]) for k, label in enumerate(self.labels)]
        if self.exclusive:
            most = pl.Series("prediction", self.labels, dtype=pl.String)[shares.argmax(1)]
            return pl.DataFrame([most, *columns])
        chosen = [
            pl.when(pl.col(column.name) >= 0.5).then(pl.lit(label))
            for label, column in zip(self.labels, columns, strict=True)
        ]
        joined_text = pl.concat_str(chosen, separator=self.separator or JOINER, ignore_nulls=True)
        return pl.DataFrame(columns).select(joined_text.fill_null("").alias("prediction"), pl.all())

    def answers(self, outputs: Outputs) -> Outputs:
        """The mean over members."""
        return mean_over_members(outputs)

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, L): the log odds of each label."""
        rows = len(targets[0])
        counts = targets[0].sum(0).double().clamp(min=RARE, max=max(rows - RARE, RARE))
        return (counts / (rows - counts)).log().float()[None]

    def describe(self) -> str:
        """`several of 5 labels`."""
        return f"several of {len(self.labels)} labels at once"

    def remarks(self) -> tuple[str, ...]:
        """A note if labels exclude each other."""
        if not self.exclusive:
            return ()
        return ("every training row has exactly one of these labels: each answer is the most probable one",)

    def _columns(self, cells: pl.DataFrame) -> tuple[Tensor, dict[int, str]]:
        read = [yes_no(cells[label]) for label in self.labels]
        bad: dict[int, str] = {}
        for label, column in zip(self.labels, read, strict=True):
            for row in column.is_null().arg_true():
                bad.setdefault(row, f"{label!r} is {cells[label][row]!r}")
        encoded = np.stack([column.fill_null(0.0).to_numpy() for column in read], axis=1)
        return torch.from_numpy(encoded.astype(np.float32)), dict(sorted(bad.items()))

    def _lists(self, column: pl.Series) -> tuple[Tensor, dict[int, str]]:
        parts = _exploded(column, self.separator)
        places = positions(parts["part"], self.labels)
        unknown = parts.filter(places.is_null())
        bad = {row: f"the label is {part!r}" for row, part in unknown.unique("row", keep="first").iter_rows()}
        if not self.separator:
            bad |= {row: "the list is missing" for row in column.is_null().arg_true()}
        encoded = torch.zeros(len(column), len(self.labels))
        known = places.is_not_null()
        encoded[parts["row"].filter(known).to_numpy().copy(), places.filter(known).to_numpy().copy()] = 1.0
        return encoded, dict(sorted(bad.items()))

    def _keep(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
        return check_answers(outputs, batch, len(self.labels), self.describe()), batch.targets[0]

    def _quick(self, logits: NDArray[np.float32], targets: NDArray[np.float32]) -> dict[str, metrics.Statistic]:
        truth, given = targets > 0.5, logits >= 0
        losses = np.logaddexp(0.0, np.where(truth, -logits, logits).astype(np.float64)).mean(1)
        both, either = 2.0 * (truth & given).sum(1), (truth.sum(1) + given.sum(1)).astype(np.float64)
        return {
            "loss": metrics.mean_of(losses, "lower"),
            "log_loss": metrics.mean_of(losses, "lower"),
            "f1_macro": metrics.label_f1(truth, given),
            "f1_micro": metrics.ratio_of(both, either, "higher"),
            "auc": metrics.mean_auc(logits.astype(np.float64), truth),
            "subset_accuracy": metrics.mean_of((truth == given).all(1).astype(np.float64), "higher"),
            "hamming_loss": metrics.mean_of((truth != given).mean(1), "lower"),
        }


def _is_yes_no(column: pl.Series) -> bool:
    if column.dtype.is_nested():
        return False
    known = names(column).drop_nulls()
    return len(known) > 0 and yes_no(column).drop_nulls().len() == len(known)


def _separator(column: pl.Series) -> str:
    """The separator that clearly splits the cells, or nothing."""
    if column.dtype != pl.String:
        return ""
    for mark in SEPARATORS:
        known = column.drop_nulls()
        split = known.str.contains(mark, literal=True)
        if len(known) and split.mean() >= OFTEN and len(_parts(known, mark)) < known.n_unique():  # pyright: ignore[reportOperatorIssue] # a mean of truth values is a float
            return mark
    return ""


def _parts(column: pl.Series, separator: str) -> tuple[str, ...]:
    return tuple(visible(_exploded(column, separator)["part"]).unique().sort())


def _exploded(column: pl.Series, separator: str) -> pl.DataFrame:
    """A row for each part of each cell: its row number and its text, without empty parts."""
    lists = column.str.split(separator) if separator else column.cast(pl.List(pl.String))
    table = pl.DataFrame({"row": pl.int_range(len(column), eager=True), "part": lists}).explode("part")
    return table.with_columns(pl.col("part").str.strip_chars()).filter(pl.col("part").fill_null("") != "")
