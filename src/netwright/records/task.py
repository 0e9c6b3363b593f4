"""What is predicted: the contract that every task fulfils."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import ClassVar, Literal, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.records.asked import Asked
from netwright.records.batch import Batch, Examples, Geometry, Given, Outputs
from netwright.records.errors import RecipeError
from netwright.records.finding import Chart
from netwright.records.frames import Frames, Raw
from netwright.records.nested import as_outputs, each_tensor
from netwright.records.recipe import NoOptions, Recipe
from netwright.records.schema import Family, Schema

ROW = "row"  # the column of row numbers next to answers

NO_INPUTS = Schema(())

Objective = Callable[[nn.Module, Batch], Tensor]
"""(network, batch) -> (B,): one loss for each example."""
Forward = Callable[[nn.Module, Batch], Outputs]
"""(network, batch) -> its outputs, as in `Task.forward`."""


@dataclass(frozen=True)
class Metric:
    """A number with its interval."""

    name: str
    value: float
    low: float  # 95 % bootstrap interval over the examples
    high: float
    higher_is_better: bool


@dataclass(frozen=True)
class Scores:
    """All metrics of one part of the data. Training watches the first."""

    metrics: tuple[Metric, ...]
    count: int  # examples
    confusion: tuple[tuple[int, ...], ...] = ()  # rows: true class, columns: predicted class
    labels: tuple[str, ...] = ()
    sampled: int = 0  # rows, drawn at random, that metrics and confusion are of; 0 if they are of all
    lead: Metric | None = None  # of a simple model: by how much the network is better in the first metric, paired

    def __getitem__(self, name: str) -> Metric:
        return next(m for m in self.metrics if m.name == name)


class Score(ABC):
    """Streaming: add batch after batch, then ask for the result."""

    @abstractmethod
    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds the outputs of `task.forward(network, batch)`."""

    @abstractmethod
    def quick(self) -> dict[str, float]:
        """Metrics without intervals, including "loss", for an epoch's line. Cheap."""

    @abstractmethod
    def result(self, groups: Tensor | None = None) -> Scores:
        """Metrics with 95 % intervals from a seeded bootstrap over examples, including expensive ones.

        `groups` (N,) holds the group of each example, in the order of adding: whole groups are resampled.
        """

    def lead(self, other: "Score", name: str, groups: Tensor | None = None) -> Metric | None:
        """By how much this score is better than another of the same examples in one metric; below 0 if it is worse.

        Its interval is paired: both are resampled alike. None if the two cannot be paired.
        """
        return None


@dataclass(frozen=True, eq=False)
class Labels:
    """Targets that are one label for each example."""

    positions: NDArray[np.int64]  # (N,) in `names`
    names: tuple[str, ...]
    counts: tuple[int, ...] = ()  # training rows of each label; empty if unknown


@dataclass(frozen=True, eq=False)
class Numbers:
    """Targets that are one number for each example."""

    values: NDArray[np.float64]  # (N,) in the user's units
    scaled: NDArray[np.float32]  # (N,) as the network learns them: spread about one, log scale if skewed


@dataclass(frozen=True)
class Task(ABC):
    """Owns the target: how it is read, encoded, learned, scored and reported.

    Everything that stages ask has a default here, so nobody asks for the type of a task. A task has as many target
    tensors as it needs. Ragged targets (boxes, words) are padded on the right, with their counts in another tensor.
    """

    name: ClassVar[str]  # the key in TASKS
    metric: ClassVar[str]  # watched in training, a key of Score.quick()
    higher_is_better: ClassVar[bool]
    is_opaque: ClassVar[bool] = False  # only a loss is known, not what targets and outputs mean
    link: ClassVar[Literal["softmax", "sigmoid", "identity", ""]] = ""
    """Turns an example's outputs (B, width) into its answer; empty if outputs have another form."""
    has_places: ClassVar[bool] = True  # targets belong to pixels or steps, and must follow if these move
    follows: ClassVar[bool] = False  # whether `moved` moves targets along with augmented images
    by_length: ClassVar[bool] = False  # whether training batches rows of similar length, if that pays off
    generates: ClassVar[bool] = False  # answers are new texts, sounds or pictures: none is simply wrong
    can_be_wrong: ClassVar[bool] = False  # an answer is right or wrong: `harm` is 0 or 1
    harm_name: ClassVar[str] = "rise of the loss"  # what `harm` measures
    trivial: ClassVar[tuple[str, ...]] = ("constant",)  # simple models that know nothing: to be beaten by any other
    families: ClassVar[tuple[Family, ...]] = ()  # kinds of target it predicts, if the user names the target's kind
    starts_at_fit: ClassVar[bool] = False  # whether `start` gives a whole answer: then an epoch is kept only if better
    cuts_rows: ClassVar[bool] = False  # whether `frame` cuts examples from rows; if so, it is chosen by name alone
    owner: ClassVar[str] = "series"  # for a task that cuts rows: the word of `Source` that says whose a row is
    options: ClassVar[type] = NoOptions
    """A frozen dataclass of the task's own settings, in the task's module: `horizon: int = setting(24, ...)`."""

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        """Whether raw target columns look like this task. The first match in the order of TASKS wins.

        Raises DataError, best `Unreadable`, for cells that leave open what is meant.
        """
        return False

    @classmethod
    def frame(cls, raw: Raw, detail: str = "") -> Frames | None:
        """Examples cut from raw rows before the split; None: each row is an example.

        `detail` is what the user wrote after the task's name: `--task forecasting:96`. Raises DataError, best
        `Unreadable`, for rows that cannot be cut.
        """
        return None

    def frame_again(self, raw: Raw) -> Frames | None:
        """The same as in training, for a learned task: rows to score, or without targets rows to answer."""
        return self.frame(raw)

    @classmethod
    @abstractmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """A task from the training rows' target columns. Raises DataError for a single class, a constant target, ...

        `schema` is for tasks whose input is its own target: a language model takes its vocabulary from it.
        `detail` is what the user wrote after the task's name: `--task forecasting:96`.
        """

    @abstractmethod
    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """Targets for Batch.targets, (N, ...) each. Raises `Unreadable` for unknown labels, missing numbers, ..."""

    def lengths(self, targets: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        """(B,) for each target that is a list: the number of real entries, at least 1; empty if none is a list.

        Batches hold them, and are cut to the longest row.
        """
        return ()

    def moved(self, targets: tuple[Tensor, ...], geometry: Geometry) -> tuple[Tensor, ...]:
        """Targets of images that moved; unchanged if the task does not follow."""
        return targets

    @abstractmethod
    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """The network for this data: most tasks join stems, trunk and head."""

    def start(self, network: nn.Module, train: Examples) -> None:  # noqa: B027  most tasks start at random
        """Puts initial values that need no gradient into a new network, from the training rows: a least-squares fit."""

    def correct(self, network: nn.Module, valid: Examples) -> str:
        """Corrects a trained network's answers by the validation part; says how, or "" if nothing changed."""
        return ""

    def asking(self, asked: Asked) -> Self:
        """The task that answers as asked. Raises RecipeError for what it cannot do."""
        if said := asked.said():
            problem = f"{said[0]} does not suit {self.name}"
            raise RecipeError(problem, remedy=f"leave it out: this run is a {self.describe()}.")
        return self

    def stocked(self, table: pl.DataFrame) -> tuple[Self, str]:
        """The task that also answers with new things, which a table describes, and a note. Raises RecipeError."""
        problem = f"--items does not suit {self.name}: its answers are no items"
        raise RecipeError(problem, remedy=f"leave it out: this run is a {self.describe()}.")

    def forward(self, network: nn.Module, batch: Batch) -> Outputs:
        """The network's outputs for a batch. Calls it once, on tensors; a decoder gets its target too."""
        return of_inputs(network, batch)

    def answers(self, outputs: Outputs) -> Outputs:
        """Outputs without the axis of members, which networks have in training if `recipe.members` is above 1."""
        return outputs

    @abstractmethod
    def objective(self, recipe: Recipe) -> Objective:
        """The training loss: the recipe's named loss, label smoothing and class weights."""

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """(B,): the task's own loss for each example, without smoothing or weights.

        A random loss (noise, masks) draws from the generator; None means one with a fixed seed.
        """
        return self.objective(Recipe())(network, batch)

    def harm(self, outputs: Outputs, clean: Outputs, batch: Batch) -> Tensor:
        """(B,): how much an adversary gained: `outputs` are for changed inputs, `clean` for the batch as it is."""
        return self.losses(Given(outputs), batch) - self.losses(Given(clean), batch)

    def batch_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """(): the mean loss of a batch with these outputs, as a training loop computes it."""
        return self.losses(Given(outputs), batch).mean()

    @abstractmethod
    def score(self) -> Score:
        """An empty score."""

    @abstractmethod
    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """Answers in the user's words and units: label and probabilities, numbers, masks, text, ...

        One row for each example, or several (boxes, steps); then column ROW holds the example's `batch.rows`.
        With a `view` the answer is in `prediction`; for labels also in `probability` and `p_<label>`.
        """

    def drawn(self, network: nn.Module, batch: Batch) -> tuple[Chart, ...]:
        """Answers as charts, in the order of the rows; none if a table says it better."""
        return ()

    def similar(self, network: nn.Module, name: str, count: int) -> pl.DataFrame:
        """What is most alike to one of the things that answers name, best first: `item` and `likeness`, at most 1.

        Raises RecipeError if answers are no such things, and DataError for an unknown one.
        """
        problem = f"similar does not suit {self.name}: its answers are no items"
        raise RecipeError(problem, remedy=f"use a run that ranks; this one is a {self.describe()}.")

    def view(self, targets: tuple[Tensor, ...]) -> Labels | Numbers | None:
        """The targets as one label or one number for each example; None if they are neither."""
        return None

    def constant(self, targets: tuple[Tensor, ...]) -> Outputs | None:
        """Outputs of the best constant answer to these targets, for one example: (1, ...); None if there is none.

        Axes over pixels or steps are 1; expand it to the batch for `Score.add`.
        """
        return None

    def chance_loss(self, targets: tuple[Tensor, ...]) -> float:
        """The loss of the best constant answer, which an untrained network should have; NaN if unknown."""
        answer = self.constant(targets)
        if answer is None or not targets:
            return nan
        rows = torch.arange(len(targets[0]))
        return float(self.losses(Given(expanded(answer, len(rows))), Batch((), targets, rows)).double().mean())

    def simple_models(self) -> tuple[str, ...]:
        """Names of simple models to compare with: those that learn if outputs are a vector for each example."""
        return ("constant", "linear", "nearest neighbors", "boosted trees") if self.link else ("constant",)

    def rules(self, train: Examples) -> Mapping[str, Callable[[Batch], Outputs]]:
        """Simple models of the task's own, by name, from the training rows: the last value, ridge on the past, ...

        They see whole batches and give a network's outputs.
        """
        return {}

    def plainly(self, scores: Scores, things: str, constant: Scores | None = None) -> str:
        """What scores mean, in a sentence for everybody: `63 of 100 pictures are right (56 to 70); ...`.

        `constant` are the scores of always giving the same answer. Empty if there is no such sentence.
        """
        return ""

    def defaults(self, schema: Schema, rows: int) -> Mapping[str, object]:
        """Settings that this task wants for `rows` training rows, whatever the inputs suggest."""
        return {}

    @abstractmethod
    def describe(self) -> str:
        """One line for people: `classification into 10 classes`."""

    @property
    def as_written(self) -> bool:
        """Whether the target's cells in a text file must stay text until this task reads them."""
        return False

    def remarks(self) -> tuple[str, ...]:
        """What a person should check about how the target was read."""
        return ()


def viewed(task: Task, examples: Examples) -> Labels | Numbers | None:
    """The task's view of one example's targets: labels or numbers, and the names of labels."""
    batch = next(examples.batches(1, seed=None), None)
    return None if batch is None or not batch.targets else task.view(batch.head(1).targets)


def of_inputs(network: nn.Module, batch: Batch) -> Outputs:
    """A network's outputs for a batch: it gets the inputs, and the lengths of those that are sequences."""
    return as_outputs(batch.call(network))


def expanded(answer: Outputs, rows: int) -> Outputs:
    """A constant answer, (1, ...), expanded to `rows` rows."""
    return each_tensor(answer, lambda tensor: tensor.expand(rows, *tensor.shape[1:]))
